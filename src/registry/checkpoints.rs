//! The files of checkpoints: the key they are signed with, the public keys, the notes. What is in them, others know.

use std::io;
use std::path::Path;

use zeroize::Zeroizing;

use super::error::{Error, Result};
use super::layout::RunLayout;
use super::lock::SealLock;
use super::project::{read_file, write_durable, write_durable_mode, write_durable_new};
use super::{Registry, disk, make_folder};

/// The largest file of public keys that is read, in bytes.
const KEYS: u64 = 1 << 20;
/// The largest private key that is read, in bytes.
const KEY: u64 = 4096;

/// The private key; made by `make` where there is none, and on disk with mode 0600 before it is used.
///
/// # Errors
/// [`Error::Locked`]; those of the file system.
pub fn key(registry: &Registry, make: impl FnOnce() -> io::Result<Vec<u8>>) -> Result<Zeroizing<Vec<u8>>> {
    let path = registry.layout().checkpoint_key();
    if let Some(bytes) = read_file(&path, KEY)? {
        return Ok(Zeroizing::new(bytes));
    }
    registry.make_local_folders()?;
    let _lock = SealLock::acquire(registry.layout())?;
    if let Some(bytes) = read_file(&path, KEY)? {
        return Ok(Zeroizing::new(bytes));
    }
    let local = registry.layout().local();
    make_folder(&registry.layout().keys(), 0o700)?;
    disk::sync_dir(&local).map_err(Error::io("sync", &local))?;
    let bytes = Zeroizing::new(make().map_err(Error::io("make a key for", &path))?);
    write_durable_mode(&path, &bytes, 0o600)?;
    Ok(bytes)
}

/// The text of `checkpoint.pub`; empty where there is none.
///
/// # Errors
/// When it cannot be read, or is no text.
pub fn public_keys(registry: &Registry) -> Result<String> {
    let path = registry.layout().checkpoint_keys();
    let bytes = read_file(&path, KEYS)?.unwrap_or_default();
    String::from_utf8(bytes).map_err(|error| Error::io("read", &path)(io::Error::other(error)))
}

/// Adds `line` to `checkpoint.pub` unless it stands there. Older keys stay: what they signed is still to be verified.
///
/// # Errors
/// [`Error::Locked`]; those of the file system.
pub fn publish_key(registry: &Registry, line: &str) -> Result<()> {
    let stands = |text: &str| text.lines().any(|other| other == line);
    if stands(&public_keys(registry)?) {
        return Ok(());
    }
    registry.make_local_folders()?;
    let _lock = SealLock::acquire(registry.layout())?;
    let mut text = public_keys(registry)?;
    if stands(&text) {
        return Ok(());
    }
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(line);
    text.push('\n');
    write_durable(&registry.layout().checkpoint_keys(), text.as_bytes())
}

/// The `seq` of each checkpoint of a run, in order.
///
/// # Errors
/// When the folder cannot be read.
pub fn list(run: &RunLayout) -> Result<Vec<u64>> {
    let folder = run.checkpoints();
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("read", &folder)(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry.map_err(Error::io("read", &folder))?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".txt")).and_then(|stem| stem.parse().ok());
        found.extend(number.filter(|number: &u64| name.to_str() == Some(&file_name(*number))));
    }
    found.sort_unstable();
    Ok(found)
}

/// The name of the checkpoint of line `seq`.
#[must_use]
pub fn file_name(seq: u64) -> String {
    format!("{seq}.txt")
}

/// A checkpoint's bytes; `None` if there is none.
///
/// # Errors
/// When it cannot be read, or is larger than `limit`.
pub fn read(run: &RunLayout, seq: u64, limit: u64) -> Result<Option<Vec<u8>>> {
    read_file(&run.checkpoints().join(file_name(seq)), limit)
}

/// A checkpoint that somebody keeps elsewhere.
///
/// # Errors
/// When it cannot be read, is none, or is larger than `limit`.
pub fn read_elsewhere(path: &Path, limit: u64) -> Result<Vec<u8>> {
    read_file(path, limit)?.ok_or_else(|| Error::io("read", path)(io::ErrorKind::NotFound.into()))
}

/// Writes the checkpoint of line `seq`, which must not be there yet; on disk when it returns.
///
/// # Errors
/// `AlreadyExists`; those of the file system.
pub fn write(run: &RunLayout, seq: u64, note: &[u8]) -> Result<()> {
    let folder = run.checkpoints();
    make_folder(&folder, 0o755)?;
    disk::sync_dir(run.root()).map_err(Error::io("sync", run.root()))?;
    write_durable_new(&folder.join(file_name(seq)), note)
}
