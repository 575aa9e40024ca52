//! The projections of a run: what others read, made from the state alone. They may lag behind the journal after a
//! crash; the next commit, or `repair`, writes them again.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::json;

use crate::registry::journal::heads::{Projections, RULES};

use crate::registry::project::{replace, write_if_changed};
use crate::registry::{Head, RunLayout, to_opentask_json};
use crate::run::id::Digest;
use crate::run::projection::{RefsFile, StateFile, result_json};
use crate::run::state::{Request, State};
use crate::run::time::isoformat;

use super::error::Error;

/// What the two projections that others read and may write hash to, as they stand on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shared {
    pub(crate) state: Digest,
    pub(crate) refs: Digest,
}

/// Writes those projections that are not on disk as they should be, and says which they are. `standing` are those that
/// were found on disk, so that they need not be read once more; none if nobody looked.
pub(crate) fn write(
    layout: &RunLayout,
    state: &State,
    head: &Head,
    standing: Option<&Shared>,
) -> Result<Projections, Error> {
    let files = all(layout, state, head)?;
    let written = digests(layout, &files);
    let same = |path: &Path| {
        standing.is_some_and(|standing| {
            (path == layout.state() && standing.state == written.state)
                || (path == layout.refs() && standing.refs == written.refs)
        })
    };
    for (path, text) in &files {
        // What names the place in the journal is another with each commit.
        if *path == layout.taskforge() && standing.is_some() {
            replace(path, text.as_bytes())?;
        } else if !same(path) {
            in_its_folder(path, text.as_bytes())?;
        }
    }
    Ok(written)
}

/// What the three files of a run that always are there hash to.
pub(crate) fn digests(layout: &RunLayout, files: &[(PathBuf, String)]) -> Projections {
    let digest = |path: PathBuf| {
        let text = files.iter().find(|(name, _)| *name == path).map_or("", |(_, text)| text);
        Digest::of(text.as_bytes())
    };
    Projections {
        rules: RULES.to_owned(),
        taskforge: digest(layout.taskforge()),
        state: digest(layout.state()),
        refs: digest(layout.refs()),
    }
}

/// Writes a file whose folder may not be there yet.
fn in_its_folder(path: &Path, bytes: &[u8]) -> Result<(), Error> {
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

/// `taskforge.json`: the state itself, and up to where in the journal it goes.
#[derive(Serialize)]
struct Ours<'a> {
    format: u32,
    journal: &'a Head,
    state: &'a State,
}

/// Every projection with its text.
pub(crate) fn all(layout: &RunLayout, state: &State, head: &Head) -> Result<Vec<(PathBuf, String)>, Error> {
    let mut files = vec![
        (layout.state(), to_opentask_json(&StateFile::of(state))),
        (layout.refs(), to_opentask_json(&RefsFile::of(state))),
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
    let ours = Ours { format: crate::run::definition::FORMAT, journal: head, state };
    files.push((layout.taskforge(), serde_json::to_string(&ours).map_err(Error::Json)? + "\n"));
    Ok(files)
}

fn capability(request: &Request) -> Result<serde_json::Value, Error> {
    let mut value = json!({
        "id": request.id,
        "capability": request.capability,
        "status": request.status,
        "node": request.node,
        "attempt": request.attempt,
        "askers": request.askers.iter().map(|(node, attempt)| format!("{node}/{attempt}")).collect::<Vec<_>>(),
        "reason": request.reason,
        "at": isoformat(request.at),
        "resolution": serde_json::to_value(&request.resolution).map_err(Error::Json)?,
        "presented": serde_json::to_value(&request.presented).map_err(Error::Json)?,
        "edited": serde_json::to_value(&request.edited).map_err(Error::Json)?,
        "decision": serde_json::to_value(&request.decision).map_err(Error::Json)?,
        "problem": request.problem,
        "image": request.image,
    });
    if let Some(relocked) = &request.relocked {
        value["relocked"] = serde_json::to_value(relocked).map_err(Error::Json)?;
    }
    Ok(value)
}
