//! `audit verify`: what the journal says has to lie on disk, handed to the room that checks it.

use std::path::PathBuf;

use crate::audit::{self, Expected, Problem};
use crate::registry::{Head, Registry, decisions as decision_files};
use crate::run::event::{Event, SkipReason};
use crate::run::id::{Digest, RunId};
use crate::run::record::Record;
use crate::run::review;
use crate::run::state::State;
use crate::run::status::{NodeKind, NodeStatus};

use super::error::Error;
use super::store::Store;

/// Each decision's file has to be the one that took effect.
pub(crate) fn decisions(registry: &Registry, state: &State, report: &mut audit::Report) -> Result<(), Error> {
    let of_requests =
        state.requests.iter().filter_map(|request| Some((request.id.clone(), request.decision.as_ref()?)));
    let of_nodes = state.pairs().filter_map(|(definition, node)| {
        let last = crate::run::state::Node { approvals: node.approvals.checked_sub(1)?, ..node.clone() };
        Some((review::approval_id(state, definition, &last), node.decision.as_ref()?))
    });
    let mut any = false;
    for (id, decision) in of_requests.chain(of_nodes) {
        any = true;
        let name = format!("decisions/{id}.json");
        match decision_files::read(&registry.layout().decision(&id))? {
            Some(bytes) if Digest::of(&bytes) == decision.file => {}
            Some(_) => report.problems.push(Problem::of(&name, 0, 0, "is not the decision that the journal names")),
            None => report.problems.push(Problem::of(&name, 0, 0, "is gone; the journal names its digest")),
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
    let store = Store::open(registry, run)?;
    // A journal that does not fold is still walked byte by byte: the report says where it breaks.
    let state = store.load();
    let expected = state.as_ref().map(expected).unwrap_or_default();
    let mut report = audit::verify(registry, run, &expected)?;
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
