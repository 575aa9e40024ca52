//! Files that are replaced whole. A projection may be lost in a power cut and is then written again from the journal;
//! a decision, the kill file and the gate's policy may not. Readers always see one version or the other, never a part.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use super::disk;
use super::error::{Error, Result};

/// The largest file that is compared before it is replaced, in bytes. A larger one is simply written.
const COMPARED: u64 = 64 << 20;

/// Writes `bytes` to `path` unless they stand there already; whether it wrote. For projections: no fsync.
///
/// # Errors
/// Those of the file system; the old version then still stands.
pub fn write_if_changed(path: &Path, bytes: &[u8]) -> Result<bool> {
    if stands(path, bytes)? {
        return Ok(false);
    }
    replace(path, bytes)?;
    Ok(true)
}

/// A regular file's bytes, never through a symlink; `None` if there is none.
///
/// # Errors
/// [`Error::TooLarge`] beyond `limit` bytes; those of the file system.
pub fn read_file(path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
    let file = match disk::open_read(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("open", path)(error)),
    };
    match disk::read_bounded(&file, limit).map_err(Error::io("read", path))? {
        Some(bytes) => Ok(Some(bytes)),
        None => Err(Error::TooLarge { path: path.to_owned(), bytes: limit + 1, limit }),
    }
}

fn stands(path: &Path, bytes: &[u8]) -> Result<bool> {
    // A symlink or anything else that is no file of ours is replaced, not followed.
    let Ok(file) = disk::open_read(path) else { return Ok(false) };
    let length = file.metadata().map_err(Error::io("read", path))?.len();
    if length != bytes.len() as u64 || length > COMPARED {
        return Ok(false);
    }
    let old = disk::read_bounded(&file, length).map_err(Error::io("read", path))?;
    Ok(old.as_deref() == Some(bytes))
}

/// Replaces `path` by `bytes`, without an fsync.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let staged = Staged::write(path, bytes, 0o644)?;
    disk::rename(&staged.path, path).map_err(Error::io("replace", path))?;
    staged.keep();
    Ok(())
}

/// Replaces `path` by `bytes`; on disk when it returns. Mode 0644 less the umask.
///
/// # Errors
/// Those of the file system. After an error the old or the new version stands, whole.
pub fn write_durable(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = parent(path)?;
    write_synced(path, bytes)?;
    disk::sync_dir(folder).map_err(Error::io("sync", folder))
}

/// [`write_durable`] but for the folder: the name is on disk when that is synced.
pub(crate) fn write_synced(path: &Path, bytes: &[u8]) -> Result<()> {
    let staged = Staged::write(path, bytes, 0o644)?;
    disk::sync(&staged.file, &staged.path).map_err(Error::io("sync", path))?;
    disk::rename(&staged.path, path).map_err(Error::io("replace", path))?;
    staged.keep();
    Ok(())
}

/// Makes a folder, and those above it that are missing, each with `mode`; their names are on disk when it returns.
///
/// # Errors
/// Those of the file system.
pub(crate) fn make_durable_folders(path: &Path, mode: u32) -> Result<()> {
    let Some(above) = path.parent().filter(|_| !path.is_dir()) else { return Ok(()) };
    make_durable_folders(above, mode)?;
    match disk::make_dir(path, mode) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(Error::io("create", path)(error)),
        _ => {}
    }
    disk::sync_dir(above).map_err(Error::io("sync", above))
}

/// [`write_durable`] with exactly this mode, whatever the umask is.
///
/// # Errors
/// As [`write_durable`].
pub fn write_durable_mode(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let folder = parent(path)?;
    let staged = Staged::write(path, bytes, mode)?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
    staged.file.set_permissions(mode).map_err(Error::io("set the mode of", path))?;
    disk::sync(&staged.file, &staged.path).map_err(Error::io("sync", path))?;
    disk::rename(&staged.path, path).map_err(Error::io("replace", path))?;
    staged.keep();
    disk::sync_dir(folder).map_err(Error::io("sync", folder))
}

