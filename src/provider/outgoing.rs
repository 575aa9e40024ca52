//! A request on its way to an upstream: as the agent sent it, and as one provider gets it.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use hyper::HeaderMap;
use serde::{Deserialize, Serialize};

use super::reading::Reading;
use super::sent::Sent;
use super::{Ask, Room};

/// What an agent's client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wire {
    /// OpenAI's `POST /v1/chat/completions`.
    #[default]
    Chat,
    /// Anthropic's `POST /v1/messages`.
    Messages,
    /// OpenAI's `POST /v1/embeddings`.
    Embeddings,
}

impl Wire {
    /// The path below an agent's base URL.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Chat => "/chat/completions",
            Self::Messages => "/messages",
            Self::Embeddings => "/embeddings",
        }
    }

    /// Its name in a record.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Messages => "messages",
            Self::Embeddings => "embeddings",
        }
    }
}

/// One request to an upstream, as the gate recorded it.
#[derive(Debug, Clone)]
pub struct Outgoing {
    pub wire: Wire,
    /// What the agent's client sent, hop-by-hop headers and credentials already removed.
    pub headers: HeaderMap,
    /// The body exactly as the agent sent it.
    pub body: Bytes,
    /// What the body says.
    pub ask: Ask,
}

/// How a model of Anthropic's is asked to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Thinking {
    /// With so many tokens set aside, as models until Opus 4.6 take it.
    #[default]
    Budget,
    /// As much as it finds right, with an effort, as later ones do.
    Adaptive,
}

/// What servers that speak OpenAI's wire call the bound of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum MaxTokensField {
    #[default]
    MaxCompletionTokens,
    /// Its older name, the only one that some servers take.
    MaxTokens,
}

impl MaxTokensField {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::MaxCompletionTokens => "max_completion_tokens",
            Self::MaxTokens => "max_tokens",
        }
    }
}

/// What the model table says about a request's way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Target {
    /// The model's name upstream, where it is another than the one that was asked for.
    pub model: Option<String>,
    /// The most tokens of an answer, where the agent does not say and the wire does not ask for none.
    pub max_tokens: Option<u64>,
    /// How long the upstream may stay silent.
    pub silence: Option<Duration>,
    /// How a model is asked to think.
    pub thinking: Thinking,
    /// What the bound of an answer is called.
    pub max_tokens_field: MaxTokensField,
    /// A budget counts tokens or money: the upstream is asked what a streamed answer took, whether the agent asks or not.
    pub counts: bool,
}

/// A request as one provider gets it.
pub struct Prepared {
    /// Below the provider's base URL.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) ask: Ask,
    pub(crate) silence: Option<Duration>,
    /// Turns the answer into one of the agent's wire; `None` passes it on as it is.
    pub(crate) reading: Option<Box<dyn Reading>>,
    /// Something of it has left.
    pub(crate) sent: Sent,
    /// Where its answer is held.
    pub(crate) room: Room,
}

impl Prepared {
    /// The request as it came.
    pub(crate) fn unchanged(request: &Outgoing, target: &Target) -> Self {
        Self {
            path: request.wire.path().to_owned(),
            headers: request.headers.clone(),
            body: request.body.clone(),
            ask: request.ask.clone(),
            silence: target.silence,
            reading: None,
            sent: Sent::default(),
            room: Room::default(),
        }
    }

    /// The body that leaves.
    #[must_use]
    pub const fn body(&self) -> &Bytes {
        &self.body
    }
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").field("path", &self.path).field("body", &self.body).finish_non_exhaustive()
    }
}
