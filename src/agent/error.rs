//! Why something inside the container could not be done.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use thiserror::Error;

use super::exit;
use super::refusal::Refusal;

/// A failure of the shim, of the built-in agent or of a verb.
#[derive(Debug, Error)]
pub enum AgentError {
    #[error("cannot reach the gate at {}: {source}", socket.display())]
    Unreachable { socket: PathBuf, source: io::Error },
    /// The connection stood and broke before the answer was whole.
    #[error("the gate broke off while answering {what}: {source}")]
    BrokenOff { what: String, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("the gate did not answer {what} within {seconds} s")]
    Silent { what: String, seconds: u64 },
    #[error("the gate's answer to {what} is not what was asked for: {why}")]
    Unexpected { what: String, why: String },
    /// The gate answered, and the answer is no.
    #[error(transparent)]
    Refused(Box<Refusal>),
    #[error("{name} is {value:?}; expected {expected}")]
    Setting { name: &'static str, value: String, expected: &'static str },
    #[error("cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("cannot start `{program}`: {source}")]
    Spawn { program: String, source: io::Error },
    #[error("cannot wait for signals: {0}")]
    Signals(io::Error),
    #[error("cannot start the event loop: {0}")]
    Runtime(io::Error),
    /// What the model answered, several times, cannot be worked with.
    #[error("{0}")]
    Model(String),
    /// The image is not one with OpenClaw.
    #[error("there is no `{program}` in this image; `taskforge image openclaw` makes one that has it")]
    NoOpenclaw { program: String },
    #[error("OpenClaw's turn failed: {0}")]
    Openclaw(String),
    #[error("cannot write {}: {source}", path.display())]
    Home { path: PathBuf, source: io::Error },
    #[error("{0}")]
    Usage(String),
}

impl AgentError {
    pub(crate) fn home(path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Home { path, source }
    }

    /// The exit code that tells the host, or a script, which of these it was.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Refused(refusal) if refusal.ends_the_attempt() => exit::GATE_REFUSED,
            Self::Usage(_) => exit::USAGE,
            Self::NoOpenclaw { .. } => exit::NOT_FOUND,
            Self::Spawn { source, .. } if source.kind() == io::ErrorKind::NotFound => exit::NOT_FOUND,
            Self::Spawn { .. } => exit::NOT_EXECUTABLE,
            _ => exit::FAILED,
        }
    }
}
