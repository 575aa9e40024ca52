//! The lock of the tick that performs a run's effects.

use std::fs::File;
use std::time::Duration;

use super::{Hold, take};
use crate::registry::Registry;
use crate::registry::error::Result;
use crate::run::id::RunId;

/// Held by a tick while it performs effects; a second tick skips the run.
#[derive(Debug)]
pub struct DriveLock {
    _file: File,
}

impl DriveLock {
    /// `None` if another tick drives the run.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn try_acquire(registry: &Registry, run: &RunId) -> Result<Option<Self>> {
        registry.require_local()?;
        registry.make_local_folders()?;
        registry.require_home()?;
        let file = take(&registry.layout().drive_lock(run), Hold::Exclusive, Duration::ZERO)?;
        Ok(file.map(|file| Self { _file: file }))
    }
}
