//! What can go wrong with files of the registry. Each error names the path or the run, and what to do next where
//! that is not obvious.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use crate::run::id::{AgentName, RunId};

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the registry.
#[derive(Debug, Error)]
pub enum Error {
    #[error("{}: cannot {doing}: {source}", path.display())]
    Io { path: PathBuf, doing: &'static str, source: io::Error },
    #[error("no registry here: neither {} nor a folder above it holds `taskforge.toml` or `workflows/` and `runs/`; `taskforge init` makes one", searched.display())]
    NoRegistry { searched: PathBuf },
    #[error("{} is not a registry: it holds neither `taskforge.toml` nor `workflows/` and `runs/`; `taskforge init` makes one", path.display())]
    NotARegistry { path: PathBuf },
    #[error("{} is a registry already", path.display())]
    AlreadyRegistry { path: PathBuf },
    #[error("{} lies on {kind}: locks and fsync of a remote file system cannot be relied on; move the registry to a local disk", path.display())]
    Remote { path: PathBuf, kind: &'static str },
    #[error("{} is a copy of {}, and its containers would be that one's", path.display(), original.display())]
    Copied { path: PathBuf, original: PathBuf },
    #[error("{}:{line}:{column}: {message}", path.display())]
    ConfigSyntax { path: PathBuf, line: usize, column: usize, message: String },
    #[error("{}: {key}: {message}", path.display())]
    ConfigValue { path: PathBuf, key: String, message: String },
    #[error("run `{run}` does not exist")]
    RunNotFound { run: RunId },
    #[error("run `{run}` exists already")]
    RunExists { run: RunId },
    #[error("there is no agent `{agent}`")]
    NoAgent { agent: AgentName },
    #[error("there is, or was, an agent `{agent}`: a name is given once")]
    AgentExists { agent: AgentName },
    #[error("{} is not UTF-8 (line {line})", path.display())]
    NotUtf8 { path: PathBuf, line: usize },
    #[error("{} is there already", path.display())]
    Exists { path: PathBuf },
    #[error("{what} is locked by another process (waited {:.1} s); try again when it has finished", waited.as_secs_f64())]
    Locked { what: String, waited: Duration },
    #[error("the kill switch is on since {at}, set by {by}: {reason}; `taskforge unlock --reason …` lifts it")]
    Killed { reason: String, at: String, by: String },
    #[error(
        "the journal of run `{run}` is not what was written: {what}; `taskforge audit verify {run}` shows where, and nothing is written until it is restored"
    )]
    Integrity { run: RunId, what: String },
    #[error(
        "run `{run}` was written by a newer taskforge ({what}); it can be read, but only that version may change it"
    )]
    Newer { run: RunId, what: String },
    #[error(
        "an earlier write to the journal of run `{run}` failed and its tail is not known to be on disk; open the run again"
    )]
    Unsynced { run: RunId },
    #[error("{} has {bytes} bytes; at most {limit} are read", path.display())]
    TooLarge { path: PathBuf, bytes: u64, limit: u64 },
    #[error("path {path:?} {why}")]
    BadPath { path: String, why: &'static str },
    #[error("{what} cannot be written as JSON: {source}")]
    Encode { what: &'static str, source: serde_json::Error },
}

impl Error {
    /// For `map_err`: what was being done to which path.
    pub(crate) fn io(doing: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io { path, doing, source }
    }

    /// As [`Error::io`], for rustix.
    pub(crate) fn errno(doing: &'static str, path: impl AsRef<Path>) -> impl FnOnce(rustix::io::Errno) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io { path, doing, source: source.into() }
    }

    /// The kind of the I/O error below, if that is what it is.
    #[must_use]
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        match self {
            Self::Io { source, .. } => Some(source.kind()),
            _ => None,
        }
    }
}
