//! What can go wrong between a lock and an image.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

/// Why a container may not be started: whatever the caller's permit said.
pub type Refusal = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug, Error)]
pub enum Error {
    #[error("the Docker Engine failed while {doing}: {source}")]
    Engine { doing: String, source: bollard::errors::Error },
    #[error("base image `{image}` does not exist; pull or build it, then try again")]
    NoBase { image: String },
    #[error("base image `{image}` has changed since this recipe was made; ask for the packages again")]
    BaseChanged { image: String },
    #[error("no container may start: {source}")]
    NotPermitted { source: Refusal },
    #[error("`{command}` failed with exit code {exit}: {words}")]
    Step { command: String, exit: i64, words: String },
    #[error("`{command}` was not done within {limit:?}; `packages.buildTimeout` sets the limit")]
    Timeout { command: String, limit: Duration },
    #[error("`{command}` printed more than {limit} bytes")]
    TooMuchOutput { command: String, limit: u64 },
    #[error("`{command}` filled the disk with more than {limit} bytes; `packages.buildDisk` sets the limit")]
    TooMuchDisk { command: String, limit: u64 },
    #[error("`{path}` is not the file that the lock names: expected SHA-256 {expected}, found {found}; remove it and try again", path = path.display())]
    Mismatch { path: PathBuf, expected: String, found: String },
    #[error("package file `{filename}` was not delivered by the index")]
    NotDelivered { filename: String },
    #[error("package `{name}` has no address in the lock, so it cannot be fetched; ask for it again")]
    NoAddress { name: String },
    #[error("what is installed is not what was approved: {}", differences.join("; "))]
    ReadBack { differences: Vec<String> },
    #[error("the packages bring files that run as another user or group (setuid, setgid), or put others in the place of such files: {}", files.join(", "))]
    Setuid { files: Vec<String> },
    #[error("image `{tag}` exists but was not made by recipe {recipe}; remove the tag and try again")]
    Collision { tag: String, recipe: String },
    #[error("image {recipe} is being built by another process")]
    Busy { recipe: String },
    #[error("could not {doing} `{path}`: {source}", path = path.display())]
    File { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("{what} could not be read: {reason}")]
    Format { what: String, reason: String },
}

impl Error {
    pub(crate) fn format(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Format { what: what.into(), reason: reason.into() }
    }

    pub(crate) fn engine(doing: impl Into<String>) -> impl FnOnce(bollard::errors::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Engine { doing, source }
    }

    pub(crate) fn file(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { doing, path, source }
    }

    /// Whether the Engine no longer knows a container, or a command in it, that it had made for us: it was started anew
    /// meanwhile, or somebody removed it.
    pub(super) const fn is_loss(&self) -> bool {
        let Self::Engine { source, .. } = self else { return false };
        matches!(source, bollard::errors::Error::DockerResponseServerError { status_code: 404 | 409, .. })
    }

    /// Whether trying again later, with nothing changed, can succeed: somebody else is building, the kill switch is
    /// on, or the Engine did not answer. What is not passing is a failure of the build and is recorded as one.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Busy { .. } | Self::NotPermitted { .. } => true,
            Self::Engine { source, .. } => !matches!(source, bollard::errors::Error::DockerResponseServerError { .. }),
            _ => false,
        }
    }
}
