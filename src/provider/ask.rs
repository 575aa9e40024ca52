//! What the body of a chat completion request says, as far as the gate has to know it. The body itself is passed on
//! as it came.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use thiserror::Error;

use super::doors::{Door, addresses};
use super::{TooComplex, Wire, check_complexity, messages_digest};
use crate::run::id::Digest;

/// The longest model name that is looked up.
const LONGEST_MODEL: usize = 200;

/// Why a body is not a chat completion request.
#[derive(Debug, Error)]
pub enum AskError {
    #[error("the body is not a request of this wire: {0}")]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    TooComplex(#[from] TooComplex),
    #[error("`model` is empty or longer than {LONGEST_MODEL} bytes")]
    Model,
    #[error("`messages` is not a list")]
    Messages,
    #[error("`input` is missing")]
    Input,
    #[error(transparent)]
    Door(#[from] Door),
    #[error("the key {0:?} could be read as another one")]
    Key(String),
}

/// A chat completion request as the gate sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    pub wire: Wire,
    pub model: String,
    pub stream: bool,
    /// `stream_options.include_usage`.
    pub include_usage: bool,
    /// What the provider would fetch: addresses of images and the like, up to one more than may be named.
    pub addresses: Vec<String>,
    /// How many tools are offered.
    pub tools: usize,
    /// See [`messages_digest`].
    pub digest: Digest,
}

#[derive(Deserialize)]
struct Body {
    model: String,
    #[serde(default)]
    messages: Option<Value>,
    #[serde(default)]
    input: Option<Value>,
    #[serde(default)]
    tools: Option<Value>,
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    stream_options: Option<StreamOptions>,
}

#[derive(Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: Option<bool>,
}

impl Ask {
    /// Reads `body` of a request on `wire`, of which keys other than OpenAI's `model`, `messages`, `tools`, `stream` and `stream_options` are
    /// of no interest here.
    ///
    /// # Errors
    /// [`AskError`] for what is not such a request.
    pub fn parse(wire: Wire, body: &[u8]) -> Result<Self, AskError> {
        check_complexity(body)?;
        check_keys(wire, body)?;
        let body: Body = serde_json::from_slice(body)?;
        if body.model.is_empty() || body.model.len() > LONGEST_MODEL {
            return Err(AskError::Model);
        }
        if let Some(door) = Door::of_tools(wire, body.tools.as_ref()) {
            return Err(door.into());
        }
        // What stands in the place of a conversation, for its digest.
        let (said, beside) = match wire {
            Wire::Chat | Wire::Messages => {
                (body.messages.filter(Value::is_array).ok_or(AskError::Messages)?, body.input)
            }
            Wire::Embeddings => (body.input.filter(|input| !input.is_null()).ok_or(AskError::Input)?, body.messages),
        };
        Ok(Self {
            wire,
            // Some servers embed messages.
            addresses: addresses([&said].into_iter().chain(&beside)),
            digest: messages_digest(&said, body.tools.as_ref()),
            model: body.model,
            stream: body.stream.unwrap_or(false),
            include_usage: body.stream_options.and_then(|o| o.include_usage).unwrap_or(false),
            tools: body.tools.as_ref().and_then(Value::as_array).map_or(0, Vec::len),
        })
    }
}

/// Some upstreams match keys without regard to case (Go's `encoding/json` does, and folds U+017F to `s`): to them
/// `MODEL` after `model` would be another model than the one that was granted and recorded.
fn check_keys(wire: Wire, body: &[u8]) -> Result<(), AskError> {
    const KNOWN: [&str; 6] = ["model", "messages", "input", "tools", "stream", "stream_options"];
    let keys: HashMap<String, &RawValue> = serde_json::from_slice(body)?;
    let ambiguous = |key: &&String| {
        !key.is_ascii() || KNOWN.iter().any(|known| key.as_str() != *known && key.eq_ignore_ascii_case(known))
    };
    match keys.keys().find(ambiguous) {
        None => Door::of_keys(wire, &keys).map_or(Ok(()), |door| Err(door.into())),
        Some(key) => Err(AskError::Key(key.chars().take(64).collect())),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_it_needs() {
        let ask = Ask::parse(
            Wire::Chat,
            br#"{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":true},"tools":[{"type":"function","function":{"name":"f"}}],"x":1}"#,
        )
        .unwrap();
        assert_eq!((ask.model.as_str(), ask.stream, ask.include_usage, ask.tools), ("m", true, true, 1));
    }

    #[test]
    fn refuses_what_is_none() {
        for bad in
            ["", "{", "[]", "{}", r#"{"model":"m"}"#, r#"{"model":"","messages":[]}"#, r#"{"model":"m","messages":{}}"#]
        {
            assert!(Ask::parse(Wire::Chat, bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(matches!(Ask::parse(Wire::Chat, &b"[".repeat(1000)), Err(AskError::TooComplex(_))));
    }

    #[test]
    fn refuses_keys_that_another_parser_would_take_for_known_ones() {
        for key in ["Model", "MODEL", "meſſages", "Stream", "strea\\u004d"] {
            let body = format!("{{\"model\":\"m\",\"messages\":[],\"{key}\":\"x\"}}");
            assert!(matches!(Ask::parse(Wire::Chat, body.as_bytes()), Err(AskError::Key(_))), "{key}");
        }
        let twice = br#"{"model":"m","messages":[],"mod\u0065l":"other"}"#;
        assert!(matches!(Ask::parse(Wire::Chat, twice), Err(AskError::Json(_))));
    }

    proptest! {
        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300), tail in "[\\[\\]{}\",:a-z0-9]{0,60}") {
            let _ = Ask::parse(Wire::Chat, &bytes);
            let _ = Ask::parse(Wire::Messages, format!("{{\"model\":\"m\",\"messages\":[{tail}").as_bytes());
        }
    }
}
