//! `audit verify`: what the journal says has to lie on disk, handed to the room that checks it.

use crate::audit::{self, Expected};
use crate::registry::Head;
use crate::registry::Registry;
use crate::run::id::{Digest, RunId};
use crate::run::state::State;

use super::error::Error;
use super::store::Store;

/// Proves the files of run `run` against its journal, and the journal against itself.
///
/// # Errors
/// When a file cannot be read; what is wrong inside one stands in the report.
pub fn verify(registry: &Registry, run: &RunId) -> Result<audit::Report, Error> {
    let store = Store::open(registry, run)?;
    // A journal that does not fold is still walked byte by byte: the report says where it breaks.
    let state = store.load();
    let expected = state.as_ref().map(|state| expected(&store, state)).unwrap_or_default();
    let decided = expected.files.iter().any(|(path, _)| path.starts_with(registry.layout().decisions()));
    let mut report = audit::verify(registry, run, &expected)?;
    if let Err(error) = state
        && report.problems.is_empty()
    {
        report.problems.push(audit::Problem::of("events.jsonl", 0, 0, error.to_string()));
    }
    if decided {
        let what = "decisions are unproven: no signatures are configured";
        report.warnings.push(audit::Problem::of("decisions", 0, 0, what));
    }
    Ok(report)
}

fn expected(store: &Store<'_>, state: &State) -> Expected {
    let layout = store.layout();
    let root = layout.root();
    let mut files = vec![(layout.workflow(), state.created.workflow_digest.clone())];
    files.extend(state.created.inputs.iter().map(|input| (root.join(&input.path), input.sha256.clone())));
    for node in &state.nodes {
        files.extend(node.artifacts.iter().map(|artifact| (root.join(&artifact.path), artifact.sha256.clone())));
    }
    let mut decisions: Vec<(std::path::PathBuf, Digest)> = Vec::new();
    for request in &state.requests {
        if let Some(decision) = &request.decision {
            decisions.push((store.registry().layout().decision(&request.id), decision.file.clone()));
        }
    }
    files.extend(decisions);
    let traffic = state
        .nodes
        .iter()
        .flat_map(|node| &node.attempts)
        .filter_map(|attempt| attempt.end.as_ref().and_then(|end| end.traffic.as_ref()))
        .map(|head| Head { at: head.at, digest: head.digest.clone(), seq: 0 })
        .collect();
    Expected { files, traffic, journal: Vec::new() }
}
