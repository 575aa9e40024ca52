//! `log.jsonl`: who changed the vault, when, and which bytes each secret is since. Chained from the first line; what a
//! crash left of a line (half of it, or one with holes of NULs where sectors were lost) counts for nothing, and what
//! stands behind it goes on with the chain.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::error::VaultError;
use crate::registry::journal::chain::Chain;
use crate::run::id::Digest;

/// A line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Entry {
    /// From 1.
    pub seq: u64,
    pub time: DateTime<Utc>,
    /// Who did it, as `operator:<name>`.
    pub by: String,
    pub event: Event,
    /// The digest of all bytes before the line.
    pub prev: Digest,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "kind", deny_unknown_fields, rename_all_fields = "camelCase")]
pub enum Event {
    /// Secrets are encrypted to these from now on.
    #[serde(rename = "vault.created")]
    Created { recipients: Vec<String> },
    /// A new secret, or another value of one; the digest is that of the encrypted file.
    #[serde(rename = "secret.set")]
    Set { name: String, sha256: Digest },
    /// The same for several at once: all of them, or none.
    #[serde(rename = "vault.imported")]
    Imported { files: BTreeMap<String, Digest> },
    #[serde(rename = "secret.removed")]
    Removed { name: String },
    /// All secrets were encrypted anew.
    #[serde(rename = "vault.rotated")]
    Rotated { recipients: Vec<String>, files: BTreeMap<String, Digest> },
}

/// What is known of a secret, and may be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    pub name: String,
    pub created: DateTime<Utc>,
    pub created_by: String,
    /// When its value was last set.
    pub changed: DateTime<Utc>,
    pub changed_by: String,
    /// How often a value was set.
    pub versions: u64,
    /// When it was last encrypted.
    pub encrypted: DateTime<Utc>,
    /// The digest of the encrypted file.
    pub sha256: Digest,
}

/// The log, folded.
#[derive(Debug, Clone)]
pub struct Log {
    pub secrets: BTreeMap<String, Metadata>,
    /// Whom the secrets are encrypted to; the operator's own first.
    pub recipients: Vec<String>,
    pub entries: Vec<Entry>,
    head: Chain,
}

impl Log {
    /// # Errors
    /// [`VaultError::Log`] where the chain or an entry is not what this program writes.
    pub fn read(registry: &str, bytes: &[u8]) -> Result<Self, VaultError> {
        let head = Chain::vault(registry);
        let mut log = Self { secrets: BTreeMap::new(), recipients: Vec::new(), entries: Vec::new(), head };
        for (number, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
            let wrong = |reason: String| VaultError::Log { line: number + 1, reason };
            // One that lacks only its newline is whole: whoever appends next gives it that.
            let whole = if line.ends_with(b"\n") { line.to_vec() } else { [line, b"\n"].concat() };
            match serde_json::from_slice::<Entry>(line.strip_suffix(b"\n").unwrap_or(line)) {
                Ok(entry) => {
                    if entry.prev != log.head.digest() {
                        return Err(wrong("it does not go on from the lines before it".to_owned()));
                    }
                    if entry.seq != log.entries.len() as u64 + 1 {
                        return Err(wrong(format!("it has the number {}", entry.seq)));
                    }
                    log.apply(&entry);
                    log.entries.push(entry);
                }
                // Half a line or one with a hole, as a crash leaves it: JSON has no NUL. What is no JSON for another reason
                // was written by somebody else.
                Err(error) if error.is_eof() || line.contains(&0) => {}
                Err(error) => return Err(wrong(error.to_string())),
            }
            log.head = log.head.line(&whole);
        }
        Ok(log)
    }

    fn apply(&mut self, entry: &Entry) {
        match &entry.event {
            Event::Created { recipients } => self.recipients.clone_from(recipients),
            Event::Set { name, sha256 } => self.set(entry, name, sha256),
            Event::Imported { files } => files.iter().for_each(|(name, sha256)| self.set(entry, name, sha256)),
            Event::Removed { name } => drop(self.secrets.remove(name)),
            Event::Rotated { recipients, files } => {
                self.recipients.clone_from(recipients);
                for (name, sha256) in files {
                    if let Some(known) = self.secrets.get_mut(name) {
                        known.sha256 = sha256.clone();
                        known.encrypted = entry.time;
                    }
                }
            }
        }
    }

    fn set(&mut self, entry: &Entry, name: &str, sha256: &Digest) {
        let known = self.secrets.get(name);
        let metadata = Metadata {
            name: name.to_owned(),
            created: known.map_or(entry.time, |known| known.created),
            created_by: known.map_or(&entry.by, |known| &known.created_by).clone(),
            changed: entry.time,
            changed_by: entry.by.clone(),
            versions: known.map_or(0, |known| known.versions) + 1,
            encrypted: entry.time,
            sha256: sha256.clone(),
        };
        self.secrets.insert(name.to_owned(), metadata);
    }

    /// The line that says `event`.
    pub(super) fn next(&self, event: Event, by: &str, time: DateTime<Utc>) -> Entry {
        let prev = self.head.digest();
        Entry { seq: self.entries.len() as u64 + 1, time, by: by.to_owned(), event, prev }
    }
}
