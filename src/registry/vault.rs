//! The vault's files. A new value is staged beside the old one, named in the log, and only then put in its place: a crash
//! at any step leaves the one or the other, and the log says which. What is in the files, others know.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::error::{Error, Result};
use super::lock::VaultLock;
use super::project::{read_file, write_durable_mode};
use super::{Registry, disk, make_folder};

/// The largest encrypted secret that is read, in bytes.
const LARGEST: u64 = 256 << 10;
/// The largest log that is read, in bytes.
const LOG: u64 = 16 << 20;
const ENDING: &str = ".age";
const STAGED: &str = ".age.new";

/// Makes the vault's folder and log where they are missing, and keeps others from changing it.
///
/// # Errors
/// [`Error::Locked`]; those of the file system.
pub fn lock(registry: &Registry) -> Result<VaultLock> {
    registry.make_local_folders()?;
    let (layout, folder) = (registry.layout(), registry.layout().vault());
    let lock = VaultLock::acquire(layout)?;
    make_folder(&folder, 0o700)?;
    let log = layout.vault_log();
    match disk::create_new(&log, 0o600) {
        // Its name alone: what is appended to it is synced then.
        Ok(_) => {
            disk::sync_dir(&folder).map_err(Error::io("sync", &folder))?;
            let local = layout.local();
            disk::sync_dir(&local).map_err(Error::io("sync", &local))?;
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(Error::io("create", &log)(error)),
    }
    Ok(lock)
}

/// The bytes of the log; empty where there is no vault.
///
/// # Errors
/// Those of the file system.
pub fn log(registry: &Registry) -> Result<Vec<u8>> {
    Ok(read_file(&registry.layout().vault_log(), LOG)?.unwrap_or_default())
}

/// Adds a line to the log; on disk when it returns.
///
/// # Errors
/// Those of the file system.
pub fn append(registry: &Registry, _lock: &VaultLock, line: &[u8]) -> Result<()> {
    let path = registry.layout().vault_log();
    disk::append_line(&path, line).map_err(Error::io("append to", &path))
}

fn file(registry: &Registry, name: &str, ending: &str) -> PathBuf {
    registry.layout().vault().join(format!("{name}{ending}"))
}

/// Where the secret `name` lies.
#[must_use]
pub fn path(registry: &Registry, name: &str) -> PathBuf {
    file(registry, name, ENDING)
}

/// The encrypted secret, and one that was staged and never put in its place.
///
/// # Errors
/// Those of the file system.
pub fn read(registry: &Registry, name: &str) -> Result<[Option<Vec<u8>>; 2]> {
    Ok([read_file(&file(registry, name, ENDING), LARGEST)?, read_file(&file(registry, name, STAGED), LARGEST)?])
}

/// Puts a new value beside the old one; on disk when it returns.
///
/// # Errors
/// Those of the file system.
pub fn stage(registry: &Registry, _lock: &VaultLock, name: &str, bytes: &[u8]) -> Result<()> {
    write_durable_mode(&file(registry, name, STAGED), bytes, 0o600)
}

/// Puts a staged value in its place.
///
/// # Errors
/// Those of the file system.
pub fn keep(registry: &Registry, _lock: &VaultLock, name: &str) -> Result<()> {
    let (staged, path) = (file(registry, name, STAGED), file(registry, name, ENDING));
    disk::rename(&staged, &path).map_err(Error::io("replace", &path))?;
    let folder = registry.layout().vault();
    disk::sync_dir(&folder).map_err(Error::io("sync", &folder))
}

/// Removes a secret, staged or not.
///
/// # Errors
/// Those of the file system.
pub fn remove(registry: &Registry, _lock: &VaultLock, name: &str) -> Result<()> {
    for ending in [ENDING, STAGED] {
        let path = file(registry, name, ending);
        match disk::remove(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::io("remove", &path)(error)),
            _ => {}
        }
    }
    let folder = registry.layout().vault();
    disk::sync_dir(&folder).map_err(Error::io("sync", &folder))
}

/// The names of the encrypted secrets that lie in the vault's folder, whatever its log says, sorted.
///
/// # Errors
/// When the folder cannot be read; one that is not there holds none.
pub fn secrets(registry: &Registry) -> Result<Vec<String>> {
    let folder = registry.layout().vault();
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("list", &folder)(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry.map_err(Error::io("list", &folder))?.file_name();
        found.extend(name.to_str().and_then(|name| name.strip_suffix(ENDING)).map(str::to_owned));
    }
    found.sort();
    Ok(found)
}

/// The vault's folder and each file in it that others than their owner may read or write, with their modes.
///
/// # Errors
/// Those of the file system.
pub fn loose(registry: &Registry) -> Result<Vec<(PathBuf, u32)>> {
    let folder = registry.layout().vault();
    let mut found = Vec::new();
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(Error::io("list", &folder)(error)),
    };
    let mut look = |path: &Path| -> io::Result<()> {
        let mode = path.symlink_metadata()?.permissions().mode();
        if mode & 0o077 != 0 {
            found.push((path.to_owned(), mode & 0o7777));
        }
        Ok(())
    };
    look(&folder).map_err(Error::io("look at", &folder))?;
    for entry in entries {
        let path = entry.map_err(Error::io("list", &folder))?.path();
        look(&path).map_err(Error::io("look at", &path))?;
    }
    Ok(found)
}
