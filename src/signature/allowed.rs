//! `allowed_signers`: the file that says whose signatures count. A line that cannot be read makes all of it unreadable:
//! nobody then counts, rather than whoever the rest happens to name.

use chrono::{DateTime, SecondsFormat, Utc};
use ssh_key::public::KeyData;

use super::armor;
use super::check;
use super::entry::Entry;
use super::error::SignatureError;
use super::signer::fingerprint;

/// The largest file and the most lines that are read.
const LARGEST: usize = 1 << 20;
const MOST: usize = 10_000;

/// Who may sign.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AllowedSigners {
    entries: Vec<Entry>,
}

/// Whose signature it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    pub name: String,
    /// `SHA256:…`, as `ssh-keygen -l` prints it.
    pub key: String,
}

impl AllowedSigners {
    /// # Errors
    /// [`SignatureError::Allowed`] with the first line that cannot be read.
    pub fn parse(bytes: &[u8]) -> Result<Self, SignatureError> {
        let unfit = |line, reason: &str| SignatureError::Allowed { line, reason: reason.to_owned() };
        if bytes.len() > LARGEST {
            return Err(unfit(0, "the file is larger than 1 MiB"));
        }
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let line = bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
            unfit(line, "is not UTF-8")
        })?;
        let mut entries = Vec::new();
        for (index, text) in text.split('\n').enumerate() {
            let line = index + 1;
            if line > MOST {
                return Err(unfit(line, "more lines than are read"));
            }
            let carriage = text.strip_suffix('\r').unwrap_or(text);
            if let Some(character) = carriage.chars().find(|c| c.is_control() && *c != '\t') {
                return Err(unfit(line, &format!("a control character ({})", character.escape_unicode())));
            }
            entries.extend(Entry::parse(line, text).map_err(|reason| SignatureError::Allowed { line, reason })?);
        }
        Ok(Self { entries })
    }

    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether `signature` over `message` is `name`'s, by a key that may sign for `namespace` and was valid at each of the
    /// times `at`: what `ssh-keygen -Y verify` asks.
    ///
    /// # Errors
    /// [`SignatureError`] says which of it does not hold.
    pub fn verify(
        &self,
        namespace: &str,
        name: &str,
        message: &[u8],
        signature: &[u8],
        at: &[DateTime<Utc>],
    ) -> Result<Proof, SignatureError> {
        let signature = armor::read(signature)?;
        if signature.namespace() != namespace {
            let given = signature.namespace().chars().take(80).collect();
            return Err(SignatureError::Namespace { given, expected: namespace.to_owned() });
        }
        self.permit(signature.public_key(), namespace, name, at)?;
        check::check(&signature, message)?;
        Ok(Proof { name: name.to_owned(), key: fingerprint(signature.public_key()) })
    }

    /// As [`verify`](Self::verify), by whoever it is: the name is that of the line, as it stands there.
    ///
    /// # Errors
    /// What the nearest line lacks.
    pub fn verify_any(
        &self,
        namespace: &str,
        message: &[u8],
        signature: &[u8],
        at: &[DateTime<Utc>],
    ) -> Result<Proof, SignatureError> {
        let key = armor::read(signature)?.public_key().clone();
        let mut lacks = SignatureError::Unknown { key: fingerprint(&key) };
        for entry in self.entries.iter().filter(|entry| entry.key == key) {
            let name = entry.principals.split(',').next().unwrap_or_default();
            match self.verify(namespace, name, message, signature, at) {
                Err(error) => lacks = error,
                proven => return proven,
            }
        }
        Err(lacks)
    }

    /// The line by which `key` signs as `name` for `namespace` at each of the times.
    ///
    /// # Errors
    /// What the nearest line lacks.
    pub fn permit(
        &self,
        key: &KeyData,
        namespace: &str,
        name: &str,
        at: &[DateTime<Utc>],
    ) -> Result<&Entry, SignatureError> {
        let shown = || fingerprint(key);
        // The further a line gets, the more there is to learn from what it lacks.
        let mut nearest = (0, SignatureError::Unknown { key: shown() });
        for entry in self.entries.iter().filter(|entry| entry.key == *key && !entry.is_authority) {
            let line = entry.line;
            let said = |at: &DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
            let lacks = if !entry.is_of(name) {
                (1, SignatureError::Name { key: shown(), name: name.to_owned() })
            } else if !entry.allows(namespace) {
                (2, SignatureError::NotForNamespace { key: shown(), namespace: namespace.to_owned(), line })
            } else if let Some(at) = at.iter().find(|at| !entry.validity.has_begun(**at)) {
                (3, SignatureError::NotYet { key: shown(), at: said(at), line })
            } else if let Some(at) = at.iter().find(|at| entry.validity.has_ended(**at)) {
                (3, SignatureError::Expired { key: shown(), at: said(at), line })
            } else {
                return Ok(entry);
            };
            if lacks.0 > nearest.0 {
                nearest = lacks;
            }
        }
        Err(nearest.1)
    }
}
