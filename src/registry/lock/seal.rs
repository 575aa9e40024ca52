//! `.taskforge/locks/seal`: one process at a time makes the key of checkpoints or adds to the public ones.

use std::fs::File;

use super::{Hold, WAIT, take};
use crate::registry::error::{Error, Result};
use crate::registry::layout::Layout;

/// Held while the key is made.
#[derive(Debug)]
pub struct SealLock(#[allow(dead_code)] File);

impl SealLock {
    /// # Errors
    /// [`Error::Locked`]; those of the file system.
    pub fn acquire(layout: &Layout) -> Result<Self> {
        let held = take(&layout.seal_lock(), Hold::Exclusive, WAIT)?;
        held.map(Self).ok_or_else(|| Error::Locked { what: "the key of checkpoints".to_owned(), waited: WAIT })
    }
}
