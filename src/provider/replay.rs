//! Answers from a transcript: the same messages get the same answer, other messages get an error that says where the
//! recording stands. Nothing is made up, and nothing is contacted.

use std::collections::HashMap;
use std::path::Path;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::chat::Untranslatable;
use super::{Answer, Exchange, Outgoing, Prepared, Provider, ProviderError, Target, Transcript, Wire, canonical};
use crate::run::id::Digest;

/// How many characters of text one streamed chunk carries.
const PIECE: usize = 48;

/// A provider that replays.
pub struct Replay {
    name: String,
    exchanges: Vec<Exchange>,
    by_digest: HashMap<Digest, usize>,
}

impl Replay {
    /// Reads the transcript at `path`.
    ///
    /// # Errors
    /// See [`Transcript::load`].
    pub fn load(name: &str, path: &Path) -> Result<Self, ProviderError> {
        Ok(Self::new(name, Transcript::load(path)?))
    }

    /// A provider over `transcript`. The first of several answers to the same messages counts.
    #[must_use]
    pub fn new(name: &str, transcript: Transcript) -> Self {
        let exchanges = transcript.exchanges;
        let mut by_digest = HashMap::new();
        for (at, exchange) in exchanges.iter().enumerate() {
            by_digest.entry(exchange.request.clone()).or_insert(at);
        }
        Self { name: name.to_owned(), exchanges, by_digest }
    }

    fn answer(&self, request: &Prepared) -> Result<Answer, ProviderError> {
        let Some(exchange) = self.by_digest.get(&request.ask.digest).and_then(|&at| self.exchanges.get(at)) else {
            return Err(ProviderError::Mismatch {
                provider: self.name.clone(),
                asked: request.ask.digest.to_string(),
                nearest: self.nearest(&request.body),
            });
        };
        let (kind, parts) = if request.ask.stream {
            ("text/event-stream", chunks(&exchange.response, request.ask.include_usage))
        } else {
            ("application/json", vec![Bytes::from(exchange.response.to_string())])
        };
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        Ok(Answer {
            status: StatusCode::OK,
            headers,
            body: stream::iter(parts.into_iter().map(Ok)).boxed(),
            failed: None,
        })
    }

    /// Which recorded exchange would have come: the one after the answer that the conversation ends with.
    fn nearest(&self, body: &[u8]) -> String {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let messages = body.get("messages").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let last = messages.iter().rev().find(|m| m.get("role").and_then(Value::as_str) == Some("assistant"));
        let next = match last {
            None => 0,
            Some(last) => {
                let last = canonical(last, true);
                let same =
                    |e: &Exchange| e.response.pointer("/choices/0/message").is_some_and(|m| canonical(m, true) == last);
                match self.exchanges.iter().position(same) {
                    Some(at) => at + 1,
                    None => return "no exchange after this assistant message, which it does not know".to_owned(),
                }
            }
        };
        match self.exchanges.get(next) {
            Some(e) => format!("\"{}\" (digest {})", e.hint, e.request),
            None => "nothing: it ends there".to_owned(),
        }
    }
}

impl Provider for Replay {
    fn prepare(&self, request: &Outgoing, target: &Target) -> Result<Prepared, Untranslatable> {
        match request.wire {
            Wire::Chat => Ok(Prepared::unchanged(request, target)),
            other => {
                let why = "cannot be answered from a recording, which holds chat completions only";
                Err(Untranslatable::wire(&format!("/v1{}", other.path()), why))
            }
        }
    }

    fn complete(&self, request: Prepared) -> BoxFuture<'_, Result<Answer, ProviderError>> {
        request.sent.set();
        async move { self.answer(&request) }.boxed()
    }
}

