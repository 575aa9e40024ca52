//! Mending what is safe to mend: under the run's lock, by the way that any command goes, with what is replaced kept
//! first.

use std::path::PathBuf;

use chrono::Utc;
use serde::Serialize;

use crate::registry::repaired::Kept;
use crate::registry::{Registry, RunLock, project};
use crate::run::id::RunId;

use super::super::error::Error;
use super::super::session::handoff_of;
use super::super::store::{PATIENCE, Store};
use super::examine::{Depth, examine, once};
use super::finding::{Finding, Kind, Safety};

/// What a repair of one run came to.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Repaired {
    pub run: RunId,
    /// What was found before anything was done.
    pub found: Vec<Finding>,
    /// What is mended.
    pub mended: Vec<Finding>,
    /// What still stands: all that is not safe, and what came while it was mended.
    pub remaining: Vec<Finding>,
    /// Where what was replaced is kept; none if nothing was.
    pub kept: Option<PathBuf>,
}

impl Repaired {
    /// Whether nothing is left that has to be mended.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.remaining.iter().all(|finding| finding.safety == Safety::Info)
    }
}

/// Looks at `run` and changes nothing.
///
/// # Errors
/// As [`examine`].
pub fn preview(registry: &Registry, run: &RunId) -> Result<Repaired, Error> {
    let found = examine(registry, run, Depth::Whole)?;
    // What is safe would be mended.
    let remaining = found.iter().filter(|finding| finding.safety != Safety::Safe).cloned().collect();
    Ok(Repaired { run: run.clone(), found, mended: Vec::new(), remaining, kept: None })
}

/// Mends what is safe to mend of `run`.
///
/// # Errors
/// When the run is locked for too long, or a file cannot be written. What is not safe is no error.
pub fn repair(registry: &Registry, run: &RunId, actor: &str) -> Result<Repaired, Error> {
    let found = examine(registry, run, Depth::Whole)?;
    if found.iter().all(|finding| finding.safety != Safety::Safe) {
        return Ok(Repaired { run: run.clone(), remaining: found.clone(), found, mended: Vec::new(), kept: None });
    }
    let lock = RunLock::acquire(registry, run, PATIENCE)?;
    // Whoever held the lock may have mended it meanwhile; and now nobody changes it but programs without the lock.
    let now = once(registry, run, Depth::Whole)?;
    let safe: Vec<&Finding> = now.iter().filter(|finding| finding.safety == Safety::Safe).collect();
    let mut kept = Kept::new(registry.layout(), run, Utc::now());
    for finding in &safe {
        keep(registry, run, finding, &mut kept)?;
    }
    if safe.iter().any(|finding| finding.kind == Kind::Controls) {
        create(&registry.layout().run(run).controls(), b"")?;
    }
    let derived = |finding: &Finding| !matches!(finding.kind, Kind::Temporary | Kind::Controls);
    if safe.iter().any(|finding| derived(finding)) {
        let state = Store::open(registry, run)?.mend(lock, actor)?;
        for node in state.iter().flat_map(|state| &state.created.nodes) {
            fill(registry, run, node, &safe)?;
        }
    } else {
        drop(lock);
    }
    let remaining = examine(registry, run, Depth::Whole)?;
    let mended = found.iter().filter(|finding| finding.safety == Safety::Safe);
    let mended = mended.filter(|finding| !remaining.contains(finding)).cloned().collect();
    Ok(Repaired { run: run.clone(), found, mended, remaining, kept: kept.folder() })
}

fn keep(registry: &Registry, run: &RunId, finding: &Finding, kept: &mut Kept) -> Result<(), Error> {
    let layout = registry.layout().run(run);
    match finding.kind {
        Kind::Projection => kept.copy(&layout.root().join(&finding.file), &finding.file)?,
        Kind::Temporary => kept.set_aside(&layout.root().join(&finding.file), &finding.file)?,
        Kind::Head => kept.copy(&registry.layout().head(run), "head")?,
        Kind::Adoption => {
            for name in ["state.json", "refs.json", "taskforge.json"] {
                kept.copy(&layout.root().join(name), name)?;
            }
        }
        // The journal keeps its own torn bytes, and the rest is missing.
        _ => {}
    }
    Ok(())
}

/// Makes what is missing of a node's folder.
fn fill(
    registry: &Registry,
    run: &RunId,
    node: &crate::run::definition::NodeDefinition,
    safe: &[&Finding],
) -> Result<(), Error> {
    let layout = registry.layout().run(run);
    let wanted = |kind, file: &str| safe.iter().any(|finding| finding.kind == kind && finding.file == file);
    if wanted(Kind::Folder, &format!("nodes/{}", node.id)) {
        let folder = layout.node(&node.id);
        std::fs::create_dir_all(&folder).map_err(|source| Error::Io { action: "create", path: folder, source })?;
    }
    if let Some((path, text)) = handoff_of(node)
        && wanted(Kind::Handoff, &path)
    {
        create(&layout.root().join(path), text.as_bytes())?;
    }
    Ok(())
}

/// Makes a file, unless somebody did so meanwhile.
fn create(path: &std::path::Path, bytes: &[u8]) -> Result<(), Error> {
    match project::write_durable_new(path, bytes) {
        Err(error) if error.io_kind() == Some(std::io::ErrorKind::AlreadyExists) => Ok(()),
        other => Ok(other?),
    }
}
