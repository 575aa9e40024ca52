//! Looking at runs: no lock, no write.

use std::fs;
use std::io;

use super::error::{Error, Result};
use super::journal::Journal;
use super::journal::scan::Scan;
use super::{Registry, root};
use crate::run::id::RunId;

/// The ids of all runs, sorted: folders in `runs/` with a fitting name that hold a journal.
///
/// # Errors
/// When the folder cannot be read; a registry without one has no runs.
pub fn list_runs(registry: &Registry) -> Result<Vec<RunId>> {
    let mut ids = list_names(registry)?;
    ids.retain(|id| is_run(registry, id));
    Ok(ids)
}

/// Whether there is a run of this name: a folder with a journal. One whose journal is gone, and was here, is one all the
/// same: whoever looks finds out that it is.
#[must_use]
pub fn is_run(registry: &Registry, id: &RunId) -> bool {
    let run = registry.layout().run(id);
    let stands = |path: std::path::PathBuf| path.symlink_metadata().is_ok();
    let known = || stands(run.state()) && stands(registry.layout().head(id));
    root::is_dir(run.root()) && (stands(run.journal()) || known())
}

/// The names in `runs/` that are run ids, sorted; whether there is a run under each has not been looked at.
///
/// # Errors
/// As [`list_runs`].
pub fn list_names(registry: &Registry) -> Result<Vec<RunId>> {
    let runs = registry.layout().runs();
    let entries = match fs::read_dir(&runs) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("list", runs)(error)),
    };
    let mut ids = Vec::new();
    for entry in entries {
        let entry = entry.map_err(Error::io("list", &runs))?;
        ids.extend(entry.file_name().to_str().and_then(|name| RunId::parse(name).ok()));
    }
    ids.sort();
    Ok(ids)
}

/// The journal of one run as it stands.
///
/// # Errors
/// As [`Journal::read`].
pub fn read_run(registry: &Registry, run: &RunId) -> Result<Scan> {
    Journal::read(&registry.layout().run(run).journal(), run)
}
