//! A streamed answer of Ollama's: a line of JSON for each piece, the last of them `done`.

use serde_json::Value;

use super::error::said;
use super::response::{call, finish, id, usage};
use crate::provider::chat::Chunks;
use crate::provider::reading::{About, Said, parse};

/// Where a stream stands.
pub(super) struct Streamed {
    chunks: Chunks,
    first_call: usize,
    calls: usize,
    over: bool,
}

impl Streamed {
    pub(super) fn new(about: &About) -> Self {
        let chunks = Chunks::new(about);
        Self { chunks, first_call: about.first_call, calls: 0, over: false }
    }

    pub(super) const fn is_over(&self) -> bool {
        self.over
    }

    pub(super) fn line(&mut self, line: &[u8], out: &mut Vec<u8>) -> Result<(), Said> {
        let answer = parse(line, "a line of its answer")?;
        if answer.get("error").is_some() {
            return Err(said(line));
        }
        if self.over {
            return Ok(());
        }
        if self.chunks.id.is_empty() {
            self.chunks.id = id(&answer);
            if let Some(model) = answer.get("model").and_then(Value::as_str) {
                self.chunks.model = model.to_owned();
            }
        }
        let own = |pointer: &str| answer.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        self.chunks.reasoning(own("/message/thinking"), out);
        self.chunks.text(own("/message/content"), out);
        for value in answer.pointer("/message/tool_calls").and_then(Value::as_array).into_iter().flatten() {
            let (id, name, arguments) = call(value);
            let id = id.map_or_else(|| format!("call_{}", self.first_call + self.calls), str::to_owned);
            self.calls += 1;
            self.chunks.call(&id, name, &arguments, None, out);
        }
        if answer.get("done").and_then(Value::as_bool) == Some(true) {
            let reason = finish(&answer, self.calls > 0)?;
            self.over = true;
            self.chunks.finish(&reason, &usage(&answer), out);
        }
        Ok(())
    }
}
