//! A person's decision: shown, made on exactly what was shown, written as a file, and applied. The same file, merged
//! through git, counts the same.

use std::path::Path;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::capability::{Decision, Review, Verdict as FileVerdict};
use crate::registry::{self, Registry};
use crate::run::capability::Capability;
use crate::run::command::{Command, Verdict};
use crate::run::decide::decide;
use crate::run::each::{self, Said};
use crate::run::event::DecisionRecord;
use crate::run::id::{Digest, RequestId};
use crate::run::review;
use crate::run::state::{RequestStatus, State};
use crate::run::terms::Terms;
use crate::run::time::isoformat;
use crate::signature::{self, AllowedSigners, Proof};

use super::actor::operator;
use super::approvers::{self, Hand};
use super::error::Error;
use super::given;
use super::images;
use super::inbox::{Inbox, Waiting, inbox};
use super::standing;
use super::store::Store;
use super::taken::take_files;

/// What a person is shown.
#[derive(Debug, Clone)]
pub enum Shown {
    Capability(Box<Review>),
    Approval {
        /// Files of the nodes that it needs: path, digest, bytes.
        artifacts: Vec<crate::run::definition::Artifact>,
        prompt: String,
    },
}

/// What a person says of something that waits.
#[derive(Debug, Clone, Copy)]
pub struct Word<'a> {
    pub verdict: Verdict,
    /// Of what was shown.
    pub digest: &'a Digest,
    pub comment: &'a str,
    /// What may be asked for instead; of a suggestion only.
    pub instead: &'a [Capability],
    /// The bounds of a grant; of an approval only.
    pub terms: &'a Terms,
}

/// What became of a decision.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Decided {
    pub id: RequestId,
    pub run: crate::run::id::RunId,
    pub verdict: &'static str,
    pub by: String,
    pub digest: Digest,
    /// Whether a signature proves it.
    pub proven: bool,
    /// The key that signed it, as `SHA256:…`.
    pub key: Option<String>,
}

/// What waits under `text`: an id, the start of one that fits nothing else, or `run/node`.
///
/// # Errors
/// [`Error::NothingWaits`], [`Error::Ambiguous`], or that the registry cannot be read.
pub fn find_waiting(registry: &Registry, text: &str) -> Result<Waiting, Error> {
    let Inbox { waiting, .. } = inbox(registry)?;
    let fits = |item: &&Waiting| item.id.as_str().starts_with(text) || format!("{}/{}", item.run, item.node) == text;
    let found: Vec<&Waiting> = waiting.iter().filter(fits).collect();
    match found.as_slice() {
        [one] => Ok((*one).clone()),
        [] => Err(decided_before(registry, text).unwrap_or_else(|| Error::NothingWaits(text.to_owned()))),
        many => {
            let found = many.iter().map(|item| item.id.to_string()).collect();
            Err(Error::Ambiguous { text: text.to_owned(), found })
        }
    }
}

/// A request that does not wait any more deserves a better answer than "unknown".
fn decided_before(registry: &Registry, text: &str) -> Option<Error> {
    let id = RequestId::parse(text).ok()?;
    for run in registry::queries::list_runs(registry).ok()? {
        let Ok(state) = Store::open(registry, &run).and_then(|store| store.load()) else { continue };
        if let Some(request) = state.request(&id) {
            return Some(match request.status {
                RequestStatus::Requested => Error::NotResolvedYet { id },
                RequestStatus::Unresolvable => Error::Unresolvable { id, reason: request.problem.clone() },
                _ => Error::DecidedBefore { id },
            });
        }
        if review::approval_node(&state, &id).is_some() {
            return Some(Error::DecidedBefore { id });
        }
    }
    None
}

/// Everything that a decision on `waiting` would be about.
///
/// # Errors
/// When the run cannot be read, or nothing waits there any more.
pub fn show(registry: &Registry, waiting: &Waiting) -> Result<Shown, Error> {
    let store = Store::open(registry, &waiting.run)?;
    let mut state = store.load()?;
    if !images::is_ruled_the_same(&store, &state, &waiting.id)? {
        state = store.load()?;
    }
    shown(&store, &state, waiting)
}

