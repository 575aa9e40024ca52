//! The lock of a kill: no start is in flight.

use std::fs::File;
use std::time::Duration;

use super::{Hold, take};
use crate::registry::Registry;
use crate::registry::error::{Error, Result};

/// Held by `kill` while it lists and removes for the last time. Whoever held a [`super::StartPermit`] has finished.
#[derive(Debug)]
pub struct KillLock {
    _file: File,
}

impl KillLock {
    /// Waits for the starts in flight; the kill file must stand before, so that no new one comes.
    ///
    /// # Errors
    /// [`Error::Locked`] if a start takes longer than `wait`.
    pub fn acquire(registry: &Registry, wait: Duration) -> Result<Self> {
        registry.make_local_folders()?;
        let locked = || Error::Locked { what: "the start of containers".to_owned(), waited: wait };
        let file = take(&registry.layout().start_lock(), Hold::Exclusive, wait)?.ok_or_else(locked)?;
        Ok(Self { _file: file })
    }
}
