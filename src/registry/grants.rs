//! `grants/`: what was granted beyond one run, a file a grant, and beside it whether that was taken back.

use std::path::Path;

use super::disk;
use super::error::{Error, Result};
use super::project::{parent, write_durable_new};
use crate::run::id::RequestId;

/// More grants than anybody keeps an eye on.
const MOST: usize = 10_000;

/// The ids of all grants in `folder`, sorted; none if there is no such folder. A name that is no grant's is left alone.
///
/// # Errors
/// When the folder cannot be read, or holds more than ten thousand files.
pub fn list(folder: &Path) -> Result<Vec<RequestId>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("read", folder)(error)),
    };
    let mut found = Vec::new();
    for (count, entry) in entries.enumerate() {
        if count == MOST {
            let most = std::io::Error::other(format!("there are more than {MOST} files"));
            return Err(Error::io("read", folder)(most));
        }
        let name = entry.map_err(Error::io("read", folder))?.file_name();
        let id = name.to_str().and_then(|name| name.strip_suffix(".json"));
        found.extend(id.and_then(|id| RequestId::parse(id).ok()));
    }
    found.sort();
    Ok(found)
}

/// Writes a file that is not there yet, durably; what is there stays. Makes the folder where there is none.
///
/// # Errors
/// Those of the file system.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = parent(path)?;
    match disk::make_dir(folder, 0o755) {
        Ok(()) => {
            let root = parent(folder)?;
            disk::sync_dir(root).map_err(Error::io("sync", root))?;
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(Error::io("create", folder)(error)),
    }
    match write_durable_new(path, bytes) {
        Err(error) if error.io_kind() == Some(std::io::ErrorKind::AlreadyExists) => Ok(()),
        other => other,
    }
}
