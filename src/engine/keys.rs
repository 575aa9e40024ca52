//! Setting up who may decide: a key, the line in `allowed_signers` that allows it, the setting that uses it.

use std::path::{Path, PathBuf};

use chrono::Utc;
use serde::Serialize;

use crate::registry::{Registry, project};
use crate::signature::{
    self, Agent, AllowedSigners, DECISION, Entry, Settings, SignatureError, UNLOCK, default_keys, file_signs,
    fingerprint, key_counts, public_key_of,
};

use super::approvers;
use super::error::Error;

/// What a person asked for.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Either half of a pair; one is looked for, or made, if there is none here.
    pub key: Option<PathBuf>,
    /// The name to sign as.
    pub name: String,
    /// Add to an `allowed_signers` that names others already.
    pub add: bool,
}

/// What was set up.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SetUp {
    pub name: String,
    /// `SHA256:…`.
    pub key: String,
    pub file: PathBuf,
    /// Whether the key was made just now.
    pub made: bool,
    /// Whether an ssh-agent holds it.
    pub in_agent: bool,
    pub allowed_signers: PathBuf,
    /// The line of `allowed_signers`.
    pub line: String,
    /// Whether the line stands there: before, or since this call.
    pub allowed: bool,
    pub settings: PathBuf,
    /// Whether decisions count without a signature where `allowed_signers` is gone.
    pub required: bool,
}

/// A key that may be used.
struct Chosen {
    key: ssh_key::PublicKey,
    file: PathBuf,
    made: bool,
    in_agent: bool,
}

/// Finds or makes a key, allows it and notes it as the one to sign with. `protect` gives the passphrase for a new key: a
/// failure where nobody can be asked for one.
///
/// # Errors
/// [`Error::Signature`] for a key that cannot be used; those of `protect`, and of the file system.
pub fn set_up<E: From<Error>>(
    registry: &Registry,
    wanted: &Wanted,
    protect: impl FnOnce(&Path) -> Result<Option<zeroize::Zeroizing<String>>, E>,
) -> Result<SetUp, E> {
    let name = &wanted.name;
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | ',' | '*' | '?' | '!' | '#' | '\\');
    if name.is_empty() || name.len() > 200 || !name.chars().all(plain) {
        let what = format!("{name:?} is no name to sign as: letters, digits and signs, without blanks and patterns");
        return Err(Error::Usage(what).into());
    }
    let unfit = |error: SignatureError| Error::from(error);
    let chosen = match found(wanted).map_err(unfit)? {
        Some(chosen) => chosen,
        None => {
            let file = own_key().map_err(unfit)?;
            let passphrase = protect(&file)?;
            let key = signature::make_key(&file, name, passphrase.as_deref().map(String::as_str)).map_err(unfit)?;
            Chosen { key, file, made: true, in_agent: false }
        }
    };
    let path = approvers::path(registry)?;
    let bytes = project::read_file(&path, 1 << 20).map_err(Error::from)?;
    let allowed = AllowedSigners::parse(bytes.as_deref().unwrap_or_default()).map_err(unfit)?;
    let line = line_of(name, &chosen.key).map_err(unfit)?;
    let now = [Utc::now()];
    let may = |namespace| allowed.permit(chosen.key.key_data(), namespace, name, &now).is_ok();
    let stands = may(DECISION) && may(UNLOCK);
    let write = !stands && (wanted.add || allowed.entries().is_empty());
    if write {
        let mut text = bytes.unwrap_or_else(|| HEAD.as_bytes().to_vec());
        if !text.is_empty() && !text.ends_with(b"\n") {
            text.push(b'\n');
        }
        text.extend(format!("{line}\n").bytes());
        project::write_durable(&path, &text).map_err(Error::from)?;
    }
    let settings = Settings { key: Some(chosen.file.clone()), name: Some(name.clone()) };
    let settings_path = Settings::path().ok_or_else(nowhere).map_err(unfit)?;
    signature::write_settings(&settings_path, &settings).map_err(unfit)?;
    Ok(SetUp {
        name: name.clone(),
        key: fingerprint(chosen.key.key_data()),
        file: chosen.file,
        made: chosen.made,
        in_agent: chosen.in_agent,
        allowed_signers: path,
        line,
        allowed: stands || write,
        settings: settings_path,
        required: registry.config().map_err(Error::from)?.decisions.signatures
            == crate::registry::config::Signatures::Required,
    })
}

/// What a new `allowed_signers` begins with.
const HEAD: &str = "\
# Who may decide in this registry: names, options, a key. The format is OpenSSH's (ssh-keygen(1), ALLOWED SIGNERS).
# Do not take out the line of somebody who leaves, whose earlier decisions would then be unproven: end it, by
# valid-before=\"YYYYMMDDHHMMSSZ\". Take it out if the key is in other hands.
";

fn nowhere() -> SignatureError {
    SignatureError::Settings {
        path: PathBuf::from("signing.toml"),
        reason: "neither HOME nor XDG_CONFIG_HOME names a folder for it".to_owned(),
    }
}

fn own_key() -> Result<PathBuf, SignatureError> {
    Ok(Settings::path().ok_or_else(nowhere)?.with_file_name("signing_key"))
}

