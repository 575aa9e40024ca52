//! What can go wrong between us and OpenClaw.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why something was not asked of OpenClaw, or what it answered instead of doing it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("there is no program {}", .0.display())]
    Missing(PathBuf),
    #[error("cannot run {}: {source}", .program.display())]
    Start { program: PathBuf, source: io::Error },
    #[error("`openclaw {command}` did not end within {} s and was stopped", .after.as_secs())]
    TimedOut { command: String, after: Duration },
    #[error("`openclaw {command}` printed more than {limit} bytes")]
    TooMuch { command: String, limit: u64 },
    /// The gateway is not there, or went away: nothing was done, as far as one can tell.
    #[error("OpenClaw's gateway cannot be reached: {0}")]
    Unreachable(String),
    /// The gateway answered with an error.
    #[error("OpenClaw refuses: {message}")]
    Refused { code: String, message: String },
    #[error("`openclaw {command}` failed{}: {message}", .exit.map(|code| format!(" with exit code {code}")).unwrap_or_default())]
    Failed { command: String, exit: Option<i32>, message: String },
    #[error("`openclaw {command}` answered something else than expected: {what}")]
    Unexpected { command: String, what: String },
    #[error("{0}")]
    Unfit(String),
}

impl Error {
    /// Whether the same may work a little later, with nothing changed by anybody.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        matches!(self, Self::TimedOut { .. } | Self::Unreachable(_))
    }
}

pub type Result<T> = std::result::Result<T, Error>;
