//! A streamed answer of Anthropic's: `message_start`, then blocks, each begun, added to and ended, then
//! `message_delta` with the stop reason and `message_stop`.

use std::collections::HashMap;

use serde_json::Value;

use super::content::{detail, redacted};
use super::error::said;
use super::usage::{self, Counts};
use crate::provider::chat::Chunks;
use crate::provider::reading::{About, Said, parse};

/// The most blocks of one answer that may be open at once.
const MOST_BLOCKS: usize = 512;
/// What thoughts, which are held until their blocks end, may take, in bytes.
const MOST_THOUGHT: usize = 4 << 20;

/// Where a stream stands.
pub(super) struct Streamed {
    chunks: Chunks,
    blocks: HashMap<u64, Block>,
    /// The bytes of all thoughts so far.
    pub(super) held: usize,
    pub(super) counts: Counts,
    finish: String,
    pub(super) over: bool,
}

enum Block {
    Text,
    Thinking {
        text: String,
        signature: String,
    },
    /// A tool call: its index among the calls, and whether its arguments have begun.
    Call {
        index: usize,
        begun: bool,
    },
}

impl Streamed {
    pub(super) fn new(about: &About) -> Self {
        let chunks = Chunks::new(about);
        Self {
            chunks,
            blocks: HashMap::new(),
            held: 0,
            counts: Counts::default(),
            finish: "stop".to_owned(),
            over: false,
        }
    }

    pub(super) fn event(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), Said> {
        let event = parse(data, "an event of its answer")?;
        let own = |pointer: &str| event.pointer(pointer).and_then(Value::as_str);
        match own("/type").unwrap_or_default() {
            "message_start" => {
                self.chunks.id = own("/message/id").unwrap_or_default().to_owned();
                if let Some(model) = own("/message/model") {
                    self.chunks.model = model.to_owned();
                }
                usage::absorb(&mut self.counts, event.pointer("/message/usage").unwrap_or(&Value::Null));
                self.chunks.start(out);
            }
            "content_block_start" => self.begin(&event, out)?,
            "content_block_delta" => self.add(&event, out)?,
            "content_block_stop" => self.end(index(&event), out),
            "message_delta" => {
                if let Some(reason) = own("/delta/stop_reason") {
                    self.finish = usage::finish(reason).to_owned();
                }
                usage::absorb(&mut self.counts, event.get("usage").unwrap_or(&Value::Null));
            }
            "message_stop" => {
                self.over = true;
                self.chunks.finish(&self.finish, &self.counts.usage(), out);
            }
            "error" => return Err(said(data)),
            // `ping`, and what newer versions add.
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, event: &Value, out: &mut Vec<u8>) -> Result<(), Said> {
        let own = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let block = match own("/content_block/type") {
            "text" => {
                self.chunks.text(own("/content_block/text"), out);
                Block::Text
            }
            "thinking" => Block::Thinking { text: String::new(), signature: String::new() },
            "redacted_thinking" => {
                self.chunks.detail(&redacted(own("/content_block/data")), out);
                return Ok(());
            }
            "tool_use" => {
                let index = self.chunks.call(own("/content_block/id"), own("/content_block/name"), "", None, out);
                Block::Call { index, begun: false }
            }
            kind => return Err(Said::garbled(format!("its answer holds a block of the unknown type {kind:?}"))),
        };
        if self.blocks.len() >= MOST_BLOCKS {
            return Err(Said::garbled("its answer has too many open blocks"));
        }
        self.blocks.insert(index(event), block);
        Ok(())
    }

    fn add(&mut self, event: &Value, out: &mut Vec<u8>) -> Result<(), Said> {
        let own = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        match (self.blocks.get_mut(&index(event)), own("/delta/type")) {
            (Some(Block::Text), "text_delta") => self.chunks.text(own("/delta/text"), out),
            (Some(Block::Thinking { text, .. }), "thinking_delta") => {
                text.push_str(own("/delta/thinking"));
                self.held += own("/delta/thinking").len();
                self.chunks.reasoning(own("/delta/thinking"), out);
            }
            (Some(Block::Thinking { signature, .. }), "signature_delta") => {
                signature.push_str(own("/delta/signature"));
                self.held += own("/delta/signature").len();
            }
            (Some(Block::Call { index, begun }), "input_json_delta") => {
                let piece = own("/delta/partial_json");
                if !piece.is_empty() {
                    *begun = true;
                    self.chunks.arguments(*index, piece, out);
                }
            }
            _ => {}
        }
        match self.held > MOST_THOUGHT {
            true => Err(Said::garbled(format!("its thoughts are longer than {MOST_THOUGHT} bytes"))),
            false => Ok(()),
        }
    }

    fn end(&mut self, index: u64, out: &mut Vec<u8>) {
        match self.blocks.remove(&index) {
            Some(Block::Thinking { text, signature }) => self.chunks.detail(&detail(&text, &signature), out),
            // A call without arguments streams none; to OpenAI's clients they are the text of an object.
            Some(Block::Call { index, begun: false }) => self.chunks.arguments(index, "{}", out),
            _ => {}
        }
    }
}

fn index(event: &Value) -> u64 {
    event.get("index").and_then(Value::as_u64).unwrap_or(0)
}
