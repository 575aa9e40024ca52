//! `audit verify`: what the journal says has to lie on disk, handed to the room that checks it.

use std::cell::LazyCell;
use std::collections::BTreeMap;
use std::path::PathBuf;

use chrono::{DateTime, Utc};

use crate::audit::note::{NoteError, Vkey};
use crate::audit::{self, Expected, Problem};
use crate::capability::{Decision, Verdict};
use crate::registry::{Head, Registry, decisions as decision_files};
use crate::run::deployment::Deployment;
use crate::run::event::{DecisionRecord, Event};
use crate::run::id::{Digest, RequestId, RunId};
use crate::run::record::Record;
use crate::run::review;
use crate::run::ruling::Effect;
use crate::run::state::{Request, RequestStatus, State};
use crate::run::status::NodeStatus;
use crate::run::time::parse_time;
use crate::signature::AllowedSigners;

use super::approvers;
use super::error::Error;
use super::seal::Sealable;
use super::store::Store;
use super::{as_decided, binary, kept_rules, package_set, seal, standing};

/// What a run is verified against beyond what lies in the registry.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// Checkpoints that were kept elsewhere: a name to call them by, and their bytes.
    pub checkpoints: Vec<(String, Vec<u8>)>,
    /// The only keys that count, from elsewhere too; those of the registry if there are none.
    pub keys: Vec<Vkey>,
    /// Who may sign decisions, from elsewhere; as the registry says if there is nothing here.
    pub allowed: Option<AllowedSigners>,
}

/// The heads that checkpoints name, and what is wrong with others of them, gravely or not.
type Checkpoints = (Vec<Head>, Vec<Problem>, Vec<Problem>);

/// The heads that checkpoints of a journal name; what is wrong with one of them is a problem of it.
pub(crate) fn checkpoints(registry: &Registry, whose: Sealable<'_>, given: &Given) -> Result<Checkpoints, Error> {
    let (mut heads, mut problems, mut warnings) = (Vec::new(), Vec::new(), Vec::new());
    let keys = if given.keys.is_empty() {
        match seal::checkpoint_keys(registry) {
            Ok(keys) => keys,
            Err(Error::Checkpoint { file, what }) => {
                problems.push(Problem::of(&file, 0, 0, what));
                Vec::new()
            }
            Err(error) => return Err(error),
        }
    } else {
        given.keys.clone()
    };
    let mut said: Vec<(String, Result<_, seal::CheckpointError>)> = Vec::new();
    for (name, bytes) in &given.checkpoints {
        said.push((name.clone(), seal::open(registry, whose, bytes, &keys)?));
    }
    let stored = seal::stored(registry, whose, &keys)?;
    let stored_names: Vec<String> = stored.iter().map(|(file, ..)| file.clone()).collect();
    let is_stored = |name: &str| stored_names.iter().any(|stored| stored == name);
    said.extend(stored.into_iter().map(|(file, _, said)| (file, said)));
    for (name, said) in said {
        match said {
            Ok(checkpoint) => heads.push(checkpoint.head),
            // Those of the registry's own key, where the caller goes by others.
            Err(seal::CheckpointError::Note(NoteError::Unknown(_))) if !given.keys.is_empty() && is_stored(&name) => {
                warnings.push(Problem::of(&name, 0, 0, "is signed by none of the keys given, and does not count"));
            }
            Err(error) => problems.push(Problem::of(&name, 0, 0, error.to_string())),
        }
    }
    Ok((heads, problems, warnings))
}

/// A decision of a person that took effect.
pub(crate) struct Decided<'a> {
    /// Of its file.
    pub id: RequestId,
    pub record: &'a DecisionRecord,
    /// As what it took effect; none of an approval node that somebody has taken up again since.
    pub verdict: Option<Verdict>,
}

/// The decisions of people that took effect.
pub(crate) fn decided(state: &State) -> Vec<Decided<'_>> {
    let of_requests = state.requests.iter().filter_map(|request| {
        let record = request.decision.as_ref().filter(|decision| !decision.is_by_rule())?;
        let verdict = match request.status {
            RequestStatus::Denied => Verdict::Deny,
            RequestStatus::Superseded => Verdict::Suggest,
            // Whatever became of it later, it was granted.
            _ => Verdict::Approve,
        };
        Some(Decided { id: request.id.clone(), record, verdict: Some(verdict) })
    });
    let of_nodes = state.pairs().filter_map(|(definition, node)| {
        let last = crate::run::state::Node { approvals: node.approvals.checked_sub(1)?, ..node.clone() };
        let verdict = match node.status {
            NodeStatus::Completed => Some(Verdict::Approve),
            NodeStatus::Failed => Some(Verdict::Deny),
            _ => None,
        };
        Some(Decided { id: review::approval_id(state, definition, &last), record: node.decision.as_ref()?, verdict })
    });
    of_requests.chain(of_nodes).collect()
}

