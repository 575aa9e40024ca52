//! `.taskforge/locks/watch-NAME`: one process at a time looks for a watch.

use std::fs::File;
use std::time::Duration;

use super::{Hold, take};
use crate::registry::Registry;
use crate::registry::error::{Error, Result};

/// How long a look at a clock, and beginning what it finds, may take.
const LOOKS: Duration = Duration::from_secs(30);

/// Held while somebody looks for a watch; a second one leaves it to the first.
#[derive(Debug)]
pub struct WatchLock {
    _file: File,
}

impl WatchLock {
    /// Waits for whoever looks now, within a bound.
    ///
    /// # Errors
    /// [`Error::Locked`]; those of the file system.
    pub fn acquire(registry: &Registry, name: &str) -> Result<Self> {
        registry.make_local_folders()?;
        let file = take(&registry.layout().watch_lock(name), Hold::Exclusive, LOOKS)?;
        let locked = || Error::Locked { what: format!("the watch {name}"), waited: LOOKS };
        file.map(|file| Self { _file: file }).ok_or_else(locked)
    }

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
