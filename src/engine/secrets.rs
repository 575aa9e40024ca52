//! Provider keys: from a file that only the operator can read, or from a named variable of the operator's
//! environment, to a file on a tmpfs that only the gate mounts. They appear in no argument, label, variable of a
//! container, log or record, and never on a disk of ours.

use std::collections::BTreeMap;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::PathBuf;

use zeroize::Zeroizing;

use crate::registry::config::Provider;
use crate::registry::private;
use crate::run::state::State;

use super::binary;
use super::dispatch::make_folder;
use super::error::Error;
use super::store::Store;

/// Writes the keys of the configured providers for the run's gate. The folder to mount.
pub(crate) fn publish(store: &Store<'_>, state: &State) -> Result<PathBuf, Error> {
    let folder = folder(store)?;
    let users = binary::users(state)?;
    let gate = (users.gate_uid, users.gate_gid);
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
    let name = crate::container::gate_name(&store.registry().id()?, store.run());
    for folder in private::folders() {
        let folder = folder.join(&name);
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
    let io = |source| Error::Io { action: "keep keys in", path: "a tmpfs".into(), source };
    let own = private::folder().map_err(io)?.ok_or(Error::NoTmpfs)?;
    Ok(own.join(crate::container::gate_name(&store.registry().id()?, store.run())))
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
