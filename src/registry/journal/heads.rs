//! The last head of each journal, in `.taskforge/heads/`: how this machine notices that a journal was cut, replaced or
//! turned back (by git, say). Written after each commit without an fsync: after a power cut it may be an older one,
//! never a newer one than the journal, since the journal was synced first.

use std::io;
use std::path::Path;

use super::scan::Head;
use crate::registry::error::{Error, Result};
use crate::registry::{disk, project};

/// The head kept at `path`; `None` if there is none, or if a power cut left it unreadable.
///
/// # Errors
/// When the file is there and cannot be opened.
pub fn read(path: &Path) -> Result<Option<Head>> {
    let file = match disk::open_read(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("read the last head", path)(error)),
    };
    let bytes = disk::read_bounded(&file, 4096).map_err(Error::io("read the last head", path))?;
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// Keeps `head` at `path`.
///
/// # Errors
/// Those of the file system.
pub fn write(path: &Path, head: &Head) -> Result<()> {
    let text = serde_json::to_string(head).map_err(|source| Error::Encode { what: "a journal's head", source })?;
    project::replace(path, (text + "\n").as_bytes())
}
