//! What can be done to a vault. Every change is staged, logged, and then put in place: what the log names counts.

use std::collections::BTreeMap;
use std::str::FromStr as _;

use age::x25519::Recipient;
use chrono::{DateTime, Utc};
use serde::Serialize;
use zeroize::Zeroizing;

use super::cipher::{self, Closed};
use super::error::VaultError;
use super::identity::{self, Identities, Passphrase, identity_path};
use super::log::{Event, Log, Metadata};
use super::value::{LARGEST, Value};
use crate::registry::lock::VaultLock;
use crate::registry::{Registry, vault as files};
use crate::run::capability::SecretName;
use crate::run::id::Digest;

/// The vault of a registry.
#[derive(Debug)]
pub struct Vault<'r> {
    registry: &'r Registry,
    id: String,
}

/// What a rotation did.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rotated {
    /// The secrets that were encrypted anew.
    pub secrets: Vec<String>,
    pub recipients: Vec<String>,
}

/// What is done to a vault, by whom and when.
#[derive(Debug, Clone, Copy)]
struct Hand<'a> {
    by: &'a str,
    now: DateTime<Utc>,
}

impl<'r> Vault<'r> {
    /// # Errors
    /// When the registry has no id.
    pub fn of(registry: &'r Registry) -> Result<Self, VaultError> {
        Ok(Self { registry, id: registry.id()? })
    }

    /// What the log says, with modes checked first.
    ///
    /// # Errors
    /// [`VaultError::Mode`], [`VaultError::Log`], [`VaultError::LogGone`].
    pub fn log(&self) -> Result<Log, VaultError> {
        if let Some((path, mode)) = files::loose(self.registry)?.into_iter().next() {
            return Err(VaultError::Mode { path, mode });
        }
        let log = Log::read(&self.id, &files::log(self.registry)?)?;
        // A secret is put in its place after the log names it: without a line there is none.
        if log.entries.is_empty() {
            let left = files::secrets(self.registry)?;
            if !left.is_empty() {
                let path = self.registry.layout().vault_log();
                return Err(VaultError::LogGone { path, secrets: left.join(", ") });
            }
        }
        Ok(log)
    }

    /// Makes the identity, behind `passphrase` if there is one, and an empty vault. The public key.
    ///
    /// # Errors
    /// [`VaultError::IdentityExists`] where there is one that the vault knows; [`VaultError::IdentityLost`].
    pub fn create(&self, passphrase: Option<&str>, by: &str, now: DateTime<Utc>) -> Result<String, VaultError> {
        let lock = files::lock(self.registry)?;
        let log = self.log()?;
        let path = identity_path(self.registry)?;
        if path.exists() {
            // Half of an earlier try, or an identity that was brought along.
            if !log.recipients.is_empty() {
                return Err(VaultError::IdentityExists { path });
            }
            let recipient = Identities::open(self.registry, &|_| passphrase.map(|p| Zeroizing::new(p.to_owned())))?;
            let recipient = recipient.recipient();
            self.say(&lock, &log, Event::Created { recipients: vec![recipient.clone()] }, Hand { by, now })?;
            return Ok(recipient);
        }
        if !log.recipients.is_empty() {
            return Err(VaultError::IdentityLost { path, recipients: log.recipients.join(", ") });
        }
        let made = Identities::make(path);
        made.write(passphrase, now)?;
        self.say(&lock, &log, Event::Created { recipients: vec![made.recipient()] }, Hand { by, now })?;
        Ok(made.recipient())
    }

    /// Gives a secret a value; whether it had one before. Needs no identity: what is encrypted needs only recipients.
    ///
    /// # Errors
    /// [`VaultError::NoVault`] and those of the file system.
    pub fn set(&self, name: &SecretName, value: &Value, by: &str, now: DateTime<Utc>) -> Result<bool, VaultError> {
        self.set_all(&[(name.clone(), value.clone())], by, now).map(|replaced| replaced.contains(name))
    }