/// As [`show`], as the journal has it and without a look at what may have changed since: for a clone of the registry that
/// another machine drives.
///
/// # Errors
/// As [`show`].
pub fn show_as_journaled(registry: &Registry, waiting: &Waiting) -> Result<Shown, Error> {
    let store = Store::open(registry, &waiting.run)?;
    shown(&store, &store.load()?, waiting)
}

fn shown(store: &Store<'_>, state: &State, waiting: &Waiting) -> Result<Shown, Error> {
    if let Some(request) = state.request(&waiting.id) {
        let review = match (&request.resolution, &request.presented) {
            (Some(resolution), _) => images::review_of(state, request, resolution)?,
            (None, Some(presented)) => given::review_of(state, request, presented),
            (None, None) => return Err(Error::NotResolvedYet { id: waiting.id.clone() }),
        };
        return Ok(Shown::Capability(Box::new(review)));
    }
    let Some((definition, _)) = review::approval_node(state, &waiting.id) else {
        return Err(Error::NothingWaits(waiting.id.to_string()));
    };
    let artifacts = definition.needs.iter().filter_map(|need| state.node(need));
    let artifacts = artifacts.flat_map(|(_, node)| node.artifacts.clone()).collect();
    let workflow = super::policy::frozen_workflow(store, state)?;
    let prompt = super::policy::prompt_of(&workflow, state, &definition.id)?;
    Ok(Shown::Approval { artifacts, prompt })
}

/// Decides what waits under `waiting`, on what `digest` names, and lets it take effect in the journal.
///
/// # Errors
/// [`Error::Stale`] when something else stands there now; [`Error::Refused`] when it was decided before.
pub fn decide_on(registry: &Registry, waiting: &Waiting, word: &Word<'_>, hand: &Hand<'_>) -> Result<Decided, Error> {
    let mut decided = decide_all(registry, &[(waiting, word)], hand)?;
    decided.pop().ok_or_else(|| Error::NothingWaits(waiting.id.to_string()))
}

