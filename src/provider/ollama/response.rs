//! A whole answer of Ollama's.

use serde_json::Value;

use super::error::said;
use super::stream::Streamed;
use crate::provider::chat::{Reply, Usage, called};
use crate::provider::reading::{About, Framing, Reading, Said, made_id, parse, read};

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

/// The tokens that an answer (or the last line of one) counts.
pub(super) fn usage(answer: &Value) -> Usage {
    let count = |key: &str| answer.get(key).and_then(Value::as_u64).unwrap_or(0);
    Usage { prompt: count("prompt_eval_count"), completion: count("eval_count"), ..Usage::default() }
}

/// Why it ended.
pub(super) fn finish(answer: &Value, called: bool) -> Result<String, Said> {
    match answer.get("done_reason").and_then(Value::as_str).unwrap_or("stop") {
        "stop" if called => Ok("tool_calls".to_owned()),
        "stop" => Ok("stop".to_owned()),
        "length" => Ok("length".to_owned()),
        other => Err(Said::garbled(format!("the model stopped with {other:?}, which is no end of an answer"))),
    }
}

/// A tool call of a message: its id if it has one, its name, its arguments as text.
pub(super) fn call(value: &Value) -> (Option<&str>, &str, String) {
    let id = value.get("id").and_then(Value::as_str).filter(|id| !id.is_empty());
    let name = value.pointer("/function/name").and_then(Value::as_str).unwrap_or_default();
    let arguments = value.pointer("/function/arguments").map_or_else(|| "{}".to_owned(), Value::to_string);
    (id, name, arguments)
}

/// An id from the time of the answer: this wire has none.
pub(super) fn id(answer: &Value) -> String {
    let time = answer.get("created_at").and_then(Value::as_str).unwrap_or_default();
    let digits: String = time.chars().filter(char::is_ascii_digit).take(23).collect();
    // Up to the second only: two answers within one would have one id.
    if digits.len() <= 14 { made_id() } else { format!("chatcmpl-{digits}") }
}

impl Reading for Answer {
    fn framing(&self) -> Framing {
        Framing::Lines
    }

    fn whole(&mut self, body: &[u8]) -> Result<Vec<u8>, Said> {
        let answer = read(body, said)?;
        let Some(message) = answer.get("message").filter(|m| m.is_object()) else {
            return Err(Said::garbled("its answer holds no message"));
        };
        if answer.get("done").and_then(Value::as_bool) == Some(false) {
            return Err(Said::garbled("its answer ends before the model was done"));
        }
        let own = |key: &str| message.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let calls = message.get("tool_calls").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let calls: Vec<Value> = calls
            .iter()
            .enumerate()
            .map(|(at, value)| {
                let (id, name, arguments) = call(value);
                let id = id.map_or_else(|| format!("call_{}", self.about.first_call + at), str::to_owned);
                called(None, &id, name, &arguments, None)
            })
            .collect();
        let reply = Reply {
            id: id(&answer),
            model: answer.get("model").and_then(Value::as_str).unwrap_or(&self.about.model).to_owned(),
            created: self.about.created,
            text: own("content"),
            reasoning: own("thinking"),
            finish: finish(&answer, !calls.is_empty())?,
            calls,
            usage: usage(&answer),
            ..Reply::default()
        };
        Ok(reply.json().to_string().into_bytes())
    }

    fn event(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), Said> {
        self.streamed.line(data, out)
    }

    fn used(&self, body: &[u8]) -> Option<Value> {
        usage(&parse(body, "its answer").ok()?).spent()
    }

    fn is_over(&self) -> bool {
        self.streamed.is_over()
    }

    fn error(&self, body: &[u8]) -> Said {
        said(body)
    }
}