    /// [`Vault::set`] for several: all of them, or none. Those that had a value before.
    ///
    /// # Errors
    /// As [`Vault::set`]; nothing is changed then.
    pub fn set_all(
        &self,
        values: &[(SecretName, Value)],
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<Vec<SecretName>, VaultError> {
        let lock = files::lock(self.registry)?;
        let log = self.log()?;
        let recipients = parse_recipients(&log.recipients)?;
        if recipients.is_empty() {
            return Err(VaultError::NoVault);
        }
        let known = |(name, _): &&(SecretName, Value)| log.secrets.contains_key(name.as_str());
        let replaced = values.iter().filter(known).map(|(name, _)| name.clone()).collect();
        let mut digests = BTreeMap::new();
        for (name, value) in values {
            let sealed = seal(name.as_str(), &recipients, value.expose().as_bytes())?;
            self.settle(&lock, &log, name.as_str())?;
            files::stage(self.registry, &lock, name.as_str(), &sealed)?;
            digests.insert(name.to_string(), Digest::of(&sealed));
        }
        // One line for all of them: whoever is ended before it has changed nothing.
        let event = match values {
            [] => return Ok(replaced),
            [(name, _)] => match digests.remove(name.as_str()) {
                Some(sha256) => Event::Set { name: name.to_string(), sha256 },
                None => return Ok(replaced),
            },
            _ => Event::Imported { files: digests },
        };
        self.say(&lock, &log, event, Hand { by, now })?;
        for (name, _) in values {
            files::keep(self.registry, &lock, name.as_str())?;
        }
        Ok(replaced)
    }

    /// A secret's value.
    ///
    /// # Errors
    /// [`VaultError::NotFound`], [`VaultError::Changed`], [`VaultError::Missing`], [`VaultError::NotForUs`],
    /// [`VaultError::Damaged`].
    pub fn get(&self, log: &Log, name: &SecretName, identities: &Identities) -> Result<Value, VaultError> {
        let sealed = self.sealed(log, name.as_str())?;
        Value::parse(unseal(name.as_str(), &sealed, identities)?)
    }

    /// The encrypted bytes that the log names: in place, or staged by somebody who then was ended.
    fn sealed(&self, log: &Log, name: &str) -> Result<Vec<u8>, VaultError> {
        let not_found = || VaultError::NotFound { name: name.to_owned() };
        let known = log.secrets.get(name).ok_or_else(not_found)?;
        let found = files::read(self.registry, name)?;
        let there = found.iter().any(Option::is_some);
        let right = found.into_iter().flatten().find(|bytes| Digest::of(bytes) == known.sha256);
        let path = files::path(self.registry, name);
        right.ok_or_else(|| match there {
            true => VaultError::Changed { name: name.to_owned(), path },
            false => VaultError::Missing { name: name.to_owned(), path },
        })
    }

    /// What an `age` file holds that was made for this vault's identity by any program.
    ///
    /// # Errors
    /// [`VaultError::Damaged`], [`VaultError::NotForUs`], [`VaultError::Value`].
    pub fn decrypt(&self, what: &str, sealed: &[u8], identities: &Identities) -> Result<Value, VaultError> {
        Value::parse(unseal(what, sealed, identities)?)
    }

    /// Removes a secret.
    ///
    /// # Errors
    /// [`VaultError::NotFound`].
    pub fn remove(&self, name: &SecretName, by: &str, now: DateTime<Utc>) -> Result<Metadata, VaultError> {
        let lock = files::lock(self.registry)?;
        let log = self.log()?;
        let known = log.secrets.get(name.as_str()).cloned();
        let known = known.ok_or_else(|| VaultError::NotFound { name: name.to_string() })?;
        self.say(&lock, &log, Event::Removed { name: name.to_string() }, Hand { by, now })?;
        files::remove(self.registry, &lock, name.as_str())?;
        Ok(known)
    }

    /// Makes a new key, encrypts every secret anew to it and to `others`, and forgets the old key. Until all of it is done
    /// the old key stays beside the new one.
    ///
    /// # Errors
    /// Those of opening the identity and of reading each secret: nothing is changed then.
    pub fn rotate(
        &self,
        others: &[String],
        passphrase: Passphrase<'_>,
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<Rotated, VaultError> {
        let lock = files::lock(self.registry)?;
        let log = self.log()?;
        if log.recipients.is_empty() {
            return Err(VaultError::NoVault);
        }
        let phrase = identity::passphrase_of(self.registry, passphrase)?;
        // Asked once: the second opening gets the same answer.
        let identities = Identities::open(self.registry, &|_| phrase.clone())?;
        let mut plain = BTreeMap::new();
        for name in log.secrets.keys() {
            plain.insert(name.clone(), unseal(name, &self.sealed(&log, name)?, &identities)?);
        }
        let renewed = identities.renew();
        let mut recipients = vec![renewed.recipient()];
        recipients.extend(others.iter().cloned());
        recipients.dedup();
        let keys = parse_recipients(&recipients)?;
        renewed.write(phrase.as_deref().map(String::as_str), now)?;
        let mut digests = BTreeMap::new();
        for (name, value) in &plain {
            let sealed = seal(name, &keys, value)?;
            digests.insert(name.clone(), Digest::of(&sealed));
            self.settle(&lock, &log, name)?;
            files::stage(self.registry, &lock, name, &sealed)?;
        }
        let event = Event::Rotated { recipients: recipients.clone(), files: digests };
        self.say(&lock, &log, event, Hand { by, now })?;
        for name in plain.keys() {
            files::keep(self.registry, &lock, name)?;
        }
        renewed.newest().write(phrase.as_deref().map(String::as_str), now)?;
        // What was unlocked holds the old key.
        if identity::lock(self.registry)? {
            identity::unlock(self.registry, &|_| phrase.clone())?;
        }
        Ok(Rotated { secrets: plain.into_keys().collect(), recipients })
    }

    /// Puts in place what is staged for `name` if that is its value: somebody logged it and was ended then. The next value is
    /// staged over it.
    fn settle(&self, lock: &VaultLock, log: &Log, name: &str) -> Result<(), VaultError> {
        let Some(known) = log.secrets.get(name) else { return Ok(()) };
        let [_, staged] = files::read(self.registry, name)?;
        if staged.is_some_and(|bytes| Digest::of(&bytes) == known.sha256) {
            files::keep(self.registry, lock, name)?;
        }
        Ok(())
    }

    /// Puts an event on the log; the log with it.
    fn say(&self, lock: &VaultLock, log: &Log, event: Event, hand: Hand<'_>) -> Result<Log, VaultError> {
        let entry = log.next(event, hand.by, hand.now);
        let bad = |error: serde_json::Error| VaultError::Log { line: log.entries.len() + 1, reason: error.to_string() };
        let mut line = serde_json::to_vec(&entry).map_err(bad)?;
        line.push(b'\n');
        files::append(self.registry, lock, &line)?;
        self.log()
    }
}

fn parse_recipients(texts: &[String]) -> Result<Vec<Recipient>, VaultError> {
    let parse = |text: &String| Recipient::from_str(text).map_err(|_| VaultError::Recipient { text: text.clone() });
    texts.iter().map(parse).collect()
}

fn seal(what: &str, recipients: &[Recipient], plain: &[u8]) -> Result<Vec<u8>, VaultError> {
    cipher::to_recipients(recipients, plain)
        .map_err(|reason| VaultError::Damaged { what: format!("the secret `{what}`"), reason })
}

fn unseal(name: &str, sealed: &[u8], identities: &Identities) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    // A newline more than a value may have.
    cipher::open(sealed, identities.keys(), LARGEST + 2).map_err(|closed| match closed {
        Closed::NotForUs => VaultError::NotForUs { name: name.to_owned() },
        Closed::Damaged(reason) => VaultError::Damaged { what: format!("the secret `{name}`"), reason },
    })
}
