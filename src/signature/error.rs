//! Why a signature does not count, or cannot be made.

use std::path::PathBuf;

use thiserror::Error;

#[derive(Debug, Error)]
pub enum SignatureError {
    #[error("the signature cannot be read: {0}")]
    Format(String),
    #[error("the signature is for namespace {given:?}, not {expected:?}")]
    Namespace { given: String, expected: String },
    #[error("a {0} signature is not accepted")]
    Unsupported(String),
    #[error("the signature was made without touching the security key")]
    Untouched,
    #[error("the signature does not fit what it lies beside")]
    Forged,
    #[error("key {key} is not in allowed_signers")]
    Unknown { key: String },
    #[error("key {key} is not {name}'s in allowed_signers")]
    Name { key: String, name: String },
    #[error("key {key} may not sign for namespace {namespace:?} (allowed_signers, line {line})")]
    NotForNamespace { key: String, namespace: String, line: usize },
    #[error("key {key} was not valid yet at {at} (allowed_signers, line {line})")]
    NotYet { key: String, at: String, line: usize },
    #[error("key {key} had expired at {at} (allowed_signers, line {line})")]
    Expired { key: String, at: String, line: usize },
    #[error("allowed_signers, line {line}: {reason}")]
    Allowed { line: usize, reason: String },
    #[error("the ssh-agent: {0}")]
    Agent(String),
    #[error("key file {path}: {reason}")]
    KeyFile { path: PathBuf, reason: String },
    #[error("key file {path} is encrypted, and nobody can be asked for its passphrase here")]
    NoPassphrase { path: PathBuf },
    #[error("no key of yours may sign for namespace {namespace:?}: {looked}")]
    NoKey { namespace: String, looked: String },
    #[error("{path}: {reason}")]
    Settings { path: PathBuf, reason: String },
}
