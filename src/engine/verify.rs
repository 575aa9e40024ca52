//! `audit verify`: what the journal says has to lie on disk, handed to the room that checks it.

use std::path::PathBuf;

use crate::audit::note::{NoteError, Vkey};
use crate::audit::{self, Expected, Problem};
use crate::registry::{Head, Registry, decisions as decision_files};
use crate::run::event::{DecisionRecord, Event, SkipReason};
use crate::run::id::{Digest, RequestId, RunId};
use crate::run::record::Record;
use crate::run::review;
use crate::run::ruling::Effect;
use crate::run::state::{RequestStatus, State};
use crate::run::status::{NodeKind, NodeStatus};

use super::error::Error;
use super::seal;
use super::store::Store;

/// What a run is verified against beyond what lies in the registry.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// Checkpoints that were kept elsewhere: a name to call them by, and their bytes.
    pub checkpoints: Vec<(String, Vec<u8>)>,
    /// The only keys that count, from elsewhere too; those of the registry if there are none.
    pub keys: Vec<Vkey>,
}

/// The heads that checkpoints name, and what is wrong with others of them, gravely or not.
type Checkpoints = (Vec<Head>, Vec<Problem>, Vec<Problem>);

/// The heads that checkpoints of run `run` name; what is wrong with one of them is a problem of the run.
fn checkpoints(registry: &Registry, run: &RunId, given: &Given) -> Result<Checkpoints, Error> {
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
        said.push((name.clone(), seal::open(registry, run, bytes, &keys)?));
    }
    let stored = seal::stored(registry, run, &keys)?;
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

/// The decisions of people that took effect, by the id of their file.
pub(crate) fn decided(state: &State) -> Vec<(RequestId, &DecisionRecord)> {
    let of_requests =
        state.requests.iter().filter_map(|request| Some((request.id.clone(), request.decision.as_ref()?)));
    let of_requests = of_requests.filter(|(_, decision)| !decision.is_by_rule());
    let of_nodes = state.pairs().filter_map(|(definition, node)| {
        let last = crate::run::state::Node { approvals: node.approvals.checked_sub(1)?, ..node.clone() };
        Some((review::approval_id(state, definition, &last), node.decision.as_ref()?))
    });
    of_requests.chain(of_nodes).collect()
}

/// Each decision's file has to be the one that took effect.
pub(crate) fn decisions(registry: &Registry, state: &State, report: &mut audit::Report) -> Result<(), Error> {
    let mut any = false;
    for (id, decision) in decided(state) {
        any = true;
        let name = format!("decisions/{id}.json");
        match decision_files::read(&registry.layout().decision(&id))? {
            Some(bytes) if Digest::of(&bytes) == decision.file => {}
            Some(_) => report.problems.push(Problem::of(&name, 0, 0, "is not the decision that the journal names")),
            None => report.problems.push(Problem::of(&name, 0, 0, "is gone; the journal names its digest")),
        }
    }
    for request in &state.requests {
        let Some(decision) = request.decision.as_ref().filter(|decision| decision.is_by_rule()) else { continue };
        let allowed = request.ruling().filter(|ruling| ruling.effect == Effect::Allow);
        let explained =
            allowed.is_some_and(|ruling| ruling.by() == decision.by) && request.review() == Some(&decision.digest);
        if request.status != RequestStatus::Denied && !explained {
            let what = format!("request {} was approved by {}, which did not allow it", request.id, decision.by);
            report.problems.push(Problem::of("decisions", 0, 0, what));
        }
    }
    let undecided = state.pairs().filter(|(definition, node)| {
        let passed = matches!(node.status, NodeStatus::Completed | NodeStatus::Skipped) && node.decision.is_none();
        definition.kind == NodeKind::Approval && passed && !matches!(node.skipped, Some(SkipReason::NeedFailed(_)))
    });
    for (definition, _) in undecided {
        let what = format!("approval node {} went by without a decision: whoever did it is unproven", definition.id);
        report.warnings.push(Problem::of("decisions", 0, 0, what));
    }
    if any {
        report.warnings.push(Problem::of("decisions", 0, 0, "are unproven: no signatures are configured"));
    }
    Ok(())
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
    let (heads, problems, warnings) = checkpoints(registry, run, given)?;
    let state = store.load();
    let mut expected = state.as_ref().map(expected).unwrap_or_default();
    expected.journal = heads;
    let mut report = audit::verify(registry, run, &expected)?;
    report.checkpoints = expected.journal.len() as u64;
    report.problems.extend(problems);
    report.warnings.extend(warnings);
    match state {
        Ok(state) => {
            decisions(registry, &state, &mut report)?;
            refusals(&store.records()?, &mut report);
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
    let traffic = state
        .nodes
        .iter()
        .flat_map(|node| &node.attempts)
        .filter_map(|attempt| attempt.end.as_ref().and_then(|end| end.traffic.as_ref()))
        .map(|head| Head { at: head.at, digest: head.digest.clone(), seq: 0 })
        .collect();
    Expected { files, traffic, journal: Vec::new() }
}
