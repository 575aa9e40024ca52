//! The lock of a run: the file and the kind of lock that OpenTask's service takes, too.

use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use super::{Hold, take};
use crate::registry::error::{Error, Result};
use crate::registry::layout::RunLayout;
use crate::registry::{Registry, root};
use crate::run::id::RunId;

/// The right to change a run, for milliseconds: load, decide, commit, project. Never held while Docker, a build or the
/// network is waited for.
#[derive(Debug)]
pub struct RunLock {
    run: RunId,
    layout: RunLayout,
    head: PathBuf,
    _file: File,
}

impl RunLock {
    /// Locks `run`, waiting for at most `wait` ([`super::WAIT`] for commands).
    ///
    /// # Errors
    /// [`Error::RunNotFound`], [`Error::Locked`], [`Error::Remote`], and those of the file system.
    pub fn acquire(registry: &Registry, run: &RunId, wait: Duration) -> Result<Self> {
        registry.require_local()?;
        let layout = registry.layout().run(run);
        let missing = || Error::RunNotFound { run: run.clone() };
        if !root::is_dir(layout.root()) {
            return Err(missing());
        }
        registry.make_local_folders()?;
        let file = take(&layout.lock(), Hold::Exclusive, wait)?
            .ok_or_else(|| Error::Locked { what: format!("run `{run}`"), waited: wait })?;
        Ok(Self { run: run.clone(), layout, head: registry.layout().head(run), _file: file })
    }

    #[must_use]
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// The paths of the locked run.
    #[must_use]
    pub fn layout(&self) -> &RunLayout {
        &self.layout
    }

    pub(crate) fn journal_path(&self) -> PathBuf {
        self.layout.journal()
    }

    pub(crate) fn head_path(&self) -> PathBuf {
        self.head.clone()
    }
}
