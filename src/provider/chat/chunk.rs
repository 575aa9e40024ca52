//! A streamed answer, as `chat.completion.chunk` events.

use serde_json::{Value, json};

use super::{Usage, called, reply::signed};
use crate::provider::reading::About;

/// The events of one answer, written as they become known.
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    pub(crate) id: String,
    pub(crate) model: String,
    /// Seconds since 1970.
    created: u64,
    /// A last chunk without choices says what was used.
    include_usage: bool,
    started: bool,
    /// How many tool calls were begun.
    calls: usize,
}

impl Chunks {
    /// The events of an answer of which this is known.
    pub(crate) fn new(about: &About) -> Self {
        Self {
            model: about.model.clone(),
            created: about.created,
            include_usage: about.include_usage,
            ..Self::default()
        }
    }

    fn chunk(&self, delta: &Value, finish: Option<&str>) -> Value {
        json!({
            "id": self.id, "object": "chat.completion.chunk", "created": self.created, "model": self.model,
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        })
    }

    fn write(out: &mut Vec<u8>, data: &Value) {
        out.extend_from_slice(format!("data: {data}\n\n").as_bytes());
    }

    fn delta(&mut self, delta: &Value, out: &mut Vec<u8>) {
        self.start(out);
        let chunk = self.chunk(delta, None);
        Self::write(out, &chunk);
    }

    /// The first chunk names the role.
    pub(crate) fn start(&mut self, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.started, true) {
            let chunk = self.chunk(&json!({"role": "assistant", "content": ""}), None);
            Self::write(out, &chunk);
        }
    }

    pub(crate) fn text(&mut self, text: &str, out: &mut Vec<u8>) {
        if !text.is_empty() {
            self.delta(&json!({"content": text}), out);
        }
    }

    pub(crate) fn reasoning(&mut self, text: &str, out: &mut Vec<u8>) {
        if !text.is_empty() {
            self.delta(&json!({"reasoning_content": text}), out);
        }
    }

    /// A whole `reasoning_details` entry.
    pub(crate) fn detail(&mut self, detail: &Value, out: &mut Vec<u8>) {
        self.delta(&json!({"reasoning_details": [detail]}), out);
    }

    /// Gemini's proof of its thoughts about the text.
    pub(crate) fn signature(&mut self, signature: &str, out: &mut Vec<u8>) {
        self.delta(&json!({"extra_content": signed(signature)}), out);
    }

    /// Begins a tool call; its index.
    pub(crate) fn call(
        &mut self,
        id: &str,
        name: &str,
        arguments: &str,
        signature: Option<&str>,
        out: &mut Vec<u8>,
    ) -> usize {
        let index = self.calls;
        self.calls += 1;
        self.delta(&json!({"tool_calls": [called(Some(index), id, name, arguments, signature)]}), out);
        index
    }

    /// More of a call's arguments.
    pub(crate) fn arguments(&mut self, index: usize, piece: &str, out: &mut Vec<u8>) {
        self.delta(&json!({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}), out);
    }

    pub(crate) fn called_any(&self) -> bool {
        self.calls > 0
    }

    /// The end. Usage stands in the last chunk with a choice unless a chunk of its own was asked for: it has to pass
    /// to be on record.
    pub(crate) fn finish(&mut self, reason: &str, usage: &Usage, out: &mut Vec<u8>) {
        self.start(out);
        let mut last = self.chunk(&json!({}), Some(reason));
        if !self.include_usage {
            last["usage"] = usage.json();
        }
        Self::write(out, &last);
        if self.include_usage {
            let mut chunk = self.chunk(&json!({}), None);
            chunk["choices"] = json!([]);
            chunk["usage"] = usage.json();
            Self::write(out, &chunk);
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }
}
