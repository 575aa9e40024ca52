//! Whose decisions count. Where approvers are configured only what one of them signed does, wherever it comes from: when
//! it is made, when it takes effect, each time the run is driven on, and when it is verified.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use crate::capability::Decision;
use crate::registry::config::Signatures;
use crate::registry::{Registry, decisions, project};
use crate::run::event::{Event, SkipReason};
use crate::run::id::{Digest, NodeId, RequestId, RunId};
use crate::run::state::State;
use crate::run::status::{NodeKind, NodeStatus};
use crate::run::time::parse_time;
use crate::signature::{self, AllowedSigners, Passphrase, Proof, Settings, SignatureError, Signer, Validity};

use super::actor::operator;
use super::error::Error;
use super::store::Store;
use super::verify::{self, Decided};

/// How far the clock of a reviewer's machine may be behind.
const SKEW: chrono::Duration = chrono::Duration::minutes(10);

/// Largest `allowed_signers`, in bytes.
const LARGEST: u64 = 1 << 20;

/// The machine's own list of who may sign. Where it is there it counts for every registry, whatever those say: they are
/// written by people and programs that this file is to be kept from.
const OF_THE_MACHINE: &str = "/etc/taskforge/allowed_signers";

/// Where it is said who may sign: by the machine, or else by the registry.
pub(crate) fn path(registry: &Registry) -> Result<PathBuf, Error> {
    if is_of_the_machine() {
        return Ok(PathBuf::from(OF_THE_MACHINE));
    }
    // An absolute path stays what it is.
    Ok(registry.root().join(&registry.config()?.decisions.allowed_signers))
}

/// Whether the machine says who may sign. Something there that cannot be read is no reason to believe everybody.
fn is_of_the_machine() -> bool {
    let looked = Path::new(OF_THE_MACHINE).symlink_metadata();
    !looked.is_err_and(|error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory))
}

/// Whether only signed decisions count, those of before anybody could sign included.
pub(crate) fn is_required(registry: &Registry) -> Result<bool, Error> {
    Ok(is_of_the_machine() || registry.config()?.decisions.signatures == Signatures::Required)
}

/// Whether decisions of new runs have to be signed.
///
/// # Errors
/// When the settings cannot be read.
pub fn are_configured(registry: &Registry) -> Result<bool, Error> {
    // A link that leads nowhere, or a folder, is something, too: it is no reason to believe everybody.
    let there = path(registry)?.symlink_metadata().is_ok();
    Ok(there || is_required(registry)?)
}

/// Who may sign; none if nobody has to.
///
/// # Errors
/// [`Error::NoApprovers`] if the file is gone where it has to be; that it cannot be read.
pub fn approvers(registry: &Registry) -> Result<Option<AllowedSigners>, Error> {
    if are_configured(registry)? { read(registry).map(Some) } else { Ok(None) }
}

/// As [`approvers`], of a run: one that was made for signed decisions stays so.
pub(crate) fn of_run(registry: &Registry, state: &State) -> Result<Option<AllowedSigners>, Error> {
    if state.created.signed { read(registry).map(Some) } else { approvers(registry) }
}

fn read(registry: &Registry) -> Result<AllowedSigners, Error> {
    let path = path(registry)?;
    let bytes = project::read_file(&path, LARGEST)?.ok_or(Error::NoApprovers { path })?;
    Ok(AllowedSigners::parse(&bytes)?)
}

/// The person at the keyboard, who signs where approvers are configured.
pub struct Hand<'a> {
    passphrase: Passphrase<'a>,
    signer: OnceCell<Signer>,
}

impl<'a> Hand<'a> {
    /// `passphrase` asks for that of a key file.
    #[must_use]
    pub fn new(passphrase: Passphrase<'a>) -> Self {
        Self { passphrase, signer: OnceCell::new() }
    }

    /// The key for one namespace, found and unlocked once.
    pub(crate) fn signer(&self, allowed: &AllowedSigners, namespace: &str) -> Result<&Signer, Error> {
        if let Some(signer) = self.signer.get() {
            return Ok(signer);
        }
        let by = operator();
        let name = by.strip_prefix("operator:").unwrap_or(&by);
        let signer = Signer::find(&Settings::load()?, allowed, namespace, name, self.passphrase)?;
        Ok(self.signer.get_or_init(|| signer))
    }
}

