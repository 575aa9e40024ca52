//! `decisions/<id>.json`: read with a bound and never through a symlink; set aside when it cannot count.

use std::os::unix::fs::MetadataExt as _;
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

/// Renames what lies there to `<id>.rejected-<digest12>.json`, and its signature alike, so that another can take its place.
/// The new name, which nothing had before: the digest is of what it is called, what it is and what it holds, and where that was
/// set aside once already a number follows.
///
/// # Errors
/// Those of the file system.
pub fn set_aside(path: &Path) -> Result<String> {
    // Both files name what is set aside: the same words under another signature are another attempt.
    let digest = Digest::of(&[what_lies_at(path), what_lies_at(&signature(path))].concat());
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let named = |again: u32| match again {
        1 => format!("{stem}.rejected-{}.json", digest.short()),
        again => format!("{stem}.rejected-{}-{again}.json", digest.short()),
    };
    let is_free = |name: &String| path.with_file_name(name).symlink_metadata().is_err();
    let name = (1..).map(named).find(is_free).unwrap_or_else(|| named(0));
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

/// Its name, its kind, and its bytes; of what cannot be read, what tells it from others of its kind.
fn what_lies_at(path: &Path) -> Vec<u8> {
    let mut all = path.file_name().unwrap_or_default().as_encoded_bytes().to_vec();
    let Ok(meta) = path.symlink_metadata() else { return all };
    all.extend(format!("\n{:?}\n", meta.file_type()).into_bytes());
    match read(path) {
        Ok(bytes) => all.extend(bytes.unwrap_or_default()),
        Err(_) => all.extend(format!("{} {} {}", meta.dev(), meta.ino(), meta.len()).into_bytes()),
    }
    all
}
