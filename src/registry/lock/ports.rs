//! `.taskforge/locks/ports`: one process at a time gives deployments their ports, from the look at which are taken until
//! the journal says whose the new one is.

use std::fs::File;

use super::{Hold, WAIT, take};
use crate::registry::Registry;
use crate::registry::error::{Error, Result};

/// Held while a port is given away.
#[derive(Debug)]
pub struct PortsLock(#[allow(dead_code)] File);

impl PortsLock {
    /// # Errors
    /// [`Error::Locked`]; those of the file system.
    pub fn acquire(registry: &Registry) -> Result<Self> {
        let held = take(&registry.layout().ports_lock(), Hold::Exclusive, WAIT)?;
        held.map(Self).ok_or_else(|| Error::Locked { what: "the ports of deployments".to_owned(), waited: WAIT })
    }
}