/// Where the journal says something else of a decision than its file: a decision is good for one request of one run, for
/// what was shown of it, and for what it says and nothing else.
pub(crate) fn misfit(state: &State, decided: &Decided<'_>, bytes: &[u8]) -> Option<String> {
    let file = match Decision::parse(bytes) {
        Ok(file) => file,
        Err(error) => return Some(error.to_string()),
    };
    let record = decided.record;
    let bound = file.request == decided.id && file.run == state.run && file.is_of(&state.created.registry);
    if !bound || file.digest != record.digest {
        return Some("is for another request".to_owned());
    }
    if decided.verdict.is_some_and(|verdict| verdict != file.verdict) {
        return Some(format!("says {}, and the journal has it for something else", file.verdict.as_str()));
    }
    if file.terms() != record.terms() {
        return Some("says another time or scope than the journal has for it".to_owned());
    }
    let said = (&file.by, &file.at, &file.comment, &file.instead);
    let same = said == (&record.by, &record.at, &record.comment, &record.instead);
    (!same).then(|| "says something else than the journal has for it".to_owned())
}

/// Each decision's file has to be the one that took effect.
pub(crate) fn decisions(
    registry: &Registry,
    state: &State,
    records: &[Record],
    given: &Given,
    report: &mut audit::Report,
) -> Result<(), Error> {
    let decided = decided(state);
    for one in &decided {
        let name = format!("decisions/{}.json", one.id);
        match decision_files::read(&registry.layout().decision(&one.id))? {
            // What is signed is looked at with its signature.
            Some(bytes) if Digest::of(&bytes) == one.record.file => {
                let what = misfit(state, one, &bytes).filter(|_| !one.record.proven);
                report.problems.extend(what.map(|what| Problem::of(&name, 0, 0, what)));
            }
            Some(_) => report.problems.push(Problem::of(&name, 0, 0, "is not the decision that the journal names")),
            None => report.problems.push(Problem::of(&name, 0, 0, "is gone; the journal names its digest")),
        }
    }
    late(state, records, report);
    shown(state, report);
    for request in &state.requests {
        let more = package_set::more_than_shown(request)?;
        if !more.is_empty() {
            let what = format!("request {} was given what was never shown of it: {}", request.id, more.join(", "));
            report.problems.push(Problem::of("events.jsonl", 0, 0, what));
        }
    }
    let allowed = match &given.allowed {
        Some(allowed) => Some(allowed.clone()),
        // Where that cannot be read, the signatures below say so.
        None => approvers::of_run(registry, state).ok().flatten(),
    };
    for what in unexplained(registry, state, allowed.as_ref()) {
        report.problems.push(Problem::of("decisions", 0, 0, what));
    }
    for definition in approvers::passed_by(state).filter(|_| !state.created.signed) {
        let what = format!("approval node {} went by without a decision: whoever did it is unproven", definition.id);
        report.warnings.push(Problem::of("decisions", 0, 0, what));
    }
    signatures(registry, state, records, given, report)?;
    if decided.iter().any(|one| !one.record.proven) && !state.created.signed {
        let what = if approvers::are_configured(registry)? {
            "were made before approvers were configured: those without a signature are unproven"
        } else {
            "are unproven: no signatures are configured"
        };
        report.warnings.push(Problem::of("decisions", 0, 0, what));
    }
    Ok(())
}

/// What people decided on has to be what the journal shows of it: the digest that they named is reckoned anew.
fn shown(state: &State, report: &mut audit::Report) {
    // All of the program is read for it: once, and where there is a reason to.
    let by_us = LazyCell::new(|| state.created.binary.is_some() && state.created.binary == binary::own_digest());
    for request in &state.requests {
        let Some(decision) = request.decision.as_ref().filter(|decision| !decision.is_by_rule()) else { continue };
        // A word on what was not resolved yet names the digest of nothing.
        let refused = matches!(request.status, RequestStatus::Denied | RequestStatus::Superseded);
        if refused && decision.digest == Digest::of(b"") {
            continue;
        }
        let id = &request.id;
        match as_decided::of(state, request) {
            Ok(Some(shown)) if !shown.is_the_same() => {
                let what = format!("what the journal shows of request {id} is not what was decided on");
                // The sentences that say what a grant does, and the steps of a Dockerfile, are this program's: another one may
                // have had others.
                let recipe = request.resolution.as_ref().map(|resolution| &resolution.recipe);
                let ours = !shown.review.effect.is_empty() || shown.review.recipe.as_ref() != recipe;
                if !ours || *by_us {
                    report.problems.push(Problem::of("events.jsonl", 0, 0, what));
                } else {
                    let what = format!("{what}, or was said in other words by the program that the run was made with");
                    report.warnings.push(Problem::of("events.jsonl", 0, 0, what));
                }
            }
            Ok(_) => {}
            Err(error) => {
                let what = format!("what was shown of request {id} cannot be made again: {error}");
                report.warnings.push(Problem::of("events.jsonl", 0, 0, what));
            }
        }
    }
}

