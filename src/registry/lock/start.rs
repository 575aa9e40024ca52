//! The permit to start something, which the kill switch waits for.

use std::fs::File;
use std::time::Duration;

use super::{Hold, take};
use crate::registry::Registry;
use crate::registry::error::{Error, Result};
use crate::registry::kill;

/// Held from the check of the kill file until Docker's start has returned. While one is held, `kill` has not returned.
#[derive(Debug)]
pub struct StartPermit {
    _file: File,
}

impl StartPermit {
    /// Takes the start lock, shared, and then looks at the kill file. In this order: a kill that comes after the look waits
    /// for the permit and finds what it started.
    ///
    /// # Errors
    /// [`Error::Killed`] while the kill switch is on; [`Error::Locked`] if a kill is under way for longer than `wait`.
    pub fn acquire(registry: &Registry, wait: Duration) -> Result<Self> {
        registry.require_local()?;
        registry.make_local_folders()?;
        registry.require_home()?;
        // A kill that waits for this very lock has written its file already: say so instead of making it wait.
        kill::refuse_if_killed(registry.layout())?;
        let locked = || Error::Locked { what: "the start of containers".to_owned(), waited: wait };
        let file = take(&registry.layout().start_lock(), Hold::Shared, wait)?.ok_or_else(locked)?;
        kill::refuse_if_killed(registry.layout())?;
        Ok(Self { _file: file })
    }
}
