//! What a gate needs to act: provider keys, from a file that only the operator can read, from a named variable of the
//! operator's environment or from the vault, and the secrets that grants and services name, from the vault; to a file on a
//! tmpfs that only the gate mounts. They appear in no argument, label, variable of a container, log or record, and never in
//! the clear on a disk of ours.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::gate::{ModelRule, Policy};
use crate::registry::config::Provider;
use crate::registry::private;
use crate::run::capability::{Capability, SecretName};
use crate::run::id::NodeId;
use crate::run::state::State;
use crate::vault::{Identities, Vault, VaultError};

use super::binary;
use super::dispatch::make_folder;
use super::error::Error;
use super::store::Store;
use super::{policy, reachable};

/// What a secret of the vault is called in the gate's file; no provider's name holds a colon.
const VAULT: &str = "vault:";

/// The secrets of the vault that `policy` needs, by their names in the gate's file, each with the digest of its encrypted
/// form. What is not in the vault is left out: whoever would use it is told so.
pub(crate) fn named(store: &Store<'_>, policy: &Policy) -> Result<BTreeMap<String, String>, Error> {
    let config = store.registry().config()?;
    let mut wanted: BTreeSet<&SecretName> = BTreeSet::new();
    let reached = reachable::of_policy(policy);
    let providers = config.llm.providers.iter().filter(|(name, _)| reached.contains(name.as_str()));
    wanted.extend(providers.filter_map(|(_, provider)| provider.key.as_ref()).map(|key| key.name()));
    if policy.attempts.iter().any(|attempt| !attempt.actions.is_empty()) {
        wanted.extend(config.actions.keys().map(|key| key.name()));
    }
    let grants = policy.attempts.iter().flat_map(|attempt| &attempt.grants);
    wanted.extend(grants.filter_map(|grant| match &grant.capability {
        Capability::Secret(secret) => Some(secret.name()),
        _ => None,
    }));
    if wanted.is_empty() {
        return Ok(BTreeMap::new());
    }
    let log = Vault::of(store.registry())?.log()?;
    let digest = |name: &SecretName| log.secrets.get(name.as_str()).map(|known| known.sha256.short().to_owned());
    Ok(wanted.into_iter().filter_map(|name| Some((format!("{VAULT}{name}"), digest(name)?))).collect())
}

/// Makes sure that what the next attempt of `node` needs can be read.
///
/// # Errors
/// That the vault is locked, its identity is not there, or it does not have a key that a provider of its models names: then the node
/// waits for somebody to mend that.
pub(crate) fn require_open(store: &Store<'_>, state: &State, node: &NodeId) -> Result<(), Error> {
    let config = store.registry().config()?;
    let rules: Vec<ModelRule> = config.llm.models.iter().map(policy::model_rule).collect();
    let granted = policy::given(state, node);
    let own = state.node(node).and_then(|(definition, _)| definition.container.as_ref());
    let granted_models = granted.iter().filter_map(|grant| match &grant.capability {
        Capability::Llm(models) => Some(models.glob().as_str()),
        _ => None,
    });
    let models = own.map(|container| container.model.as_str()).into_iter().chain(granted_models);
    let reached = reachable::of_models(&rules, models);
    let providers = config.llm.providers.iter().filter(|(name, _)| reached.contains(name.as_str()));
    let keys: Vec<&SecretName> =
        providers.filter_map(|(_, provider)| provider.key.as_ref()).map(|key| key.name()).collect();
    let uses = |grant: &crate::gate::Grant| matches!(grant.capability, Capability::Secret(_) | Capability::Action(_));
    let acts = config.actions.keys().next().is_some()
        && state.node(node).is_some_and(|(definition, _)| definition.role().is_some());
    if keys.is_empty() && !acts && !granted.iter().any(uses) {
        return Ok(());
    }
    let log = Vault::of(store.registry())?.log()?;
    if let Some(name) = keys.into_iter().find(|name| !log.secrets.contains_key(name.as_str())) {
        return Err(VaultError::NotFound { name: name.to_string() }.into());
    }
    Identities::open(store.registry(), &|_| None)?;
    Ok(())
}

/// Writes what `policy` needs for the run's gate. The folder to mount.
pub(crate) fn publish(store: &Store<'_>, state: &State, policy: &Policy) -> Result<PathBuf, Error> {
    let folder = folder(store)?;
    let users = binary::users(state)?;
    let gate = (users.gate_uid, users.gate_gid);
    make_folder(&folder, 0o700, Some(gate))?;
    let mut keys: BTreeMap<String, Zeroizing<String>> = BTreeMap::new();
    let reached = reachable::of_policy(policy);
    let providers = &store.registry().config()?.llm.providers;
    for (name, provider) in providers.iter().filter(|(name, _)| reached.contains(name.as_str())) {
        if let Some(key) = key(name, provider)? {
            keys.insert(name.clone(), key);
        }
        if let Some(key) = &provider.key
            && !policy.secrets.contains_key(&key.to_string())
        {
            let reason = format!("there is no secret `{}` in the vault: `taskforge secret set {0}`", key.name());
            return Err(Error::Key { provider: name.clone(), reason });
        }
    }
    if !policy.secrets.is_empty() {
        let vault = Vault::of(store.registry())?;
        // Nobody is at the keyboard of a tick.
        let (log, identities) = (vault.log()?, Identities::open(store.registry(), &|_| None)?);
        for key in policy.secrets.keys() {
            let name = key.strip_prefix(VAULT).unwrap_or(key);
            let name = SecretName::parse(name).map_err(|rule| VaultError::Name { text: name.to_owned(), rule })?;
            let value = vault.get(&log, &name, &identities)?;
            keys.insert(key.clone(), Zeroizing::new(value.expose().to_owned()));
        }
    }
    let plain: BTreeMap<&str, &str> = keys.iter().map(|(name, key)| (name.as_str(), key.as_str())).collect();
    let text = Zeroizing::new(serde_json::to_vec(&plain).map_err(Error::Json)?);
    replace(&folder, &text, gate)?;
    Ok(folder)
}

/// Puts `keys.json` in place at once: a gate that reads it meanwhile finds the one or the other.
fn replace(folder: &Path, text: &[u8], gate: (u32, u32)) -> Result<(), Error> {
    let (path, staged) = (folder.join("keys.json"), folder.join(".keys.new"));
    let io = |action| {
        let path = path.clone();
        move |source| Error::Io { action, path, source }
    };
    let _ = std::fs::remove_file(&staged);
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o400).open(&staged).map_err(io("create"))?;
    std::io::Write::write_all(&mut file, text).map_err(io("write"))?;
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::fchown(&file, Some(gate.0), Some(gate.1)).map_err(io("give away"))?;
    }
    std::fs::rename(&staged, &path).map_err(io("replace"))
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
