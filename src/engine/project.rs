//! The projections of a run: what others read, made from the state alone. They may lag behind the journal after a
//! crash; the next commit, or `repair`, writes them again.

use serde_json::json;

use crate::registry::project::write_if_changed;
use crate::registry::{Head, RunLayout, to_opentask_json};
use crate::run::projection::{refs_json, result_json, state_json};
use crate::run::state::{Request, State};
use crate::run::time::isoformat;

use super::error::Error;

/// Writes those projections that are not on disk as they should be.
pub(crate) fn write(layout: &RunLayout, state: &State, head: &Head) -> Result<(), Error> {
    for (path, text) in all(layout, state, head)? {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|source| Error::Io {
                action: "create",
                path: folder.to_owned(),
                source,
            })?;
        }
        write_if_changed(&path, text.as_bytes())?;
    }
    Ok(())
}

/// Every projection with its text.
pub(crate) fn all(layout: &RunLayout, state: &State, head: &Head) -> Result<Vec<(std::path::PathBuf, String)>, Error> {
    let ours = json!({
        "format": crate::run::definition::FORMAT,
        "journal": {"at": head.at, "digest": head.digest, "seq": head.seq},
        "state": serde_json::to_value(state).map_err(Error::Json)?,
    });
    let mut files = vec![
        (layout.state(), to_opentask_json(&state_json(state))),
        (layout.refs(), to_opentask_json(&refs_json(state))),
    ];
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
