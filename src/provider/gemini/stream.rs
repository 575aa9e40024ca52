//! A streamed answer of Gemini's: each event is an answer with some more parts, the last one has a finish reason.

use serde_json::Value;

use super::error::said;
use super::response::{Piece, blocked, piece};
use super::usage::{finish, usage};
use crate::provider::chat::{Chunks, Usage};
use crate::provider::reading::{About, Said, made_id, parse};

/// Where a stream stands.
pub(super) struct Streamed {
    chunks: Chunks,
    first_call: usize,
    calls: usize,
    pub(super) usage: Usage,
    over: bool,
}

impl Streamed {
    pub(super) fn new(about: &About) -> Self {
        // Until it says one of its own.
        let mut chunks = Chunks::new(about);
        chunks.id = made_id();
        Self { chunks, first_call: about.first_call, calls: 0, usage: Usage::default(), over: false }
    }

    pub(super) const fn is_over(&self) -> bool {
        self.over
    }

    pub(super) fn event(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), Said> {
        let event = parse(data, "an event of its answer")?;
        if event.get("error").is_some() {
            return Err(said(data));
        }
        let own = |pointer: &str| event.pointer(pointer).and_then(Value::as_str);
        if let Some(id) = own("/responseId").filter(|id| !id.is_empty()) {
            self.chunks.id = id.to_owned();
        }
        if let Some(model) = own("/modelVersion") {
            self.chunks.model = model.to_owned();
        }
        if let Some(said) = event.get("usageMetadata") {
            self.usage = usage(said);
        }
        if self.over {
            return Ok(());
        }
        for part in event.pointer("/candidates/0/content/parts").and_then(Value::as_array).into_iter().flatten() {
            self.part(part, out)?;
        }
        let finished = match own("/candidates/0/finishReason") {
            Some(reason) => Some(finish(reason, own("/candidates/0/finishMessage"), self.chunks.called_any())?),
            None if blocked(&event) => Some("content_filter"),
            None => None,
        };
        if let Some(reason) = finished {
            self.over = true;
            self.chunks.finish(reason, &self.usage, out);
        }
        Ok(())
    }

    fn part(&mut self, part: &Value, out: &mut Vec<u8>) -> Result<(), Said> {
        let (piece, signature) = piece(part)?;
        match piece {
            Some(Piece::Thought(text)) => self.chunks.reasoning(&text, out),
            Some(Piece::Call { id, name, arguments }) => {
                let id = id.unwrap_or_else(|| format!("call_{}", self.first_call + self.calls));
                self.calls += 1;
                self.chunks.call(&id, &name, &arguments, signature.as_deref(), out);
            }
            text => {
                if let Some(Piece::Text(text)) = text {
                    self.chunks.text(&text, out);
                }
                if let Some(signature) = signature {
                    self.chunks.signature(&signature, out);
                }
            }
        }
        Ok(())
    }
}
