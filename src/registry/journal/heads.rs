//! The last head of each journal, in `.taskforge/heads/`: how this machine notices that a journal was cut, replaced or
//! turned back (by git, say). Written after each commit without an fsync: after a power cut it may be an older one,
//! never a newer one than the journal, since the journal was synced first.
//!
//! With it stand the digests of the projections that were written for it. A journal that still hashes to the head is
//! the one that was read and accepted when the head was written, and a `taskforge.json` that hashes to its digest is
//! what this program made of it: the next command need neither parse nor fold what they say.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::scan::Head;
use crate::registry::error::{Error, Result};
use crate::registry::{disk, project};
use crate::run::id::Digest;

/// What is kept of a run between two commands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Kept {
    /// The length in bytes of what is covered.
    pub at: u64,
    /// The running digest of the first `at` bytes.
    pub digest: Digest,
    /// The `seq` of our last record before `at`.
    pub seq: u64,
    /// The projections as they were written for it; none if that did not come to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub projections: Option<Projections>,
}

/// The digests of a run's three projections, and by what rules the journal was folded into them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Projections {
    /// [`RULES`] of the program that wrote them.
    pub rules: String,
    pub taskforge: Digest,
    pub state: Digest,
    pub refs: Digest,
}

/// By what rules this build folds a journal: its version and a hash of the sources that say so.
pub const RULES: &str = env!("TASKFORGE_FOLD");

impl Kept {
    /// The head alone.
    #[must_use]
    pub fn head(&self) -> Head {
        Head { at: self.at, digest: self.digest.clone(), seq: self.seq }
    }

    /// `head` with the projections that stand for it.
    #[must_use]
    pub fn of(head: Head, projections: Option<Projections>) -> Self {
        Self { at: head.at, digest: head.digest, seq: head.seq, projections }
    }

    /// The projections, if the rules by which they were made are ours.
    #[must_use]
    pub fn ours(&self) -> Option<&Projections> {
        self.projections.as_ref().filter(|projections| projections.rules == RULES)
    }
}

/// What is kept at `path`; `None` if there is nothing, or if a power cut left it unreadable.
///
/// # Errors
/// When the file is there and cannot be opened.
pub fn read(path: &Path) -> Result<Option<Kept>> {
    let file = match disk::open_read(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("read the last head", path)(error)),
    };
    let bytes = disk::read_bounded(&file, 4096).map_err(Error::io("read the last head", path))?;
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// Keeps `kept` at `path`.
///
/// # Errors
/// Those of the file system.
pub fn write(path: &Path, kept: &Kept) -> Result<()> {
    let text = serde_json::to_string(kept).map_err(|source| Error::Encode { what: "a journal's head", source })?;
    project::replace(path, (text + "\n").as_bytes())
}