/// What is wrong with the proof of a decision.
#[derive(Debug)]
pub(crate) enum Unproven {
    /// No signature lies beside it, or not all of one yet: it waits for it.
    Unsigned,
    /// It can never count.
    Refused(String),
}

impl std::fmt::Display for Unproven {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unsigned => f.write_str("it is not signed, and only signed decisions count here"),
            Self::Refused(reason) => f.write_str(reason),
        }
    }
}

/// Whether the decision in `bytes` is signed by whom it names, for this registry, by a key that was good at each time.
pub(crate) fn prove(
    allowed: &AllowedSigners,
    registry: &str,
    bytes: &[u8],
    signature: Option<&[u8]>,
    times: &[DateTime<Utc>],
) -> Result<Proof, Unproven> {
    let refused = |reason: String| Unproven::Refused(reason);
    let Some(signature) = signature.filter(|bytes| signature::is_whole(bytes)) else { return Err(Unproven::Unsigned) };
    let file = Decision::parse(bytes).map_err(|error| refused(error.to_string()))?;
    if file.registry.as_deref() != Some(registry) {
        return Err(refused(match &file.registry {
            Some(other) => format!("it is of registry {other:?}"),
            None => "it is of format 1, which names no registry".to_owned(),
        }));
    }
    // The time that it claims counts beside the time that we know: an expired key cannot reach back.
    let claimed = parse_time(&file.at).ok_or_else(|| refused("its time cannot be read".to_owned()))?;
    let times: Vec<DateTime<Utc>> = times.iter().copied().chain([claimed]).collect();
    allowed
        .verify(signature::DECISION, file.name(), bytes, signature, &times)
        .map_err(|error: SignatureError| refused(error.to_string()))
}

/// Whether a decision lies there that waits for its signature.
#[must_use]
pub fn lies_unsigned(registry: &Registry, id: &RequestId) -> bool {
    let path = registry.layout().decision(id);
    let whole = |bytes: Option<Vec<u8>>| bytes.is_some_and(|bytes| signature::is_whole(&bytes));
    path.exists() && !decisions::read(&decisions::signature(&path)).map(whole).unwrap_or(true)
}

/// What is unproven of the decisions that took effect in a run, each with the file that it is about. `times` says when
/// each took effect, by the digest of its file.
pub(crate) fn unproven(
    registry: &Registry,
    state: &State,
    allowed: &AllowedSigners,
    times: &BTreeMap<Digest, DateTime<Utc>>,
) -> Result<Vec<(String, String)>, Error> {
    let mut found = Vec::new();
    let strict = state.created.signed || is_required(registry)?;
    for one in verify::decided(state) {
        let name = format!("decisions/{}.json", one.id);
        if !one.record.proven {
            if strict {
                found.push((name, "took effect without a signature".to_owned()));
            }
            continue;
        }
        if let Some(what) = stands(registry, state, allowed, &one, times.get(&one.record.file))? {
            found.push((name, what));
        }
    }
    if strict {
        let passed = passed_by(state);
        let what = |node| (format!("nodes/{node}"), "approval went by without a decision".to_owned());
        found.extend(passed.map(|definition| what(definition.id.clone())));
    }
    Ok(found)
}

/// Approval nodes that were passed by nobody's decision.
pub(crate) fn passed_by(state: &State) -> impl Iterator<Item = &crate::run::definition::NodeDefinition> {
    state
        .pairs()
        .filter(|(definition, node)| {
            // A denial of before the node was taken up again skips nothing.
            let passed = match node.status {
                NodeStatus::Completed => node.decision.is_none(),
                status => status == NodeStatus::Skipped,
            };
            definition.kind == NodeKind::Approval && passed && !matches!(node.skipped, Some(SkipReason::NeedFailed(_)))
        })
        .map(|(definition, _)| definition)
}

/// Why a decision on request `id` that was made `at` cannot have been: nobody had asked then.
pub(super) fn too_early(state: &State, id: &RequestId, at: &str) -> Option<String> {
    let asked = state.request(id)?.at;
    let is = parse_time(at).is_some_and(|claimed| claimed + SKEW < asked);
    is.then(|| format!("says that it was made at {at}, before anybody had asked: is a clock wrong?"))
}

