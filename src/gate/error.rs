//! What can go wrong in the gate's own house; what an agent is told stands in `refusal.rs`.

use std::path::PathBuf;

use thiserror::Error;

use super::policy::PolicyError;
use crate::provider::ProviderError;
use crate::run::id::IdError;

/// A failure of the gate, or of reading what it wrote.
#[derive(Debug, Error)]
pub enum Error {
    #[error("cannot {action} {path}: {source}")]
    Io { action: &'static str, path: PathBuf, source: std::io::Error },
    #[error("{path} is held by another gate; one run has one gate")]
    Locked { path: PathBuf },
    #[error("{path} was changed at byte {at}: {reason}")]
    Integrity { path: PathBuf, at: u64, reason: String },
    #[error("{path} is larger than {limit} bytes")]
    TooLarge { path: PathBuf, limit: u64 },
    #[error("{path} is not what the gate writes: {reason}")]
    Format { path: PathBuf, reason: String },
    #[error("the body {sha256} is not in {path}")]
    BodyMissing { path: PathBuf, sha256: String },
    #[error("there is no record {seq} with a body")]
    NoSuchRecord { seq: u64 },
    #[error("the body of record {seq} stands in the record itself, as earlier versions wrote it; the chain covers it")]
    Inline { seq: u64 },
    #[error(transparent)]
    Policy(#[from] PolicyError),
    #[error(transparent)]
    Provider(#[from] ProviderError),
    #[error(transparent)]
    Name(#[from] IdError),
    #[error("the kill folder {path} is not there; without it the gate could not be stopped")]
    NoKillFolder { path: PathBuf },
    #[error("the records cannot be written; nothing passes until they can: {0}")]
    Record(String),
}

impl Error {
    /// `map_err(Error::io("read", &path))`.
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}
