//! A whole answer of Gemini's.

use serde_json::Value;

use super::error::said;
use super::stream::Streamed;
use super::usage::{finish, usage};
use crate::provider::chat::{Reply, called};
use crate::provider::reading::{About, Reading, Said, made_id, parse, read};

/// Reads one answer.
pub(crate) struct Answer {
    about: About,
    streamed: Streamed,
}

impl Answer {
    pub(crate) fn new(about: About) -> Self {
        Self { streamed: Streamed::new(&about), about }
    }
}

/// One part of a candidate.
pub(super) enum Piece {
    Text(String),
    Thought(String),
    Call { id: Option<String>, name: String, arguments: String },
}

/// What a part says, and the signature that comes with it.
pub(super) fn piece(part: &Value) -> Result<(Option<Piece>, Option<String>), Said> {
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let signature = text(part, "thoughtSignature");
    if let Some(call) = part.get("functionCall") {
        let arguments =
            call.get("args").filter(|args| !args.is_null()).map_or_else(|| "{}".to_owned(), Value::to_string);
        let name = text(call, "name").unwrap_or_default();
        return Ok((Some(Piece::Call { id: text(call, "id"), name, arguments }), signature));
    }
    match text(part, "text") {
        Some(text) if part.get("thought").and_then(Value::as_bool) == Some(true) => {
            Ok((Some(Piece::Thought(text)), signature))
        }
        Some(text) => Ok((Some(Piece::Text(text)), signature)),
        None if signature.is_some() => Ok((None, signature)),
        // Only tools of the provider's own make others, and none can be asked for.
        None => {
            let kind = part.as_object().and_then(|members| members.keys().next().cloned()).unwrap_or_default();
            Err(Said::garbled(format!("its answer holds a part of the unknown type {kind:?}")))
        }
    }
}

/// Why a prompt was blocked.
pub(super) fn blocked(answer: &Value) -> bool {
    answer.pointer("/promptFeedback/blockReason").is_some_and(Value::is_string)
}

impl Reading for Answer {
    fn whole(&mut self, body: &[u8]) -> Result<Vec<u8>, Said> {
        let answer = read(body, said)?;
        let own = |pointer: &str| answer.pointer(pointer).and_then(Value::as_str);
        let mut reply = Reply {
            id: own("/responseId").filter(|id| !id.is_empty()).map_or_else(made_id, str::to_owned),
            model: own("/modelVersion").unwrap_or(&self.about.model).to_owned(),
            created: self.about.created,
            usage: usage(answer.get("usageMetadata").unwrap_or(&Value::Null)),
            ..Reply::default()
        };
        let Some(candidate) = answer.pointer("/candidates/0") else {
            if !blocked(&answer) {
                return Err(Said::garbled("its answer holds no candidate"));
            }
            reply.finish = "content_filter".to_owned();
            return Ok(reply.json().to_string().into_bytes());
        };
        let parts = candidate.pointer("/content/parts").and_then(Value::as_array);
        for part in parts.into_iter().flatten() {
            let (piece, signature) = piece(part)?;
            match piece {
                Some(Piece::Thought(text)) => reply.reasoning.push_str(&text),
                Some(Piece::Call { id, name, arguments }) => {
                    let number = self.about.first_call + reply.calls.len();
                    let id = id.unwrap_or_else(|| format!("call_{number}"));
                    reply.calls.push(called(None, &id, &name, &arguments, signature.as_deref()));
                }
                text => {
                    if let Some(Piece::Text(text)) = text {
                        reply.text.push_str(&text);
                    }
                    reply.signature = signature.or(reply.signature);
                }
            }
        }
        let reason = candidate.get("finishReason").and_then(Value::as_str).unwrap_or("STOP");
        let message = candidate.get("finishMessage").and_then(Value::as_str);
        reply.finish = finish(reason, message, !reply.calls.is_empty())?.to_owned();
        Ok(reply.json().to_string().into_bytes())
    }

    fn event(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), Said> {
        self.streamed.event(data, out)
    }

    fn used(&self, body: &[u8]) -> Option<Value> {
        usage(parse(body, "its answer").ok()?.get("usageMetadata")?).spent()
    }

    fn spent(&self) -> Option<Value> {
        self.streamed.usage.spent()
    }

    fn is_over(&self) -> bool {
        self.streamed.is_over()
    }

    fn error(&self, body: &[u8]) -> Said {
        said(body)
    }
}
