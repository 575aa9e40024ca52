//! `.taskforge/locks/schedules`: one process at a time lets schedules of agents begin, from the look at how many there are
//! until there is one more.

use std::fs::File;

use super::{Hold, WAIT, take};
use crate::registry::Registry;
use crate::registry::error::{Error, Result};

/// Held while a schedule begins.
#[derive(Debug)]
pub struct SchedulesLock(#[allow(dead_code)] File);

impl SchedulesLock {
    /// # Errors
    /// [`Error::Locked`]; those of the file system.
    pub fn acquire(registry: &Registry) -> Result<Self> {
        let held = take(&registry.layout().schedules_lock(), Hold::Exclusive, WAIT)?;
        held.map(Self).ok_or_else(|| Error::Locked { what: "the schedules of agents".to_owned(), waited: WAIT })
    }
}
