//! Why an upstream gave no answer.

use std::path::PathBuf;

use thiserror::Error;

/// A provider's failure. The words never hold a key or a header.
#[derive(Debug, Error)]
pub enum ProviderError {
    #[error("provider `{provider}` cannot be reached: {reason}")]
    Unreachable {
        provider: String,
        /// A connection was there: some of the request may have arrived.
        reached: bool,
        reason: String,
    },
    #[error("provider `{provider}` said nothing for {seconds} s")]
    Silent { provider: String, seconds: u64 },
    #[error("provider `{provider}` broke off its answer: {reason}")]
    Cut { provider: String, reason: String },
    /// A failure that the provider itself names after it had begun to answer.
    #[error("provider `{provider}` failed while it answered ({kind}): {message}")]
    Said {
        provider: String,
        kind: String,
        message: String,
        /// It had worked on the request: nobody is asked for it again.
        begun: bool,
        /// What it said that this took.
        usage: Option<Box<serde_json::Value>>,
    },
    /// All room for answers is taken.
    #[error("the answer of provider `{provider}` found no room within half a minute: too many large ones at once")]
    Crowded { provider: String },
    #[error("provider `{provider}` cannot be used: {reason}")]
    Unusable { provider: String, reason: String },
    /// The replay transcript has no answer to these messages.
    #[error(
        "provider `{provider}` is a recording and has no answer to these messages (digest {asked}); the recording continues with {nearest}"
    )]
    Mismatch { provider: String, asked: String, nearest: String },
    #[error("the transcript {path} cannot be used, line {line}: {reason}")]
    Transcript { path: PathBuf, line: usize, reason: String },
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("the TLS client cannot be set up: {0}")]
    Tls(String),
}

impl ProviderError {
    /// Whether some of the request may have arrived.
    #[must_use]
    pub const fn reached(&self) -> bool {
        match self {
            Self::Unreachable { reached, .. } => *reached,
            Self::Silent { .. } | Self::Cut { .. } | Self::Said { .. } | Self::Crowded { .. } => true,
            _ => false,
        }
    }
}
