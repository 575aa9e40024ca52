//! The projections of a run: what others read, made from the state alone. They may lag behind the journal after a
//! crash; the next commit, or `repair`, writes them again.

use serde_json::json;

use crate::registry::project::{replace, write_if_changed};
use crate::registry::{Head, RunLayout, to_opentask_json};
use crate::run::projection::{refs_json, result_json, state_json};
use crate::run::state::{Request, State};
use crate::run::time::isoformat;

use super::error::Error;

/// The two projections that others read and may write, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shared {
    pub(crate) state: String,
    pub(crate) refs: String,
}

impl Shared {
    pub(crate) fn of(state: &State) -> Self {
        Self { state: to_opentask_json(&state_json(state)), refs: to_opentask_json(&refs_json(state)) }
    }
}

/// Writes those projections that are not on disk as they should be. `standing` is what was found on disk of the two that
/// others write, so that they need not be read once more; none if nobody looked.
pub(crate) fn write(layout: &RunLayout, state: &State, head: &Head, standing: Option<&Shared>) -> Result<(), Error> {
    let (state_path, refs_path) = (layout.state(), layout.refs());
    for (path, text) in all(layout, state, head)? {
        let found = standing.and_then(|standing| {
            if path == state_path {
                Some(&standing.state)
            } else if path == refs_path {
                Some(&standing.refs)
            } else {
                None
            }
        });
        match found {
            Some(found) if *found == text => {}
            Some(_) => replace(&path, text.as_bytes())?,
            None => in_its_folder(&path, text.as_bytes())?,
        }
    }
    Ok(())
}

/// Writes a file whose folder may not be there yet.
fn in_its_folder(path: &std::path::Path, bytes: &[u8]) -> Result<(), Error> {
    match write_if_changed(path, bytes) {
        Err(error) if error.io_kind() == Some(std::io::ErrorKind::NotFound) => {}
        other => return Ok(other.map(drop)?),
    }
    if let Some(folder) = path.parent() {
        let io = |source| Error::Io { action: "create", path: folder.to_owned(), source };
        std::fs::create_dir_all(folder).map_err(io)?;
    }
    write_if_changed(path, bytes)?;
    Ok(())
}

/// Every projection with its text.
pub(crate) fn all(layout: &RunLayout, state: &State, head: &Head) -> Result<Vec<(std::path::PathBuf, String)>, Error> {
    let ours = json!({
        "format": crate::run::definition::FORMAT,
        "journal": {"at": head.at, "digest": head.digest, "seq": head.seq},
        "state": serde_json::to_value(state).map_err(Error::Json)?,
    });
    let shared = Shared::of(state);
    let mut files = vec![(layout.state(), shared.state), (layout.refs(), shared.refs)];
    for request in &state.requests {
        files.push((layout.capability(&request.id), to_opentask_json(&capability(request)?)));
    }
    for (definition, node) in state.pairs() {
        if let Some(result) = result_json(state, definition, node) {
            files.push((layout.node(&definition.id).join("result.json"), to_opentask_json(&result)));
        }
    }
    // Last: its position says that the others are as far.
    files.push((layout.taskforge(), format!("{ours}\n")));
    Ok(files)
}

fn capability(request: &Request) -> Result<serde_json::Value, Error> {
    Ok(json!({
        "id": request.id,
        "capability": request.capability,
        "status": request.status,
        "node": request.node,
        "attempt": request.attempt,
        "askers": request.askers.iter().map(|(node, attempt)| format!("{node}/{attempt}")).collect::<Vec<_>>(),
        "reason": request.reason,
        "at": isoformat(request.at),
        "resolution": serde_json::to_value(&request.resolution).map_err(Error::Json)?,
        "decision": serde_json::to_value(&request.decision).map_err(Error::Json)?,
        "problem": request.problem,
        "image": request.image,
    }))
}