/// Decides several things that wait in one run as they stand beside each other: all of them, or none.
///
/// # Errors
/// As [`decide_on`], of the first that cannot be decided so; nothing was decided then.
pub fn decide_all(
    registry: &Registry,
    words: &[(&Waiting, &Word<'_>)],
    hand: &Hand<'_>,
) -> Result<Vec<Decided>, Error> {
    let Some((first, _)) = words.first() else { return Ok(Vec::new()) };
    let store = Store::open(registry, &first.run)?;
    // What a crash left of an earlier decision counts first.
    let state = take_files(&store, store.load()?)?;
    for (waiting, _) in words {
        if !images::is_ruled_the_same(&store, &state, &waiting.id)? {
            return Err(Error::RuledAnew { id: waiting.id.clone() });
        }
    }
    let allowed = approvers::of_run(registry, &state)?;
    let mut made = Vec::new();
    for (waiting, word) in words {
        let signed = sign(&state, waiting, word, allowed.as_ref(), hand)?;
        let record = judge(&signed.file, &signed.bytes, signed.proof.as_ref());
        made.push((*waiting, *word, signed, record));
    }
    let by = made.first().map_or_else(operator, |(_, _, signed, _)| signed.file.by.clone());
    let committed = store.commit_with(&by, |state, now| {
        let words = made.iter().map(|(waiting, word, _, record)| (waiting.id.clone(), word.verdict, record.clone()));
        let events = decide(state, Command::DecideAll(words.collect()), now)
            .map_err(|refusal| Error::Refused { run: store.run().clone(), refusal })?;
        for (waiting, _, signed, _) in &made {
            make_room(state, &registry.layout().decision(&waiting.id), signed, allowed.as_ref(), now)?;
        }
        // The files first: a crash before the journal leaves decisions that the next tick takes up.
        for (waiting, _, signed, _) in &made {
            write(&registry.layout().decision(&waiting.id), signed)?;
        }
        Ok(events)
    });
    match committed {
        // Written by somebody who did not come to journal it, or through git, since our look: it came first.
        Err(Error::Registry(error)) if error.io_kind() == Some(std::io::ErrorKind::AlreadyExists) => {
            take_files(&store, store.load()?)?;
            let there = |waiting: &&Waiting| registry.layout().decision(&waiting.id).exists();
            let taken = words.iter().map(|(waiting, _)| *waiting).find(there).unwrap_or(first);
            return Err(Error::DecidedBefore { id: taken.id.clone() });
        }
        other => other?,
    };
    for (waiting, _, signed, _) in &made {
        standing::keep(registry, &state, &waiting.id, &signed.file)?;
    }
    Ok(made.iter().map(|(waiting, word, signed, _)| decided(waiting, word, signed)).collect())
}

/// Decides as [`decide_all`] does what can be decided of `words`, which are of one run; what became of each, in their order.
///
/// # Errors
/// When the run or its files cannot be read, or what fits cannot be journaled; nothing was decided then.
pub fn decide_each(
    registry: &Registry,
    words: &[(&Waiting, &Word<'_>)],
    hand: &Hand<'_>,
) -> Result<Vec<Result<Decided, Error>>, Error> {
    let Some((first, _)) = words.first() else { return Ok(Vec::new()) };
    let store = Store::open(registry, &first.run)?;
    let state = take_files(&store, store.load()?)?;
    let mut wrong: Vec<Option<Error>> = Vec::new();
    for (waiting, _) in words {
        let same = images::is_ruled_the_same(&store, &state, &waiting.id)?;
        wrong.push((!same).then(|| Error::RuledAnew { id: waiting.id.clone() }));
    }
    let now = Utc::now();
    let said: Vec<Said> =
        words.iter().map(|(waiting, word)| (waiting.id.clone(), word.verdict, unsigned(word, now))).collect();
    let (_, refusals) = each::decide_each(&store.load()?, &said, now);
    for (wrong, refusal) in wrong.iter_mut().zip(refusals) {
        let refused = |refusal| Error::Refused { run: store.run().clone(), refusal };
        *wrong = wrong.take().or_else(|| refusal.map(refused));
    }
    let fit: Vec<_> = words.iter().zip(&wrong).filter(|(_, wrong)| wrong.is_none()).map(|(word, _)| *word).collect();
    let mut made = decide_all(registry, &fit, hand)?.into_iter();
    let gone = |waiting: &Waiting| Error::NothingWaits(waiting.id.to_string());
    let became = wrong.into_iter().zip(words).map(|(wrong, (waiting, _))| match wrong {
        Some(error) => Err(error),
        None => made.next().ok_or_else(|| gone(waiting)),
    });
    Ok(became.collect())
}

/// What the journal would say of a word, but for its signature: enough to see whether it would count.
fn unsigned(word: &Word<'_>, now: DateTime<Utc>) -> DecisionRecord {
    DecisionRecord {
        by: operator(),
        at: isoformat(now),
        digest: word.digest.clone(),
        comment: word.comment.to_owned(),
        instead: word.instead.to_vec(),
        until: word.terms.until,
        scope: word.terms.scope.clone(),
        file: Digest::of(b""),
        proven: false,
        key: None,
        signature: None,
    }
}

/// Decides as [`decide_on`] does, and leaves it at the file and its signature: for a clone of the registry that another
/// machine drives, which takes the decision up when it comes there.
///
/// # Errors
/// As [`decide_on`]; [`Error::Usage`] where no approvers are configured, since only a signature travels.
pub fn decide_for_elsewhere(
    registry: &Registry,
    waiting: &Waiting,
    word: &Word<'_>,
    hand: &Hand<'_>,
) -> Result<Decided, Error> {
    let state = Store::open(registry, &waiting.run)?.load()?;
    let allowed = approvers::of_run(registry, &state)?;
    if allowed.is_none() {
        let why = "only a signed decision can be made for another machine, and no approvers are configured";
        return Err(Error::Usage(why.to_owned()));
    }
    let signed = sign(&state, waiting, word, allowed.as_ref(), hand)?;
    let record = judge(&signed.file, &signed.bytes, signed.proof.as_ref());
    let command = Command::Decide { id: waiting.id.clone(), verdict: word.verdict, decision: record };
    decide(&state, command, Utc::now()).map_err(|refusal| Error::Refused { run: waiting.run.clone(), refusal })?;
    let path = registry.layout().decision(&waiting.id);
    let placed = make_room(&state, &path, &signed, allowed.as_ref(), Utc::now()).and_then(|()| write(&path, &signed));
    match placed {
        Err(Error::Registry(error)) if error.io_kind() == Some(std::io::ErrorKind::AlreadyExists) => {
            Err(Error::DecidedBefore { id: waiting.id.clone() })
        }
        other => other.map(|()| decided(waiting, word, &signed)),
    }
}

/// A decision as it will lie on disk.
struct Signed {
    file: Decision,
    bytes: Vec<u8>,
    /// Armoured, and whose it is.
    proof: Option<(String, Proof)>,
}

/// Makes the decision's file, and signs it where approvers are configured.
fn sign(
    state: &State,
    waiting: &Waiting,
    word: &Word<'_>,
    allowed: Option<&AllowedSigners>,
    hand: &Hand<'_>,
) -> Result<Signed, Error> {
    let signer = allowed.map(|allowed| hand.signer(allowed, signature::DECISION)).transpose()?;
    let by = signer.map_or_else(operator, |signer| format!("operator:{}", signer.name()));
    let file = Decision::new(
        &state.created.registry,
        waiting.id.clone(),
        waiting.run.clone(),
        match word.verdict {
            Verdict::Approve => FileVerdict::Approve,
            Verdict::Deny => FileVerdict::Deny,
            Verdict::Suggest => FileVerdict::Suggest,
        },
        word.instead.to_vec(),
        word.terms.clone(),
        word.digest.clone(),
        word.comment,
        &by,
        &crate::run::time::isoformat(Utc::now()),
    )?;
    let bytes = file.to_bytes();
    let proof = match (signer, allowed) {
        (Some(signer), Some(allowed)) => {
            if let Some(early) = approvers::too_early(state, &waiting.id, &file.at) {
                return Err(Error::Unsigned(format!("it {early}")));
            }
            let armoured = signer.sign(signature::DECISION, &bytes)?;
            // As whoever reads it will see it: nothing is written that would not count.
            let proof =
                approvers::prove(allowed, &state.created.registry, &bytes, Some(armoured.as_bytes()), &[Utc::now()]);
            Some((armoured, proof.map_err(|unproven| Error::Unsigned(unproven.to_string()))?))
        }
        _ => None,
    };
    Ok(Signed { file, bytes, proof })
}

/// Sees that the place of a decision is free, and sets aside what lies there and does not count.
fn make_room(
    state: &State,
    path: &Path,
    signed: &Signed,
    allowed: Option<&AllowedSigners>,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let Some(bytes) = registry::decisions::read(path)? else { return Ok(()) };
    if let (Some(allowed), Some(_)) = (allowed, &signed.proof) {
        let signature = registry::decisions::read(&registry::decisions::signature(path))?;
        if approvers::prove(allowed, &state.created.registry, &bytes, signature.as_deref(), &[now]).is_err() {
            registry::decisions::set_aside(path)?;
            return Ok(());
        }
    }
    let taken = std::io::Error::from(std::io::ErrorKind::AlreadyExists);
    Err(registry::Error::io("create", path)(taken).into())
}

/// Puts a decision into its place, with its signature.
fn write(path: &Path, signed: &Signed) -> Result<(), Error> {
    if let Some((armoured, _)) = &signed.proof {
        registry::decisions::write_signature(path, armoured)?;
    }
    Ok(registry::decisions::write(path, &signed.bytes)?)
}

fn decided(waiting: &Waiting, word: &Word<'_>, signed: &Signed) -> Decided {
    Decided {
        id: waiting.id.clone(),
        run: waiting.run.clone(),
        verdict: match word.verdict {
            Verdict::Approve => "approved",
            Verdict::Deny => "denied",
            Verdict::Suggest => "answered with an alternative",
        },
        by: signed.file.by.clone(),
        digest: word.digest.clone(),
        proven: signed.proof.is_some(),
        key: signed.proof.as_ref().map(|(_, proof)| proof.key.clone()),
    }
}

/// What the journal says of a decision.
pub(super) fn judge(file: &Decision, bytes: &[u8], proof: Option<&(String, Proof)>) -> DecisionRecord {
    DecisionRecord {
        by: file.by.clone(),
        at: file.at.clone(),
        digest: file.digest.clone(),
        comment: file.comment.clone(),
        instead: file.instead.clone(),
        until: file.until,
        scope: file.scope.clone(),
        file: Digest::of(bytes),
        proven: proof.is_some(),
        key: proof.map(|(_, proof)| proof.key.clone()),
        signature: proof.map(|(armoured, _)| Digest::of(armoured.as_bytes())),
    }
}
