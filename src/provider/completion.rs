//! A chat completion put together from what passed: the whole object of a plain answer, or one assembled from the
//! deltas of a streamed answer. Also the few facts about it that stand in the record.
//!
//! Shapes: OpenAI's `chat.completion` and `chat.completion.chunk`.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

/// The most parallel tool calls that are assembled.
const MOST_CALLS: u64 = 512;
/// The longest usage object that a record takes up.
const LONGEST_USAGE: usize = 4096;
/// The most members of one.
const MOST_COUNTS: usize = 64;

/// What a record says about an answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    pub finish_reason: Option<String>,
    /// The upstream's `usage` object, as it came; Anthropic's comes in two parts.
    pub usage: Option<Value>,
    /// A failure that the upstream named in the middle of its answer.
    pub error: Option<String>,
    /// Anthropic's last event was seen.
    pub over: bool,
    /// There was something of an answer in it: choices, content or vectors.
    pub answers: bool,
}

/// What is looked for in a `chat.completion`, a chunk of one, a message of Anthropic's, an event of one.
#[derive(Deserialize)]
struct Facts {
    #[serde(default)]
    choices: Option<Vec<Choice>>,
    #[serde(default)]
    usage: Option<Box<RawValue>>,
    #[serde(default, rename = "type")]
    kind: Option<Value>,
    #[serde(default)]
    stop_reason: Option<String>,
    /// `message_start`.
    #[serde(default)]
    message: Option<Started>,
    /// `message_delta`.
    #[serde(default)]
    delta: Option<Delta>,
    #[serde(default)]
    error: Option<Box<RawValue>>,
    /// Of a whole message of Anthropic's.
    #[serde(default)]
    content: Option<IgnoredAny>,
    /// Vectors.
    #[serde(default)]
    data: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Started {
    #[serde(default)]
    usage: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Delta {
    #[serde(default)]
    stop_reason: Option<String>,
}

impl Outcome {
    /// Takes up what one JSON object (a whole completion or one chunk) says; what is no such object says nothing.
    pub fn absorb(&mut self, json: &[u8]) {
        if let Ok(facts) = serde_json::from_slice(json) {
            self.take(facts);
        }
    }

    /// The same for a completion that is too large for memory.
    pub fn absorb_reader(&mut self, json: impl std::io::Read) {
        if let Ok(facts) = serde_json::from_reader(std::io::BufReader::new(json)) {
            self.take(facts);
        }
    }

    fn take(&mut self, facts: Facts) {
        self.answers |= facts.choices.is_some() || facts.content.is_some() || facts.data.is_some();
        let choice = facts.choices.into_iter().flatten().next().and_then(|c| c.finish_reason);
        let reason = choice.or(facts.stop_reason).or(facts.delta.and_then(|d| d.stop_reason));
        // Some servers say nothing in every chunk.
        if let Some(reason) = reason.filter(|reason| !reason.is_empty()) {
            self.finish_reason = Some(reason.chars().take(64).collect());
        }
        for usage in [facts.message.and_then(|m| m.usage), facts.usage].into_iter().flatten() {
            self.used(&usage);
        }
        let error = facts.error.and_then(|error| serde_json::from_str::<Value>(error.get()).ok());
        if let Some(error) = error.filter(|error| !error.is_null()) {
            let message = error.get("message").and_then(Value::as_str).map_or_else(|| error.to_string(), str::to_owned);
            self.error = Some(message.chars().take(1000).collect());
        }
        self.over |= facts.kind.as_ref().and_then(Value::as_str) == Some("message_stop");
    }

    /// Later counts are whole, not more.
    fn used(&mut self, usage: &RawValue) {
        if usage.get().len() > LONGEST_USAGE {
            return;
        }
        let Ok(Value::Object(more)) = serde_json::from_str(usage.get()) else { return };
        match &mut self.usage {
            Some(Value::Object(known)) if known.len() + more.len() <= MOST_COUNTS => {
                known.extend(more.into_iter().filter(|(_, value)| !value.is_null()));
            }
            Some(_) => {}
            none => *none = Some(Value::Object(more)),
        }
    }
}

/// Puts a streamed completion together.
#[derive(Debug, Default)]
pub struct Assembly {
    head: Map<String, Value>,
    message: Map<String, Value>,
    calls: Vec<Value>,
    finish_reason: Value,
    usage: Value,
    seen: bool,
}

impl Assembly {
    /// Takes the data of one event. Anything but a chunk of choice 0 (`[DONE]`, comments, other choices) is passed
    /// over.
    pub fn push(&mut self, data: &[u8]) {
        let Ok(Value::Object(mut chunk)) = serde_json::from_slice(data) else {
            return;
        };
        if let Some(usage) = chunk.remove("usage").filter(Value::is_object) {
            self.usage = usage;
        }
        let choices = chunk.remove("choices");
        for (key, value) in chunk {
            if matches!(key.as_str(), "id" | "created" | "model" | "system_fingerprint") && !value.is_null() {
                self.head.entry(key).or_insert(value);
            }
        }
        let Some(Value::Array(choices)) = choices else {
            return;
        };
        for mut choice in choices {
            if choice.get("index").and_then(Value::as_u64).unwrap_or(0) != 0 {
                continue;
            }
            self.seen = true;
            if let Some(reason) = choice.get("finish_reason").filter(|r| r.is_string()) {
                self.finish_reason = reason.clone();
            }
            if let Some(Value::Object(delta)) = choice.get_mut("delta").map(Value::take) {
                self.delta(delta);
            }
        }
    }

    fn delta(&mut self, delta: Map<String, Value>) {
        for (key, value) in delta {
            if key == "tool_calls" {
                let Value::Array(calls) = value else { continue };
                calls.into_iter().for_each(|call| self.call(call));
            } else {
                merge(&mut self.message, key, value);
            }
        }
    }

    fn call(&mut self, call: Value) {
        let Value::Object(mut call) = call else {
            return;
        };
        // A call without an index is whole and its own: Ollama and Gemini send such.
        let next = self.calls.len() as u64;
        let index = call.remove("index").and_then(|i| i.as_u64()).unwrap_or(next);
        if index >= MOST_CALLS {
            return;
        }
        let Ok(index) = usize::try_from(index) else {
            return;
        };
        while self.calls.len() <= index {
            self.calls.push(Value::Object(Map::new()));
        }
        let Some(Value::Object(known)) = self.calls.get_mut(index) else {
            return;
        };
        for (key, value) in call {
            merge(known, key, value);
        }
    }

    /// The whole `chat.completion`, or `None` when no chunk of a completion came.
    #[must_use]
    pub fn finish(mut self) -> Option<Value> {
        if !self.seen {
            return None;
        }
        self.message.entry("role").or_insert_with(|| "assistant".into());
        self.message.entry("content").or_insert(Value::Null);
        // Gaps between indexes are calls that never came.
        self.calls.retain(|call| call.as_object().is_some_and(|c| !c.is_empty()));
        if !self.calls.is_empty() {
            self.message.insert("tool_calls".into(), Value::Array(self.calls));
        }
        let mut whole = Map::new();
        if let Some(id) = self.head.remove("id") {
            whole.insert("id".into(), id);
        }
        whole.insert("object".into(), "chat.completion".into());
        whole.append(&mut self.head);
        let choice = json!({"index": 0, "message": self.message, "finish_reason": self.finish_reason});
        whole.insert("choices".into(), Value::Array(vec![choice]));
        if !self.usage.is_null() {
            whole.insert("usage".into(), self.usage);
        }
        Some(Value::Object(whole))
    }
}

/// Names and ids come whole, once or again and again; every other string comes in pieces.
fn merge(known: &mut Map<String, Value>, key: String, value: Value) {
    let whole = matches!(key.as_str(), "role" | "id" | "type" | "name");
    match (known.get_mut(&key), value) {
        (Some(_), Value::Null) => {}
        (Some(Value::String(text)), Value::String(more)) if !whole => text.push_str(&more),
        (Some(Value::String(text)), Value::String(more)) if more.is_empty() && !text.is_empty() => {}
        (Some(Value::Array(known)), Value::Array(more)) => known.extend(more),
        (Some(Value::Object(members)), Value::Object(more)) => {
            more.into_iter().for_each(|(key, value)| merge(members, key, value));
        }
        (_, value) => {
            known.insert(key, value);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn assemble(chunks: &[Value]) -> Option<Value> {
        let mut assembly = Assembly::default();
        chunks.iter().for_each(|chunk| assembly.push(chunk.to_string().as_bytes()));
        assembly.finish()
    }

    #[test]
    fn text_and_parallel_tool_calls() {
        let chunk = |delta: Value, reason: Value| json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]});
        let whole = assemble(&[
            chunk(json!({"role": "assistant", "content": null}), Value::Null),
            chunk(json!({"content": "Hel"}), Value::Null),
            chunk(json!({"content": "lo"}), Value::Null),
            chunk(json!({"tool_calls": [{"index": 1, "id": "b", "type": "function", "function": {"name": "g", "arguments": ""}}]}), Value::Null),
            chunk(json!({"tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"x\""}}]}), Value::Null),
            chunk(json!({"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}, {"index": 1, "function": {"arguments": "{}"}}]}), Value::Null),
            chunk(json!({}), json!("tool_calls")),
            json!({"id": "c", "choices": [], "usage": {"total_tokens": 9}}),
        ])
        .unwrap();
        assert_eq!(
            whole,
            json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0, "message": {
                "role": "assistant", "content": "Hello", "tool_calls": [
                    {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1}"}},
                    {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}}]},
                "finish_reason": "tool_calls"}], "usage": {"total_tokens": 9}})
        );
    }

    #[test]
    fn calls_without_index_stay_apart() {
        let call = |id: &str| json!({"choices": [{"delta": {"tool_calls": [{"id": id, "function": {"name": "f", "arguments": "{}"}}]}}]});
        let whole = assemble(&[call("a"), call("b")]).unwrap();
        assert_eq!(whole.pointer("/choices/0/message/tool_calls/1/id"), Some(&json!("b")));
    }

    #[test]
    fn outcome_of_both_shapes() {
        let mut outcome = Outcome::default();
        outcome.absorb(br#"{"choices":[{"finish_reason":null}],"usage":null}"#);
        outcome.absorb(br#"{"choices":[{"finish_reason":"stop"}]}"#);
        outcome.absorb(br#"{"choices":[],"usage":{"total_tokens":3}}"#);
        outcome.absorb(b"[DONE]");
        let expected = Outcome {
            finish_reason: Some("stop".into()),
            usage: Some(json!({"total_tokens": 3})),
            answers: true,
            ..Outcome::default()
        };
        assert_eq!(outcome, expected);
    }

    #[test]
    fn outcome_of_anthropics_events() {
        let mut outcome = Outcome::default();
        outcome.absorb(br#"{"type":"message_start","message":{"usage":{"input_tokens":5,"output_tokens":1}}}"#);
        outcome.absorb(br#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":9}}"#);
        assert!(!outcome.over);
        outcome.absorb(br#"{"type":"message_stop"}"#);
        let usage = Some(json!({"input_tokens": 5, "output_tokens": 9}));
        assert_eq!(
            outcome,
            Outcome { finish_reason: Some("end_turn".into()), usage, error: None, over: true, answers: false }
        );
        outcome.absorb(br#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#);
        assert_eq!(outcome.error.as_deref(), Some("Overloaded"));
    }

    proptest! {
        #[test]
        fn pieces_make_the_whole(pieces in prop::collection::vec("\\PC{0,6}", 0..8), args in prop::collection::vec("[a-z{}:]{0,5}", 1..6)) {
            let mut chunks = vec![json!({"choices": [{"delta": {"role": "assistant", "content": ""}}]})];
            chunks.extend(pieces.iter().map(|p| json!({"choices": [{"delta": {"content": p}}]})));
            chunks.extend(args.iter().enumerate().map(|(i, a)| json!({"choices": [{"delta": {"tool_calls": [
                if i == 0 { json!({"index": 0, "id": "x", "function": {"name": "f", "arguments": a}}) }
                else { json!({"index": 0, "function": {"arguments": a}}) }]}}]})));
            let whole = assemble(&chunks).unwrap();
            prop_assert_eq!(whole.pointer("/choices/0/message/content").unwrap(), &json!(pieces.concat()));
            prop_assert_eq!(whole.pointer("/choices/0/message/tool_calls/0/function/arguments").unwrap(), &json!(args.concat()));
        }

        #[test]
        fn never_panics(text in "[\\[\\]{}\",:a-z0-9]{0,80}", index in any::<u64>()) {
            let mut assembly = Assembly::default();
            assembly.push(text.as_bytes());
            assembly.push(json!({"choices": [{"delta": {"tool_calls": [{"index": index, "id": 1, "function": "x"}]}}]}).to_string().as_bytes());
            assembly.push(json!({"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"arguments": []}}], "content": {}}}]}).to_string().as_bytes());
            let _ = assembly.finish();
        }
    }
}
