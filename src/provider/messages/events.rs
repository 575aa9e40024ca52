//! Chunks of a chat completion as events of Anthropic's: each kind of words is a block, begun and ended.

use serde_json::{Value, json};

use super::reply::{Spoken, spoken, stop, usage};
use crate::provider::reading::{Said, parse};

/// What the open block holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    Thinking,
    Text,
    Call,
}

/// Where a stream stands.
#[derive(Debug, Default)]
pub(super) struct Events {
    begun: bool,
    open: Option<Block>,
    /// Index and id of the last call.
    call: (u64, String),
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
        for spoken in chunk.pointer("/choices/0/delta").map_or_else(|| Ok(Vec::new()), spoken)? {
            match spoken {
                Spoken::Thought(text) => {
                    self.enter(Block::Thinking, json!({"type": "thinking", "thinking": "", "signature": ""}), out);
                    self.delta(json!({"type": "thinking_delta", "thinking": text}), out);
                }
                Spoken::Text(text) => {
                    self.enter(Block::Text, json!({"type": "text", "text": ""}), out);
                    self.delta(json!({"type": "text_delta", "text": text}), out);
                }
            }
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
        let index = call.get("index").and_then(Value::as_u64);
        let words = |pointer: &str| call.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
        let open = self.open == Some(Block::Call);
        let (last, last_id) = (self.call.0, self.call.1.as_str());
        match words("/id") {
            // Some servers number no calls, or all alike: what has an id and a name of its own is a call of its own. Others give
            // each piece of a call an id, the same or another each time.
            Some(id)
                if !open
                    || index.is_some_and(|index| index != last)
                    || (id != last_id && words("/function/name").is_some()) =>
            {
                let start = json!({"type": "tool_use", "id": id, "name": words("/function/name"), "input": {}});
                self.call = (index.unwrap_or(last), id.to_owned());
                self.leave(out);
                self.enter(Block::Call, start, out);
            }
            Some(_) => {}
            None if open && index.is_none_or(|index| index == last) => {}
            // Blocks come one after the other on this wire.
            None => return Err(Said::garbled("its answer goes on with a call that is not the last one")),
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// What the blocks of these deltas hold.
    fn told(deltas: &[Value]) -> Vec<String> {
        let (mut events, mut out) = (Events::default(), Vec::new());
        for delta in deltas {
            let chunk = json!({"id": "c", "model": "m", "choices": [{"index": 0, "delta": delta}]});
            events.chunk(chunk.to_string().as_bytes(), &mut out).unwrap();
        }
        let mut blocks = Vec::new();
        for line in String::from_utf8(out).unwrap().lines().filter_map(|line| line.strip_prefix("data: ")) {
            let event: Value = serde_json::from_str(line).unwrap();
            let own = |pointer: &str| event.pointer(pointer).and_then(Value::as_str);
            if event["type"] == "content_block_start" {
                blocks.push(format!("{} ", own("/content_block/id").or(own("/content_block/type")).unwrap()));
            }
            for key in ["text", "thinking", "partial_json"] {
                blocks
                    .last_mut()
                    .into_iter()
                    .for_each(|last| last.push_str(own(&format!("/delta/{key}")).unwrap_or("")));
            }
        }
        blocks
    }

    /// Some servers give each piece of one call another id.
    #[test]
    fn pieces_of_one_call_stay_together_whatever_ids_they_have() {
        let piece = |id: &str, more: Value| {
            let mut call = json!({"index": 0, "id": id, "function": {"arguments": "{"}});
            if let (Some(function), Some(more)) = (call["function"].as_object_mut(), more.as_object()) {
                function.extend(more.clone());
            }
            json!({"tool_calls": [call]})
        };
        let deltas = [
            piece("a", json!({"name": "f"})),
            piece("b", json!({"arguments": "\"x\":"})),
            piece("c", json!({"arguments": "1}"})),
        ];
        assert_eq!(told(&deltas), ["a {\"x\":1}"]);
    }

    #[test]
    fn thoughts_are_told_whatever_they_are_called() {
        let deltas = [json!({"reasoning": "a"}), json!({"reasoning_content": "b"}), json!({"content": "c"})];
        assert_eq!(told(&deltas), ["thinking ab", "text c"]);
        let parts = json!({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "a"}]}, {"type": "text", "text": "b"}]});
        assert_eq!(told(&[parts]), ["thinking a", "text b"]);
    }

    #[test]
    fn parallel_calls_are_blocks_of_their_own_however_they_are_numbered() {
        let call = |index: Value, id: Value, arguments: &str| {
            let mut call = json!({"type": "function", "function": {"name": "f", "arguments": arguments}});
            for (key, value) in [("index", index), ("id", id)] {
                if !value.is_null() {
                    call[key] = value;
                }
            }
            call
        };
        let (none, zero) = (Value::Null, json!(0));
        for index in [&none, &zero] {
            let (a, b) = (call(index.clone(), "a".into(), "{\"x\":1}"), call(index.clone(), "b".into(), "{\"x\":2}"));
            let expected = ["a {\"x\":1}", "b {\"x\":2}"];
            assert_eq!(told(&[json!({"tool_calls": [a, b]})]), expected, "{index}");
            assert_eq!(told(&[json!({"tool_calls": [a]}), json!({"tool_calls": [b]})]), expected, "{index}");
            let (first, rest) = (call(index.clone(), "a".into(), "{\"x\""), call(index.clone(), none.clone(), ":1}"));
            let again = call(index.clone(), "a".into(), ":1}");
            for rest in [rest, again] {
                let deltas = [json!({"tool_calls": [first]}), json!({"tool_calls": [rest, b]})];
                assert_eq!(told(&deltas), expected, "{index}");
            }
        }
    }
}