/// What rules and standing grants gave without having allowed it.
fn unexplained(registry: &Registry, state: &State, allowed: Option<&AllowedSigners>) -> Vec<String> {
    let mut found = Vec::new();
    for request in &state.requests {
        let Some(decision) = request.decision.as_ref().filter(|decision| decision.is_by_rule()) else { continue };
        if request.status == RequestStatus::Denied {
            continue;
        }
        let (id, by) = (&request.id, &decision.by);
        let allowing = request.ruling().filter(|ruling| ruling.effect == Effect::Allow);
        if allowing.is_none_or(|ruling| ruling.by() != *by) || request.review() != Some(&decision.digest) {
            found.push(format!("request {id} was approved by {by}, which did not allow it"));
        } else if let Some(why) = standing::problem(registry, state, request, decision, allowed) {
            found.push(format!("request {id} was approved by {by}, which does not cover it: {why}"));
        } else if decision.standing().is_none()
            && let Some(why) = kept_rules::problem(registry, state, request, allowed)
        {
            found.push(format!("request {id} was approved by {by}, and {why}"));
        }
    }
    found
}

/// Decisions by rules are looked at again each time that the run is driven on, as those of people are.
///
/// # Errors
/// [`Error::Unexplained`] if one was not what the rules said of the request, or, by the very rules that are recorded with it, is
/// not what they say; where approvers are configured, if those rules, with their signatures, are not there.
pub(crate) fn require_explained(store: &Store<'_>, state: &State) -> Result<(), Error> {
    let by_rule = |request: &Request| request.decision.as_ref().is_some_and(DecisionRecord::is_by_rule);
    if !state.requests.iter().any(|request| request.status.is_granted() && by_rule(request)) {
        return Ok(());
    }
    let (registry, run) = (store.registry(), store.run());
    let allowed = approvers::of_run(registry, state)?;
    match unexplained(registry, state, allowed.as_ref()).into_iter().next() {
        Some(what) => Err(Error::Unexplained { run: run.clone(), what }),
        None => Ok(()),
    }
}

/// No attempt was started with what was granted for a time that was over.
fn late(state: &State, records: &[Record], report: &mut audit::Report) {
    let limited = |request: &&Request| request.decision.as_ref().is_some_and(|decision| decision.until.is_some());
    for request in state.requests.iter().filter(limited) {
        let Some(until) = request.decision.as_ref().and_then(|decision| decision.until) else { continue };
        let applied = records.iter().filter_map(|record| Some((Event::from_record(record).ok()?, record)));
        for (event, record) in applied {
            let with = match &event {
                Event::CapabilityApplied { id, .. } => *id == request.id,
                Event::NodeDispatching { plan, .. } => plan.mounts.iter().any(|mount| mount.request == request.id),
                _ => false,
            };
            if with && parse_time(&record.timestamp).is_some_and(|at| at > until) {
                let what = format!(
                    "seq {}: what was granted by {} until {until} came into force later",
                    record.seq, request.id
                );
                report.problems.push(Problem::of("events.jsonl", 0, 0, what));
            }
        }
    }
}

/// Each signed decision is checked against who may sign, and whose key was good when it took effect by the journal's
/// time.
fn signatures(
    registry: &Registry,
    state: &State,
    records: &[Record],
    given: &Given,
    report: &mut audit::Report,
) -> Result<(), Error> {
    let decided = decided(state);
    let any = state.created.signed || decided.iter().any(|one| one.record.proven);
    if !any && (decided.is_empty() || !approvers::is_required(registry)?) {
        return Ok(());
    }
    let allowed = match &given.allowed {
        Some(allowed) => Ok(allowed.clone()),
        None => approvers::of_run(registry, state).map(Option::unwrap_or_default),
    };
    let allowed = match allowed {
        Ok(allowed) => allowed,
        Err(Error::Registry(error)) => return Err(error.into()),
        Err(error) => {
            report.problems.push(Problem::of("allowed_signers", 0, 0, error.to_string()));
            return Ok(());
        }
    };
    let times = times_of(records);
    for (file, what) in approvers::unproven(registry, state, &allowed, &times)? {
        report.problems.push(Problem::of(&file, 0, 0, what));
    }
    report.signatures = decided.iter().filter(|one| one.record.proven).count() as u64;
    Ok(())
}

