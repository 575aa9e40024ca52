//! Signed notes as C2SP's signed-note and tlog-checkpoint have them: a text, a blank line, signatures. Pure; a note comes
//! from anywhere, and is hostile until one of the keys that are known here has signed it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::registry::journal::scan::Head;
use crate::run::id::Digest;

/// The largest note that is read, in bytes.
pub const LARGEST: u64 = 16 << 10;
/// How many signatures a note may carry.
const SIGNATURES: usize = 64;
/// Ed25519, in signed-note's list of algorithms.
const ALGORITHM: u8 = 1;

/// Why a note proves nothing.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum NoteError {
    #[error("has more than {LARGEST} bytes, and no checkpoint is that large")]
    TooLarge,
    #[error("is no checkpoint: {0}")]
    Malformed(&'static str),
    #[error("carries more than {SIGNATURES} signatures")]
    Crowded,
    #[error("is signed by no key that is known here, but by {0}")]
    Unknown(String),
    #[error("has a signature that key {0} did not make: it was changed, or forged")]
    Forged(String),
    #[error("{0:?} is no key: `<name>+<hash>+<base64>` is one, of Ed25519")]
    NoKey(String),
}

/// A public key with its name, as one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vkey {
    name: String,
    key: [u8; 32],
}

impl Vkey {
    /// The key of a pair under `name`.
    #[must_use]
    pub fn of(name: &str, pair: &Ed25519KeyPair) -> Option<Self> {
        let key = pair.public_key().as_ref().try_into().ok()?;
        is_name(name).then(|| Self { name: name.to_owned(), key })
    }

    /// # Errors
    /// [`NoteError::NoKey`].
    pub fn parse(line: &str) -> Result<Self, NoteError> {
        let wrong = || NoteError::NoKey(line.chars().take(200).collect());
        let mut parts = line.splitn(3, '+');
        let (Some(name), Some(hash), Some(data)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(wrong());
        };
        let data = STANDARD.decode(data).map_err(|_| wrong())?;
        let Some((&ALGORITHM, key)) = data.split_first() else { return Err(wrong()) };
        let key = Self { name: name.to_owned(), key: key.try_into().map_err(|_| wrong())? };
        if is_name(name) && key.to_string() == line && hash.len() == 8 { Ok(key) } else { Err(wrong()) }
    }

    /// The keys of a file with one a line; empty lines are none.
    ///
    /// # Errors
    /// [`NoteError::NoKey`] with the first line that is none.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, NoteError> {
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(Self::parse).collect()
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    fn hash(&self) -> [u8; 4] {
        let whole = Sha256::new().chain_update(&self.name).chain_update([b'\n', ALGORITHM]).chain_update(self.key);
        let whole: [u8; 32] = whole.finalize().into();
        [whole[0], whole[1], whole[2], whole[3]]
    }
}

impl fmt::Display for Vkey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut data = vec![ALGORITHM];
        data.extend_from_slice(&self.key);
        write!(out, "{}+{:08x}+{}", self.name, u32::from_be_bytes(self.hash()), STANDARD.encode(data))
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 300 && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+')
}

/// What a checkpoint says: this journal had this head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// `taskforge/<registry>/<run>`.
    pub origin: String,
    /// `seq` is 0 where the note does not say it.
    pub head: Head,
}

impl Checkpoint {
    /// The origin of run `run` in the registry `registry`, whose id is empty where OpenTask made it.
    #[must_use]
    pub fn origin(registry: &str, run: &str) -> String {
        format!("taskforge/{registry}/{run}")
    }

    /// The run that the origin names.
    #[must_use]
    pub fn run(&self) -> Option<&str> {
        self.origin.strip_prefix("taskforge/")?.split_once('/').map(|(_, run)| run)
    }

    fn text(&self) -> String {
        let digest = STANDARD.encode(bytes_of(&self.head.digest));
        format!("{}\n{}\n{digest}\nseq {}\n", self.origin, self.head.at, self.head.seq)
    }

    /// The note that `pair` signs as `key`.
    #[must_use]
    pub fn sign(&self, key: &Vkey, pair: &Ed25519KeyPair) -> String {
        let text = self.text();
        let mut signature = key.hash().to_vec();
        signature.extend_from_slice(pair.sign(text.as_bytes()).as_ref());
        format!("{text}\n\u{2014} {} {}\n", key.name, STANDARD.encode(signature))
    }