/// Writes a file that must not exist yet; on disk when it returns. Whoever comes second gets `AlreadyExists`, and what
/// stands under the name is always whole.
///
/// # Errors
/// Those of the file system.
pub fn write_durable_new(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = parent(path)?;
    let staged = Staged::write(path, bytes, 0o644)?;
    disk::sync(&staged.file, &staged.path).map_err(Error::io("sync", path))?;
    disk::rename_new(&staged.path, path).map_err(Error::io("create", path))?;
    staged.keep();
    disk::sync_dir(folder).map_err(Error::io("sync", folder))
}

/// Makes the names in a folder durable.
///
/// # Errors
/// Those of the file system.
pub fn sync_folder(folder: &Path) -> Result<()> {
    disk::sync_dir(folder).map_err(Error::io("sync", folder))
}

pub(crate) fn parent(path: &Path) -> Result<&Path> {
    let bad = |why| Error::BadPath { path: path.display().to_string(), why };
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).ok_or_else(|| bad("has no folder"))
}

/// A name in the folder of `path` that no other process and no other thread uses; whoever creates the file insists on
/// that. It starts with a dot, so that no reader takes it for the thing itself.
pub(crate) fn beside(path: &Path) -> Result<PathBuf> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let folder = parent(path)?;
    let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    let (process, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    Ok(folder.join(format!(".tmp-{time:x}-{process:x}-{count}")))
}

/// A file under its temporary name; removed again unless kept.
pub(crate) struct Staged {
    pub path: PathBuf,
    pub file: std::fs::File,
    kept: bool,
}

impl Staged {
    pub fn create(target: &Path, mode: u32) -> Result<Self> {
        let path = beside(target)?;
        let file = disk::create_new(&path, mode).map_err(Error::io("create", &path))?;
        Ok(Self { path, file, kept: false })
    }

    pub fn write(target: &Path, bytes: &[u8], mode: u32) -> Result<Self> {
        let staged = Self::create(target, mode)?;
        write_all(&staged.file, &staged.path, bytes).map_err(Error::io("write", target))?;
        Ok(staged)
    }

    pub fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.kept {
            // Nothing more can be done about a leftover whose name nobody reads.
            let _ = disk::remove(&self.path);
        }
    }
}

/// Appends all of `bytes`.
pub(crate) fn write_all(file: &std::fs::File, path: &Path, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match disk::append(file, path, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;
    use crate::registry::faults::{Fault, control};

    #[test]
    fn only_what_changed_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        assert!(write_if_changed(&path, b"one").unwrap());
        let inode = fs::metadata(&path).unwrap().ino();
        assert!(!write_if_changed(&path, b"one").unwrap());
        assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
        assert!(write_if_changed(&path, b"two").unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_symlink_is_replaced_and_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, victim) = (folder.path().join("state.json"), folder.path().join("victim"));
        fs::write(&victim, "same").unwrap();
        symlink(&victim, &path).unwrap();
        assert!(write_if_changed(&path, b"same").unwrap());
        write_durable(&path, b"new").unwrap();
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
        assert_eq!(fs::read(&victim).unwrap(), b"same");
    }

    #[test]
    fn the_second_of_two_new_files_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("decision.json");
        write_durable_new(&path, b"first").unwrap();
        let error = write_durable_new(&path, b"second").unwrap_err();
        assert_eq!(error.io_kind(), Some(io::ErrorKind::AlreadyExists));
        assert_eq!(fs::read(&path).unwrap(), b"first");
    }

    #[test]
    fn every_failing_call_leaves_the_old_version_and_no_litter() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.json");
        fs::write(&path, "old").unwrap();
        for index in 0..4 {
            control::record(&[(index, Fault::Error(28))]);
            let error = write_durable(&path, b"new").unwrap_err();
            control::stop();
            assert_eq!(error.io_kind(), Some(io::ErrorKind::StorageFull), "call {index}");
            assert_eq!(fs::read(&path).unwrap(), b"old");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        }
        control::record(&[(1, Fault::Short(1))]);
        write_durable(&path, b"new").unwrap();
        control::stop();
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }
}
