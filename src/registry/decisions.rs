//! `decisions/<id>.json`: read with a bound and never through a symlink; set aside when it cannot count.

use std::path::{Path, PathBuf};

use super::disk;
use super::error::{Error, Result};
use super::project::{parent, write_durable, write_durable_new};
use crate::run::id::Digest;

/// The largest decision that is read, in bytes.
const LARGEST: u64 = 1 << 20;

/// The file's bytes; `None` if there is none.
///
/// # Errors
/// When it cannot be read, or is larger than 1 MiB.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    let file = match disk::open_read(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("read", path)(error)),
    };
    let bytes = disk::read_bounded(&file, LARGEST).map_err(Error::io("read", path))?;
    match bytes {
        Some(bytes) => Ok(Some(bytes)),
        None => Err(Error::TooLarge { path: path.to_owned(), bytes: LARGEST + 1, limit: LARGEST }),
    }
}

/// Where the signature of the file at `path` lies, a decision's or that of rules: where `ssh-keygen -Y sign` puts it.
#[must_use]
pub fn signature(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".sig");
    PathBuf::from(name)
}

/// Writes a decision's signature, on disk when it returns, before the decision itself: it stands there whole or unsigned
/// never.
///
/// # Errors
/// Those of the file system.
pub fn write_signature(path: &Path, armoured: &str) -> Result<()> {
    make_folder(path)?;
    write_durable(&signature(path), armoured.as_bytes())
}

/// Writes a decision that must not exist yet; on disk when it returns. Makes the folder where there is none: in OpenTask's
/// own registry.
///
/// # Errors
/// As [`write_durable_new`].
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    make_folder(path)?;
    write_durable_new(path, bytes)
}

fn make_folder(path: &Path) -> Result<()> {
    let folder = parent(path)?;
    match disk::make_dir(folder, 0o755) {
        Ok(()) => {
            let root = parent(folder)?;
            disk::sync_dir(root).map_err(Error::io("sync", root))
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(Error::io("create", folder)(error)),
    }
}

/// Renames the file to `<id>.rejected-<digest12>.json`, and its signature alike, so that another can take its place. The
/// new name.
///
/// # Errors
/// Those of the file system.
pub fn set_aside(path: &Path) -> Result<String> {
    // Both files name what is set aside: the same words under another signature are another attempt.
    let bytes = |path: &Path| read(path).ok().flatten().unwrap_or_default();
    let digest = Digest::of(&[bytes(path), bytes(&signature(path))].concat());
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let name = format!("{stem}.rejected-{}.json", digest.short());
    let target = path.with_file_name(&name);
    // The signature first: a crash in between leaves an unsigned decision, never another's signature for the next one.
    match disk::rename(&signature(path), &signature(&target)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(Error::io("set aside", path)(error)),
        _ => {}
    }
    disk::rename(path, &target).map_err(Error::io("set aside", path))?;
    if let Some(folder) = path.parent() {
        disk::sync_dir(folder).map_err(Error::io("sync", folder))?;
    }
    Ok(name)
}
