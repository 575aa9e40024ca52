//! `.taskforge/locks/vault`: one process at a time changes the vault.

use std::fs::File;

use super::{Hold, WAIT, take};
use crate::registry::error::{Error, Result};
use crate::registry::layout::Layout;

/// Held while secrets and their log are changed.
#[derive(Debug)]
pub struct VaultLock(#[allow(dead_code)] File);

impl VaultLock {
    /// # Errors
    /// [`Error::Locked`]; those of the file system.
    pub fn acquire(layout: &Layout) -> Result<Self> {
        let held = take(&layout.vault_lock(), Hold::Exclusive, WAIT)?;
        held.map(Self).ok_or_else(|| Error::Locked { what: "the vault".to_owned(), waited: WAIT })
    }
}
