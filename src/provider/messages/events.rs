//! Chunks of a chat completion as events of Anthropic's: each kind of words is a block, begun and ended.

use serde_json::{Value, json};

use super::reply::{stop, usage};
use crate::provider::reading::{Said, parse};

/// What the open block holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    Thinking,
    Text,
    /// The call with this index.
    Call(u64),
}

/// Where a stream stands.
#[derive(Debug, Default)]
pub(super) struct Events {
    begun: bool,
    open: Option<Block>,
    /// How many blocks were begun.
    blocks: u64,
    finish: Option<String>,
    usage: Value,
    pub(super) over: bool,
}

impl Events {
    /// What the chunks so far have said that the answer took.
    pub(super) fn spent(&self) -> Option<Value> {
        self.usage.is_object().then(|| self.usage.clone())
    }

    /// Takes the data of one chunk.
    pub(super) fn chunk(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), Said> {
        if data == b"[DONE]" {
            return self.end(out);
        }
        let chunk = parse(data, "a chunk of its answer")?;
        if chunk.get("error").is_some_and(|error| !error.is_null()) {
            return Err(Said::of(data, "/error/type", "/error/message"));
        }
        if !self.begun {
            self.begun = true;
            let message = json!({
                "id": chunk.get("id"), "type": "message", "role": "assistant", "model": chunk.get("model"), "content": [],
                "stop_reason": null, "stop_sequence": null, "usage": usage(&Value::Null),
            });
            write(out, "message_start", json!({"message": message}));
        }
        if let Some(said) = chunk.get("usage").filter(|said| said.is_object()) {
            self.usage = said.clone();
        }
        let words = |pointer: &str| chunk.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
        if let Some(text) = words("/choices/0/delta/reasoning_content") {
            self.enter(Block::Thinking, json!({"type": "thinking", "thinking": "", "signature": ""}), out);
            self.delta(json!({"type": "thinking_delta", "thinking": text}), out);
        }
        if let Some(text) = words("/choices/0/delta/content").or_else(|| words("/choices/0/delta/refusal")) {
            self.enter(Block::Text, json!({"type": "text", "text": ""}), out);
            self.delta(json!({"type": "text_delta", "text": text}), out);
        }
        for call in chunk.pointer("/choices/0/delta/tool_calls").and_then(Value::as_array).into_iter().flatten() {
            self.call(call, out)?;
        }
        if let Some(reason) = words("/choices/0/finish_reason") {
            self.finish = Some(reason.chars().take(64).collect());
        }
        Ok(())
    }

    fn call(&mut self, call: &Value, out: &mut Vec<u8>) -> Result<(), Said> {
        let index = call.get("index").and_then(Value::as_u64).unwrap_or(0);
        let words = |pointer: &str| call.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
        match (words("/id"), self.open) {
            (_, Some(Block::Call(open))) if open == index => {}
            (Some(id), _) => {
                let start = json!({"type": "tool_use", "id": id, "name": words("/function/name"), "input": {}});
                self.enter(Block::Call(index), start, out);
            }
            // Blocks come one after the other on this wire.
            (None, _) => return Err(Said::garbled("its answer goes on with a call that is not the last one")),
        }
        if let Some(piece) = words("/function/arguments") {
            self.delta(json!({"type": "input_json_delta", "partial_json": piece}), out);
        }
        Ok(())
    }

    fn enter(&mut self, block: Block, start: Value, out: &mut Vec<u8>) {
        if self.open == Some(block) {
            return;
        }
        self.leave(out);
        write(out, "content_block_start", json!({"index": self.blocks, "content_block": start}));
        self.open = Some(block);
        self.blocks += 1;
    }

    fn delta(&self, delta: Value, out: &mut Vec<u8>) {
        write(out, "content_block_delta", json!({"index": self.blocks.saturating_sub(1), "delta": delta}));
    }

    fn leave(&mut self, out: &mut Vec<u8>) {
        if self.open.take().is_some() {
            write(out, "content_block_stop", json!({"index": self.blocks.saturating_sub(1)}));
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) -> Result<(), Said> {
        if self.over {
            return Ok(());
        }
        let Some(finish) = self.finish.take() else {
            return Err(Said::garbled("its answer ended without saying why"));
        };
        self.leave(out);
        let delta = json!({"stop_reason": stop(&finish), "stop_sequence": null});
        write(out, "message_delta", json!({"delta": delta, "usage": usage(&self.usage)}));
        write(out, "message_stop", json!({}));
        self.over = true;
        Ok(())
    }
}

/// Writes one event, whose name is also its `type`.
pub(super) fn write(out: &mut Vec<u8>, name: &str, mut more: Value) {
    let mut event = json!({"type": name});
    if let (Some(event), Some(more)) = (event.as_object_mut(), more.as_object_mut()) {
        event.append(more);
    }
    out.extend_from_slice(format!("event: {name}\ndata: {event}\n\n").as_bytes());
}