    /// What the note says, if one of `keys` signed it. Signatures of others say nothing; a wrong one of a known key
    /// makes the whole note wrong.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn open(note: &[u8], keys: &[Vkey]) -> Result<Self, NoteError> {
        let (text, signatures) = split(note)?;
        let checkpoint = Self::parse(text)?;
        let mut known = false;
        let mut others = Vec::new();
        for (name, hash, signature) in signatures {
            let named = keys.iter().find(|key| key.name == name && key.hash() == hash);
            match named.map(|key| UnparsedPublicKey::new(&ED25519, key.key).verify(text.as_bytes(), &signature)) {
                Some(Ok(())) => known = true,
                Some(Err(_)) => return Err(NoteError::Forged(name.to_owned())),
                None => others.push(format!("{name}+{:08x}", u32::from_be_bytes(hash))),
            }
        }
        if known { Ok(checkpoint) } else { Err(NoteError::Unknown(others.join(", "))) }
    }

    /// What the note says, whoever signed it: for a choice of what to check it against, never for trust.
    ///
    /// # Errors
    /// Where it is no note of ours.
    pub fn claim(note: &[u8]) -> Result<Self, NoteError> {
        Self::parse(split(note)?.0)
    }

    fn parse(text: &str) -> Result<Self, NoteError> {
        let mut lines = text.lines();
        let origin = lines.next().filter(|line| line.starts_with("taskforge/"));
        let origin = origin.ok_or(NoteError::Malformed("its first line is not `taskforge/<registry>/<run>`"))?;
        let number = |text: &str| text.parse::<u64>().ok().filter(|number| number.to_string() == text);
        let at = lines.next().and_then(number);
        let at = at.ok_or(NoteError::Malformed("its second line is not a size in bytes"))?;
        let digest = lines.next().and_then(|line| STANDARD.decode(line).ok());
        let digest = digest.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let digest = digest.ok_or(NoteError::Malformed("its third line is not a digest of 32 bytes in base64"))?;
        let seq = lines.find_map(|line| line.strip_prefix("seq ")).map(number);
        let seq = seq.unwrap_or(Some(0)).ok_or(NoteError::Malformed("its `seq` is no number"))?;
        Ok(Self { origin: origin.to_owned(), head: Head { at, digest: Digest::from_bytes(&digest), seq } })
    }
}

type Signature<'a> = (&'a str, [u8; 4], Vec<u8>);

/// The text, with its last newline, and the signatures.
fn split(note: &[u8]) -> Result<(&str, Vec<Signature<'_>>), NoteError> {
    if note.len() as u64 > LARGEST {
        return Err(NoteError::TooLarge);
    }
    let note = std::str::from_utf8(note).map_err(|_| NoteError::Malformed("it is not UTF-8"))?;
    if note.chars().any(|c| c.is_control() && c != '\n') {
        return Err(NoteError::Malformed("there are control characters in it"));
    }
    let place = note.rfind("\n\n").ok_or(NoteError::Malformed("it has no blank line before its signatures"))?;
    let (text, rest) = (&note[..=place], &note[place + 2..]);
    let rest = rest.strip_suffix('\n').ok_or(NoteError::Malformed("it does not end with a line of a signature"))?;
    let mut signatures = Vec::new();
    for line in rest.split('\n') {
        if signatures.len() == SIGNATURES {
            return Err(NoteError::Crowded);
        }
        let wrong = NoteError::Malformed("a line of a signature is not `— <name> <base64>`");
        let parts = line.strip_prefix("\u{2014} ").and_then(|line| line.split_once(' '));
        let Some((name, data)) = parts.filter(|(name, _)| is_name(name)) else { return Err(wrong) };
        let Ok(data) = STANDARD.decode(data) else { return Err(wrong) };
        let Some((hash, signature)) = data.split_first_chunk::<4>() else { return Err(wrong) };
        signatures.push((name, *hash, signature.to_vec()));
    }
    Ok((text, signatures))
}

fn bytes_of(digest: &Digest) -> Vec<u8> {
    let text = digest.as_str();
    (0..text.len() / 2).filter_map(|i| u8::from_str_radix(text.get(i * 2..i * 2 + 2)?, 16).ok()).collect()
}

#[cfg(test)]
#[path = "note_tests.rs"]
mod tests;
