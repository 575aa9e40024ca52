//! A client of an ssh-agent (PROTOCOL.agent): which keys it holds, and a signature by one of them. What it answers is as
//! hostile as any input: bounded, and a signature is checked before it is used.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ssh_key::Signature;
use ssh_key::public::KeyData;

use super::check::check_raw;
use super::error::SignatureError;

const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;
const FAILURE: u8 = 5;
/// RSA with SHA-512; other keys take no notice.
const RSA_SHA2_512: u32 = 4;

/// What OpenSSH's own client takes at most.
const LONGEST: usize = 256 << 10;
const MOST: u32 = 2048;

/// Long enough for a person to touch a key, or to answer a question of the agent's.
const PATIENCE: Duration = Duration::from_secs(120);

/// Keys that an agent holds, each with what it calls it.
pub type Held = Vec<(KeyData, String)>;

/// An agent that answered once.
#[derive(Debug, Clone)]
pub struct Agent {
    socket: PathBuf,
}

impl Agent {
    /// The agent that `SSH_AUTH_SOCK` names, with its keys and what it calls them; none if the variable is not set.
    ///
    /// # Errors
    /// [`SignatureError::Agent`] if it cannot be reached or does not keep to the protocol.
    pub fn of_environment() -> Result<Option<(Self, Held)>, SignatureError> {
        match std::env::var_os("SSH_AUTH_SOCK").filter(|socket| !socket.is_empty()) {
            None => Ok(None),
            Some(socket) => {
                let agent = Self { socket: PathBuf::from(socket) };
                agent.keys().map(|keys| Some((agent, keys)))
            }
        }
    }

    /// The agent at `socket`.
    #[must_use]
    pub fn at(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// Its keys of the types that are known.
    ///
    /// # Errors
    /// [`SignatureError::Agent`].
    pub fn keys(&self) -> Result<Held, SignatureError> {
        identities(&self.ask(&[REQUEST_IDENTITIES])?)
    }

    /// A signature by `key` over `data`.
    ///
    /// # Errors
    /// [`SignatureError::Agent`], also where the person at the agent refuses, or what it gives is no signature.
    pub(super) fn sign(&self, key: &KeyData, data: &[u8]) -> Result<Signature, SignatureError> {
        let mut message = vec![SIGN_REQUEST];
        put(&mut message, &encoded(key)?);
        put(&mut message, data);
        message.extend(RSA_SHA2_512.to_be_bytes());
        let signature = signature(&self.ask(&message)?)?;
        check_raw(key, &signature, data).map_err(|error| said(format!("what it gave is no signature: {error}")))?;
        Ok(signature)
    }

    fn ask(&self, message: &[u8]) -> Result<Vec<u8>, SignatureError> {
        let failed = |error: std::io::Error| said(format!("{}: {error}", self.socket.display()));
        let mut stream = UnixStream::connect(&self.socket).map_err(failed)?;
        stream
            .set_read_timeout(Some(PATIENCE))
            .and_then(|()| stream.set_write_timeout(Some(PATIENCE)))
            .map_err(failed)?;
        let mut framed = Vec::new();
        put(&mut framed, message);
        stream.write_all(&framed).map_err(failed)?;
        let mut length = [0; 4];
        stream.read_exact(&mut length).map_err(failed)?;
        let length = u32::from_be_bytes(length) as usize;
        if length == 0 || length > LONGEST {
            return Err(said(format!("an answer of {length} bytes")));
        }
        let mut answer = vec![0; length];
        stream.read_exact(&mut answer).map_err(failed)?;
        Ok(answer)
    }
}

fn said(text: String) -> SignatureError {
    SignatureError::Agent(text)
}

fn encoded(key: &KeyData) -> Result<Vec<u8>, SignatureError> {
    let public = ssh_key::PublicKey::from(key.clone());
    public.to_bytes().map_err(|error| said(error.to_string()))
}

/// An SSH string: its length and its bytes.
fn put(into: &mut Vec<u8>, bytes: &[u8]) {
    into.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    into.extend(bytes);
}

fn take<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = from.split_first_chunk::<4>()?;
    let (bytes, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    *from = rest;
    Some(bytes)
}

/// The keys in an answer to [`REQUEST_IDENTITIES`].
pub(crate) fn identities(answer: &[u8]) -> Result<Held, SignatureError> {
    let cut = || said("its list of keys is cut short".to_owned());
    let (kind, rest) = answer.split_first().ok_or_else(cut)?;
    if *kind != IDENTITIES_ANSWER {
        return Err(said(format!("it answers with {kind} where its keys were asked for")));
    }
    let (count, mut rest) = rest.split_first_chunk::<4>().ok_or_else(cut)?;
    let count = u32::from_be_bytes(*count);
    if count > MOST {
        return Err(said(format!("it says that it holds {count} keys")));
    }
    let mut keys = Vec::new();
    for _ in 0..count {
        let key = take(&mut rest).ok_or_else(cut)?;
        let comment = take(&mut rest).ok_or_else(cut)?;
        // A certificate, or a type of tomorrow, is not ours to use.
        if let Ok(key) = ssh_key::PublicKey::from_bytes(key)
            && !matches!(key.key_data(), KeyData::Other(_))
        {
            keys.push((key.key_data().clone(), String::from_utf8_lossy(comment).chars().take(200).collect()));
        }
    }
    Ok(keys)
}

/// The signature in an answer to [`SIGN_REQUEST`].
pub(crate) fn signature(answer: &[u8]) -> Result<Signature, SignatureError> {
    match answer.split_first() {
        Some((&SIGN_RESPONSE, mut rest)) => {
            let bytes = take(&mut rest).filter(|_| rest.is_empty());
            let bytes = bytes.ok_or_else(|| said("its signature is cut short".to_owned()))?;
            Signature::try_from(bytes).map_err(|error| said(format!("its signature cannot be read: {error}")))
        }
        Some((&FAILURE, _)) => Err(said("it refuses to sign (locked, the key gone, or not confirmed)".to_owned())),
        _ => Err(said("it answers something else where a signature was asked for".to_owned())),
    }
}