fn line_of(name: &str, key: &ssh_key::PublicKey) -> Result<String, SignatureError> {
    let mut key = key.clone();
    key.set_comment("");
    let text = key.to_openssh().map_err(|error| SignatureError::Format(error.to_string()))?;
    Ok(format!("{name} namespaces=\"{DECISION},{UNLOCK},taskforge-policy@*\" {}", text.trim()))
}

impl Chosen {
    /// Itself, if it can sign here and what it signs counts: with another, nobody could decide any more.
    fn fit(self) -> Result<Self, SignatureError> {
        let unfit = |reason| SignatureError::KeyFile { path: self.file.clone(), reason };
        key_counts(self.key.key_data()).map_err(unfit)?;
        if !self.in_agent && !file_signs(self.key.key_data()) {
            let kind = self.key.algorithm();
            let kind = kind.as_str();
            return Err(unfit(format!(
                "a key of type {kind} signs through an ssh-agent, and none here holds it: `ssh-add`"
            )));
        }
        Ok(self)
    }
}

/// The key that was named; else the one in the settings, the first of the agent's or of the usual files that is fit.
fn found(wanted: &Wanted) -> Result<Option<Chosen>, SignatureError> {
    let settings = Settings::load()?;
    let agent = Agent::of_environment().ok().flatten();
    let held =
        |key: &ssh_key::PublicKey| agent.iter().any(|(_, keys)| keys.iter().any(|(held, _)| held == key.key_data()));
    let of_file = |path: &Path| -> Result<Chosen, SignatureError> {
        let key = public_key_of(path)?;
        Ok(Chosen { in_agent: held(&key), key, file: path.to_owned(), made: false })
    };
    if let Some(path) = wanted.key.as_ref().or(settings.key.as_ref()) {
        return of_file(path)?.fit().map(Some);
    }
    let files = default_keys();
    if let Some((_, keys)) = &agent
        && let Some((key, comment)) = keys.iter().find(|(key, _)| key_counts(key).is_ok())
    {
        let file = files.iter().find(|path| public_key_of(path).is_ok_and(|public| public.key_data() == key));
        let public = ssh_key::PublicKey::new(key.clone(), comment.clone());
        let file = match file {
            Some(file) => file.clone(),
            None => {
                let path = own_key()?.with_file_name("agent_key.pub");
                signature::write_public(&path, &public)?;
                path
            }
        };
        return Ok(Some(Chosen { key: public, file, made: false, in_agent: true }));
    }
    // With none that is fit, one is made.
    let there = files.iter().filter(|path| path.exists());
    Ok(there.filter_map(|path| of_file(path).and_then(Chosen::fit).ok()).next())
}

/// One line of `allowed_signers`, as it stands today.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    /// From 1.
    pub line: usize,
    pub names: String,
    /// `SHA256:…`.
    pub key: String,
    /// `ssh-ed25519` and the like.
    pub kind: String,
    /// A pattern list; none allows all.
    pub namespaces: Option<String>,
    pub valid_after: Option<String>,
    pub valid_before: Option<String>,
    /// `good`, `not yet`, `expired`, `authority` (which is not used), `elsewhere` (may sign other things than decisions).
    pub state: &'static str,
    /// Whether the person at the keyboard signs with it.
    pub yours: bool,
}

/// Who may sign in `registry`; none where nobody has to.
///
/// # Errors
/// As [`approvers::approvers`].
pub fn list_approvers(registry: &Registry) -> Result<Option<Vec<Listed>>, Error> {
    let Some(allowed) = approvers::approvers(registry)? else { return Ok(None) };
    // As a key to sign with is looked for: the one that was named, or any of the agent's and of the usual files.
    let (held, files) = match Settings::load()?.key {
        Some(path) => (Vec::new(), vec![path]),
        None => (Agent::of_environment().ok().flatten().map(|(_, keys)| keys).unwrap_or_default(), default_keys()),
    };
    let of_files = files.iter().filter_map(|path| public_key_of(path).ok());
    let own: Vec<_> = held.into_iter().map(|(key, _)| key).chain(of_files.map(|key| key.key_data().clone())).collect();
    let yours = |entry: &Entry| own.contains(&entry.key);
    Ok(Some(allowed.entries().iter().map(|entry| listed(entry, yours(entry))).collect()))
}

fn listed(entry: &Entry, yours: bool) -> Listed {
    let now = Utc::now();
    let state = if entry.is_authority {
        "authority"
    } else if !entry.allows(DECISION) && !entry.allows(UNLOCK) {
        "elsewhere"
    } else if entry.validity.after.is_some_and(|after| now < after) {
        "not yet"
    } else if entry.validity.before.is_some_and(|before| now > before) {
        "expired"
    } else {
        "good"
    };
    let time = |time: chrono::DateTime<Utc>| crate::run::time::isoformat(time);
    Listed {
        line: entry.line,
        names: entry.principals.clone(),
        key: fingerprint(&entry.key),
        kind: entry.key.algorithm().as_str().to_owned(),
        namespaces: entry.namespaces.clone(),
        valid_after: entry.validity.after.map(time),
        valid_before: entry.validity.before.map(time),
        state,
        yours,
    }
}