/// When each decision took effect, by the digest of its file.
pub(crate) fn times_of(records: &[Record]) -> BTreeMap<Digest, DateTime<Utc>> {
    let mut times = BTreeMap::new();
    for record in records {
        let decision = match Event::from_record(record) {
            Ok(
                Event::CapabilityApproved { decision, .. }
                | Event::CapabilityDenied { decision, .. }
                | Event::CapabilitySuperseded { decision, .. },
            ) => Some(decision),
            Ok(Event::NodeCompleted { decision, .. }) => decision,
            Ok(Event::NodeFailed { decision, .. }) => decision.map(|decision| *decision),
            _ => None,
        };
        if let (Some(decision), Some(at)) = (decision, parse_time(&record.timestamp)) {
            times.insert(decision.file, at);
        }
    }
    times
}

/// What other programs changed and the journal refused: whoever made those changes takes them for done.
fn refusals(records: &[Record], report: &mut audit::Report) {
    for record in records.iter().filter(|record| record.event == "registry.adopted") {
        let Ok(Event::RegistryAdopted(adoption)) = Event::from_record(record) else { continue };
        for refused in &adoption.refused {
            let what = format!(
                "seq {}: another program's change of {} was refused: {}",
                record.seq, refused.what, refused.why
            );
            report.warnings.push(Problem::of("events.jsonl", 0, 0, what));
        }
    }
}

/// Proves the files of run `run` against its journal, and the journal against itself.
///
/// # Errors
/// When a file cannot be read; what is wrong inside one stands in the report.
pub fn verify(registry: &Registry, run: &RunId) -> Result<audit::Report, Error> {
    verify_against(registry, run, &Given::default())
}

/// [`verify`], and against checkpoints from elsewhere.
///
/// # Errors
/// As [`verify`].
pub fn verify_against(registry: &Registry, run: &RunId, given: &Given) -> Result<audit::Report, Error> {
    let store = Store::open(registry, run)?;
    // A journal that does not fold is still walked byte by byte: the report says where it breaks.
    // Checkpoints before the journal: of two that grow, the one that must not be ahead is read earlier.
    let (heads, problems, warnings) = checkpoints(registry, Sealable::Run(run), given)?;
    let state = store.load();
    let mut expected = state.as_ref().map(expected).unwrap_or_default();
    expected.journal = heads;
    let mut report = audit::verify(registry, run, &expected)?;
    report.checkpoints = expected.journal.len() as u64;
    report.problems.extend(problems);
    report.warnings.extend(warnings);
    match state {
        Ok(state) => {
            let records = store.records()?;
            decisions(registry, &state, &records, given, &mut report)?;
            refusals(&records, &mut report);
            if state.status.is_terminal() && report.problems.is_empty() {
                let unclear = super::unclear_actions(registry, &state)?.into_iter();
                let warning = |one: super::UnclearAction| {
                    Problem::of("gate/traffic.jsonl", 0, 0, format!("{one}; `{}` says it", one.fix))
                };
                report.warnings.extend(unclear.map(warning));
            }
        }
        Err(error) if report.problems.is_empty() => {
            report.problems.push(Problem::of("events.jsonl", 0, 0, error.to_string()));
        }
        Err(_) => {}
    }
    Ok(report)
}

pub(crate) fn expected(state: &State) -> Expected {
    // Relative to the run's folder, as the journal has them.
    let mut files = vec![(PathBuf::from("workflow.lock.md"), state.created.workflow_digest.clone())];
    let outputs = state.nodes.iter().flat_map(|node| &node.artifacts);
    let artifacts = state.created.inputs.iter().chain(outputs);
    files.extend(artifacts.map(|artifact| (PathBuf::from(&artifact.path), artifact.sha256.clone())));
    let deployments = PathBuf::from("deployments");
    let traffic = state
        .nodes
        .iter()
        .flat_map(|node| &node.attempts)
        .filter_map(|attempt| attempt.end.as_ref().and_then(|end| end.traffic.as_ref()))
        .map(|head| Head { at: head.at, digest: head.digest.clone(), seq: 0 })
        .collect();
    // What is deployed is what was approved, for as long as that is in force.
    for deployment in state.deployments.iter().filter(|deployment| state.keeps_its_port(deployment)) {
        let Some((_, proposed)) = state.approved_deployment(&deployment.id) else { continue };
        let folder = deployments.join(deployment.id.as_str()).join("files");
        files.extend(proposed.files.iter().map(|file| (folder.join(&file.path), file.sha256.clone())));
    }
    let last = |deployment: &Deployment| {
        let head = deployment.last.as_ref().and_then(|last| last.end.traffic.as_ref());
        head.map(|head| Head { at: head.at, digest: head.digest.clone(), seq: 0 })
    };
    let of_deployments = state.deployments.iter();
    let of_deployments = of_deployments
        .map(|deployment| (deployments.join(deployment.id.as_str()), last(deployment).into_iter().collect()))
        .collect();
    Expected { files, traffic, deployments: of_deployments, journal: Vec::new() }
}