/// What of one proven decision does not hold any more.
fn stands(
    registry: &Registry,
    state: &State,
    allowed: &AllowedSigners,
    decided: &Decided<'_>,
    at: Option<&DateTime<Utc>>,
) -> Result<Option<String>, Error> {
    let (path, record) = (registry.layout().decision(&decided.id), decided.record);
    let Some(bytes) = decisions::read(&path)? else { return Ok(Some("is gone, and its proof with it".to_owned())) };
    let signature = decisions::read(&decisions::signature(&path))?;
    let times: Vec<DateTime<Utc>> = at.copied().into_iter().collect();
    let early = || too_early(state, &decided.id, &record.at);
    Ok(match prove(allowed, &state.created.registry, &bytes, signature.as_deref(), &times) {
        Err(Unproven::Unsigned) => Some("has lost its signature".to_owned()),
        Err(Unproven::Refused(reason)) => Some(reason),
        Ok(_) if Digest::of(&bytes) != record.file => Some("is not the decision that the journal names".to_owned()),
        Ok(proof) if record.by != format!("operator:{}", proof.name) => Some("is by somebody else".to_owned()),
        Ok(_) => verify::misfit(state, decided, &bytes).or_else(early),
    })
}

/// Whatever a decision comes from (a command, a file, a control, another program's words), it goes through here before it is
/// journaled.
///
/// # Errors
/// [`Error::NotSigned`] if `events` decide on something without a signature where approvers are configured.
pub(crate) fn require_signed(registry: &Registry, run: &RunId, state: &State, events: &[Event]) -> Result<(), Error> {
    let approval =
        |node: &NodeId| state.node(node).is_some_and(|(definition, _)| definition.kind == NodeKind::Approval);
    let decides = |event: &&Event| match event {
        Event::CapabilityApproved { decision, .. }
        | Event::CapabilityDenied { decision, .. }
        | Event::CapabilitySuperseded { decision, .. } => !decision.proven && !decision.is_by_rule(),
        Event::NodeCompleted { node, decision, .. } => approval(node) && !decision.as_ref().is_some_and(|d| d.proven),
        Event::NodeFailed { node, decision, .. } => approval(node) && !decision.as_ref().is_some_and(|d| d.proven),
        Event::NodeSkipped { node, why } => approval(node) && !matches!(why, SkipReason::NeedFailed(_)),
        _ => false,
    };
    // What a written rule decides is reviewed where the rule is written, and `audit verify` sees that it did decide.
    let Some(unsigned) = events.iter().find(decides) else { return Ok(()) };
    if state.created.signed || are_configured(registry)? {
        return Err(Error::NotSigned { run: run.clone(), what: unsigned.to_draft_of(run).event });
    }
    Ok(())
}

/// # Errors
/// [`Error::Unproven`] if something is in force in this run that no approver signed, though approvers are configured:
/// nothing of it is driven on.
pub(crate) fn require_proven(store: &Store<'_>, state: &State) -> Result<(), Error> {
    let registry = store.registry();
    let decided = verify::decided(state);
    let nothing_yet = decided.is_empty() && passed_by(state).next().is_none();
    if nothing_yet {
        return Ok(());
    }
    let any = state.created.signed || decided.iter().any(|one| one.record.proven);
    if !any && !is_required(registry)? {
        return Ok(());
    }
    let allowed = read(registry)?;
    // When each took effect stands in the whole journal only, and says something where a key has a beginning or an end.
    let timed = allowed.entries().iter().any(|entry| {
        let key = signature::fingerprint(&entry.key);
        let signed = decided.iter().any(|one| one.record.key.as_ref() == Some(&key));
        entry.validity != Validity::default() && signed
    });
    let times = if timed { verify::times_of(&store.records()?) } else { BTreeMap::new() };
    match unproven(registry, state, &allowed, &times)?.into_iter().next() {
        Some((file, what)) => Err(Error::Unproven { run: store.run().clone(), file, what }),
        None => Ok(()),
    }
}
