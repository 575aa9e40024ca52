//! Why a secret cannot be had. No message holds anything of a value.

use std::path::PathBuf;

use thiserror::Error;

/// A refusal of the vault.
#[derive(Debug, Error)]
pub enum VaultError {
    #[error("neither XDG_CONFIG_HOME nor HOME says where an identity would be")]
    NoHome,
    #[error("there is no identity {path}")]
    NoIdentity { path: PathBuf },
    #[error("others may read the identity {path} (mode {mode:04o})")]
    IdentityMode { path: PathBuf, mode: u32 },
    #[error("the identity {path} belongs to another user (uid {uid})")]
    IdentityOwner { path: PathBuf, uid: u32 },
    #[error("the identity {path} cannot be used: {reason}")]
    Identity { path: PathBuf, reason: String },
    #[error("the vault is locked: {path} is behind a passphrase, and nobody can be asked for it")]
    Locked { path: PathBuf },
    #[error("{path} is not opened by this passphrase")]
    WrongPassphrase { path: PathBuf },
    #[error("there is an identity {path} already")]
    IdentityExists { path: PathBuf },
    #[error("the secrets here are encrypted to {recipients}, and there is no identity {path}")]
    IdentityLost { path: PathBuf, recipients: String },
    #[error("there is no vault yet")]
    NoVault,
    #[error("others may get at {path} (mode {mode:04o})")]
    Mode { path: PathBuf, mode: u32 },
    #[error("{text:?} names no secret: {rule}")]
    Name { text: String, rule: &'static str },
    #[error("there is no secret `{name}`")]
    NotFound { name: String },
    #[error("the secret `{name}` is not what the vault's log says it is: something else wrote {path}")]
    Changed { name: String, path: PathBuf },
    #[error("the secret `{name}` is missing: the vault's log has it, and {path} is not there")]
    Missing { name: String, path: PathBuf },
    #[error("the secret `{name}` is not encrypted to this identity")]
    NotForUs { name: String },
    #[error("{what} cannot be decrypted: {reason}")]
    Damaged { what: String, reason: String },
    #[error("the vault's log is not what was written, in line {line}: {reason}")]
    Log { line: usize, reason: String },
    #[error("the vault's log {path} is gone, and the secrets that it names are not: {secrets}")]
    LogGone { path: PathBuf, secrets: String },
    #[error("the value cannot be used: {0}")]
    Value(&'static str),
    #[error("{text:?} is no recipient: age1…, as age-keygen prints it")]
    Recipient { text: String },
    #[error("line {line} of the file is not a setting: {reason}")]
    Dotenv { line: usize, reason: &'static str },
    #[error("no tmpfs that can be written was found (XDG_RUNTIME_DIR, /dev/shm, /run)")]
    NoTmpfs,
    #[error("cannot {action} {path}: {source}")]
    Io { action: &'static str, path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Registry(#[from] crate::registry::Error),
}

impl VaultError {
    /// Whether it would work once the vault is unlocked.
    #[must_use]
    pub const fn is_locked(&self) -> bool {
        matches!(self, Self::Locked { .. })
    }
}
