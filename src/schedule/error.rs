//! Why a schedule was not made, changed or looked at.

use crate::{openclaw, registry};

/// Everything that can go wrong here.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What was asked for cannot stand in that place.
    #[error("{0}")]
    Unfit(String),
    #[error("there is no program `{0}` on this machine")]
    Missing(&'static str),
    #[error("`{program}` failed: {said}")]
    Failed { program: String, said: String },
    /// A crontab that changes while we change it.
    #[error("the crontab was changed by somebody else at the same time, three times over")]
    Contended,
    #[error("nothing on this machine can call `taskforge tick`: no systemd of the user, no crontab, no OpenClaw")]
    NoBackend,
    #[error("{what}: {source}")]
    Io { what: String, source: std::io::Error },
    #[error(transparent)]
    Registry(#[from] registry::Error),
    #[error(transparent)]
    Openclaw(#[from] openclaw::Error),
}

pub type Result<T> = std::result::Result<T, Error>;