/// `response` as the events of a streamed answer, cut at fixed places.
fn chunks(response: &Value, include_usage: bool) -> Vec<Bytes> {
    let null = Value::Null;
    let field = |key: &str| response.get(key).unwrap_or(&null);
    let event = |delta: Value, reason: &Value| {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": reason});
        let chunk = json!({"id": field("id"), "object": "chat.completion.chunk", "created": field("created"), "model": field("model"), "choices": [choice]});
        Bytes::from(format!("data: {chunk}\n\n"))
    };
    let mut events = vec![event(json!({"role": "assistant"}), &null)];
    if let Some(message) = response.pointer("/choices/0/message").and_then(Value::as_object) {
        for (key, value) in message {
            match (key.as_str(), value) {
                ("role", _) => {}
                ("tool_calls", Value::Array(calls)) => {
                    for (index, call) in calls.iter().enumerate() {
                        let mut call = call.clone();
                        if let Value::Object(members) = &mut call {
                            members.insert("index".into(), index.into());
                        }
                        events.push(event(json!({"tool_calls": [call]}), &null));
                    }
                }
                (_, Value::String(text)) => {
                    let characters: Vec<char> = text.chars().collect();
                    for piece in characters.chunks(PIECE) {
                        events.push(event(json!({key: piece.iter().collect::<String>()}), &null));
                    }
                    if text.is_empty() {
                        events.push(event(json!({key: ""}), &null));
                    }
                }
                (_, value) => events.push(event(json!({key: value}), &null)),
            }
        }
    }
    events.push(event(json!({}), response.pointer("/choices/0/finish_reason").unwrap_or(&null)));
    if include_usage && !field("usage").is_null() {
        let chunk = json!({"id": field("id"), "object": "chat.completion.chunk", "created": field("created"), "model": field("model"), "choices": [], "usage": field("usage")});
        events.push(Bytes::from(format!("data: {chunk}\n\n")));
    }
    events.push(Bytes::from_static(b"data: [DONE]\n\n"));
    events
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::provider::{Ask, Assembly, Events, Header};
    use proptest::prelude::*;

    fn outgoing(body: &Value) -> Prepared {
        let body = Bytes::from(body.to_string());
        let ask = Ask::parse(Wire::Chat, &body).unwrap();
        let request = Outgoing { wire: Wire::Chat, headers: HeaderMap::new(), ask, body };
        Prepared::unchanged(&request, &Target::default())
    }

    fn replay(bodies: &[(Value, Value)]) -> Replay {
        let exchange = |(i, (body, response)): (usize, &(Value, Value))| Exchange {
            request: outgoing(body).ask.digest,
            hint: format!("turn {}", i + 1),
            response: response.clone(),
        };
        let header = Header { format: "taskforge-replay-v1".into(), model: "m".into(), note: None };
        Replay::new("r", Transcript { header, exchanges: bodies.iter().enumerate().map(exchange).collect() })
    }

    fn body(messages: &Value) -> Value {
        json!({"model": "m", "messages": messages})
    }

    #[test]
    fn a_mismatch_names_what_was_recorded_next() {
        let said = json!({"role": "assistant", "content": "one"});
        let provider = replay(&[
            (body(&json!([{"role": "user", "content": "a"}])), json!({"choices": [{"message": said}]})),
            (
                body(&json!([{"role": "user", "content": "a"}, said, {"role": "user", "content": "b"}])),
                json!({"choices": [{"message": {"content": "two"}}]}),
            ),
        ]);
        for (messages, nearest) in [
            (json!([{"role": "user", "content": "x"}]), "turn 1"),
            (json!([{"role": "user", "content": "a"}, said, {"role": "user", "content": "other"}]), "turn 2"),
            (json!([{"role": "assistant", "content": "unknown"}]), "does not know"),
        ] {
            let error = provider.answer(&outgoing(&body(&messages))).err().unwrap().to_string();
            assert!(error.contains(nearest), "{error}");
            assert!(error.contains(outgoing(&body(&messages)).ask.digest.as_str()), "{error}");
        }
    }

    proptest! {
        #[test]
        fn streamed_and_plain_are_the_same_answer(content in "\\PC{0,150}", arguments in "\\PC{0,40}", calls in 0usize..3) {
            let mut message = json!({"role": "assistant", "content": content});
            if calls > 0 {
                message["tool_calls"] = (0..calls).map(|i| json!({"id": format!("c{i}"), "type": "function", "function": {"name": "f", "arguments": arguments}})).collect();
            }
            let response = json!({"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": {"total_tokens": 1}});
            let mut events = Events::default();
            let mut assembly = Assembly::default();
            for chunk in chunks(&response, true) {
                events.push(&chunk, |data| assembly.push(data));
            }
            prop_assert_eq!(assembly.finish().unwrap(), response);
        }
    }
}
