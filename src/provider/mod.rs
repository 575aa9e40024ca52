//! The LLM upstreams behind one trait: what a request looks like, where it goes, and how an answer is understood.
//!
//! A provider never invents an answer: whatever goes wrong upstream is an error with the upstream's own status and
//! words. No provider writes a file, and no key leaves this room except in the header of an upstream request.

mod anthropic;
mod ask;
mod chat;
mod checked;
mod completion;
mod doors;
mod embedding;
mod error;
mod foreign;
mod gemini;
mod glob;
mod guard;
#[cfg(any(test, fuzzing))]
pub(crate) mod hostile;
mod keys;
mod mask;
mod messages;
mod nodes;
mod normal;
mod ollama;
mod openai;
mod outgoing;
mod reading;
mod rename;
mod replay;
mod room;
mod sent;
mod sse;
mod transcript;
mod translate;
mod upstream;

#[cfg(test)]
mod wires_tests;

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use hyper::{HeaderMap, StatusCode};

pub use ask::{Ask, AskError};
pub use chat::Untranslatable;
pub use completion::{Assembly, Outcome};
pub use doors::{Door, MOST_ADDRESSES};
pub use error::ProviderError;
pub use foreign::{Dialect, Foreign};
pub use glob::glob_matches;
pub(crate) use glob::globs_overlap;
pub use keys::{Key, Keys};
pub use mask::Mask;
pub(crate) use nodes::Values;
pub use nodes::{TooComplex, check_complexity, check_complexity_within};
pub use normal::{canonical, messages_digest, normalise_text};
pub use openai::OpenAi;
pub use outgoing::{MaxTokensField, Outgoing, Prepared, Target, Thinking, Wire};
pub use replay::Replay;
pub use room::Room;
pub use sse::Events;
pub(crate) use sse::LONGEST_EVENT;
pub use transcript::{Exchange, Header, Transcript};
pub use upstream::{client, tls};

pub(crate) use guard::forwardable_request;
pub(crate) use messages::error_type;
pub(crate) use room::Share;

/// How long an upstream may stay silent when nothing else is configured.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(300);

/// An upstream's answer: head first, then bytes as they come.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// Ends with an error when the upstream was cut or went silent; a clean end means the upstream ended it.
    pub body: BoxStream<'static, Result<Bytes, ProviderError>>,
    /// The upstream said that this is a success, and it is none: `status`, `headers` and `body` say so to the agent.
    pub failed: Option<Failed>,
}

/// Why an answer with a status of success is none.
#[derive(Debug, Clone, PartialEq)]
pub struct Failed {
    /// The upstream's own.
    pub status: StatusCode,
    pub message: String,
    /// The upstream has worked on the request: nobody is asked for it again.
    pub begun: bool,
    /// What it said that this took.
    pub usage: Option<serde_json::Value>,
}

/// One LLM upstream.
pub trait Provider: Send + Sync {
    /// What would be sent for `request`. Sends nothing.
    ///
    /// # Errors
    /// [`Untranslatable`] for what this provider cannot be asked.
    fn prepare(&self, request: &Outgoing, target: &Target) -> Result<Prepared, Untranslatable>;

    /// Sends `request` and returns when the head of the answer is there.
    ///
    /// # Errors
    /// [`ProviderError`] when there is no answer at all; an answer with an error status is an [`Answer`].
    fn complete(&self, request: Prepared) -> BoxFuture<'_, Result<Answer, ProviderError>>;

    /// Hides this provider's key in whatever the upstream sends back.
    fn mask(&self) -> Mask {
        Mask::none()
    }
}
