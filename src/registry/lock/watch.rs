//! `.taskforge/locks/watch-NAME`: one process at a time looks for a watch.

use std::fs::File;
use std::time::Duration;

use super::{Hold, take};
use crate::registry::Registry;
use crate::registry::error::Result;

/// Held while somebody looks for a watch; a second one leaves it to the first.
#[derive(Debug)]
pub struct WatchLock {
    _file: File,
}

impl WatchLock {
    /// `None` if another process does it.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn try_acquire(registry: &Registry, name: &str) -> Result<Option<Self>> {
        registry.require_local()?;
        registry.make_local_folders()?;
        registry.require_home()?;
        let file = take(&registry.layout().watch_lock(name), Hold::Exclusive, Duration::ZERO)?;
        Ok(file.map(|file| Self { _file: file }))
    }
}
