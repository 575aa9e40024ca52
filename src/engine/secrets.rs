//! Provider keys: from a file that only the operator can read, or from a named variable of the operator's
//! environment, to a file on a tmpfs that only the gate mounts. They appear in no argument, label, variable of a
//! container, log or record, and never on a disk of ours.

use std::collections::BTreeMap;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::registry::config::Provider;
use crate::run::state::State;

use super::binary;
use super::dispatch::make_folder;
use super::error::Error;
use super::store::Store;

/// Statfs magic of tmpfs, as in `linux/magic.h`.
const TMPFS: i64 = 0x0102_1994;

/// Writes the keys of the configured providers for the run's gate. The folder to mount.
pub(crate) fn publish(store: &Store<'_>, state: &State) -> Result<PathBuf, Error> {
    let folder = folder(store)?;
    let users = binary::users(state)?;
    let gate = (users.gate_uid, users.gate_gid);
    if let Some(parent) = folder.parent() {
        make_folder(parent, 0o711, None)?;
        if !is_own(parent) {
            // Anyone can make a folder of this name here; in another's folder anything can be swapped under us.
            let source = std::io::Error::other("it belongs to somebody else; remove it");
            return Err(Error::Io { action: "keep keys in", path: parent.to_owned(), source });
        }
    }
    make_folder(&folder, 0o700, Some(gate))?;
    let mut keys: BTreeMap<&str, Zeroizing<String>> = BTreeMap::new();
    for (name, provider) in &store.registry().config()?.llm.providers {
        if let Some(key) = key(name, provider)? {
            keys.insert(name, key);
        }
    }
    let plain: BTreeMap<&str, &str> = keys.iter().map(|(name, key)| (*name, key.as_str())).collect();
    let text = Zeroizing::new(serde_json::to_vec(&plain).map_err(Error::Json)?);
    let path = folder.join("keys.json");
    let io = |action| {
        let path = path.clone();
        move |source| Error::Io { action, path, source }
    };
    let _ = std::fs::remove_file(&path);
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o400).open(&path).map_err(io("create"))?;
    std::io::Write::write_all(&mut file, &text).map_err(io("write"))?;
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::fchown(&file, Some(gate.0), Some(gate.1)).map_err(io("give away"))?;
    }
    Ok(folder)
}

/// Removes what [`publish`] wrote, wherever that was: whoever ends a run may have another environment than who began it.
pub(crate) fn withdraw(store: &Store<'_>) -> Result<(), Error> {
    for base in places() {
        let folder = below(&base, store)?;
        if !folder.parent().is_some_and(is_own) {
            continue;
        }
        match std::fs::remove_dir_all(&folder) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::Io { action: "remove", path: folder, source });
            }
            _ => {}
        }
    }
    Ok(())
}

fn folder(store: &Store<'_>) -> Result<PathBuf, Error> {
    let base = places().into_iter().find(|path| path.is_absolute() && is_tmpfs(path) && writable(path));
    below(&base.ok_or(Error::NoTmpfs)?, store)
}

/// Where a tmpfs may be, best first.
fn places() -> Vec<PathBuf> {
    let session = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let usual = PathBuf::from(format!("/run/user/{}", rustix::process::getuid().as_raw()));
    session.into_iter().chain([usual, "/dev/shm".into(), "/run".into()]).collect()
}

fn below(base: &Path, store: &Store<'_>) -> Result<PathBuf, Error> {
    let own = base.join(format!("taskforge-{}", rustix::process::getuid().as_raw()));
    Ok(own.join(crate::container::gate_name(&store.registry().id()?, store.run())))
}

/// Whether a folder, and no symlink to one, is this user's.
fn is_own(folder: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let uid = rustix::process::geteuid().as_raw();
    folder.symlink_metadata().is_ok_and(|found| found.is_dir() && found.uid() == uid)
}

#[allow(clippy::cast_lossless, clippy::unnecessary_cast)] // the field's type differs between libcs
fn is_tmpfs(path: &Path) -> bool {
    rustix::fs::statfs(path).is_ok_and(|found| found.f_type as i64 == TMPFS)
}

fn writable(path: &Path) -> bool {
    rustix::fs::access(path, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).is_ok()
}

fn key(name: &str, provider: &Provider) -> Result<Option<Zeroizing<String>>, Error> {
    let bad = |reason: String| Error::Key { provider: name.to_owned(), reason };
    let text = match (&provider.key_file, &provider.key_env) {
        (None, None) => return Ok(None),
        (None, Some(variable)) => match std::env::var(variable) {
            Ok(value) => Zeroizing::new(value),
            Err(_) => return Err(bad(format!("the variable `{variable}` is not set"))),
        },
        (Some(path), _) => {
            let meta = std::fs::metadata(path).map_err(|error| bad(format!("{}: {error}", path.display())))?;
            if meta.permissions().mode() & 0o077 != 0 {
                return Err(bad(format!("{} can be read by others: `chmod 600` it", path.display())));
            }
            let text = std::fs::read_to_string(path).map_err(|error| bad(format!("{}: {error}", path.display())))?;
            Zeroizing::new(text)
        }
    };
    let trimmed = text.trim();
    if trimmed.is_empty() || trimmed.chars().any(|c| c.is_control() || c == ' ') {
        return Err(bad("it is empty, or not one line".to_owned()));
    }
    Ok(Some(Zeroizing::new(trimmed.to_owned())))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_a_folder_of_ones_own_is_trusted() {
        let folder = tempfile::tempdir().unwrap();
        let (own, link) = (folder.path().join("own"), folder.path().join("link"));
        std::fs::create_dir(&own).unwrap();
        std::os::unix::fs::symlink(&own, &link).unwrap();
        assert!(is_own(&own));
        assert!(!is_own(&link) && !is_own(&folder.path().join("none")));
        // Root can give a folder away; for everybody else there is one of root's.
        let other = if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&own, Some(31_337), Some(31_337)).unwrap();
            own
        } else {
            "/".into()
        };
        assert!(!is_own(&other));
    }
}
