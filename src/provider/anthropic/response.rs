//! A whole answer of Anthropic's.

use serde_json::Value;

use super::content::{detail, redacted};
use super::error::said;
use super::stream::Streamed;
use super::usage::{self, Counts};
use crate::provider::chat::{Reply, called};
use crate::provider::reading::{About, Reading, Said, parse, read};

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

impl Reading for Answer {
    fn whole(&mut self, body: &[u8]) -> Result<Vec<u8>, Said> {
        let message = read(body, said)?;
        let Some(blocks) = message.get("content").and_then(Value::as_array) else {
            return Err(Said::garbled("its answer is no message: it has no `content`"));
        };
        let own = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut counts = Counts::default();
        usage::absorb(&mut counts, message.get("usage").unwrap_or(&Value::Null));
        let mut reply = Reply {
            id: own(&message, "id"),
            model: message.get("model").and_then(Value::as_str).unwrap_or(&self.about.model).to_owned(),
            created: self.about.created,
            finish: usage::finish(&own(&message, "stop_reason")).to_owned(),
            usage: counts.usage(),
            ..Reply::default()
        };
        for block in blocks {
            match own(block, "type").as_str() {
                "text" => reply.text.push_str(&own(block, "text")),
                "thinking" => {
                    reply.reasoning.push_str(&own(block, "thinking"));
                    reply.details.push(detail(&own(block, "thinking"), &own(block, "signature")));
                }
                "redacted_thinking" => reply.details.push(redacted(&own(block, "data"))),
                "tool_use" => {
                    let input = block.get("input").map_or_else(|| "{}".to_owned(), Value::to_string);
                    reply.calls.push(called(None, &own(block, "id"), &own(block, "name"), &input, None));
                }
                // Only tools of the provider's own make others, and none can be asked for.
                kind => return Err(Said::garbled(format!("its answer holds a block of the unknown type {kind:?}"))),
            }
        }
        Ok(reply.json().to_string().into_bytes())
    }

    fn event(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), Said> {
        self.streamed.event(data, out)
    }

    fn used(&self, body: &[u8]) -> Option<Value> {
        let message = parse(body, "its answer").ok()?;
        let mut counts = Counts::default();
        usage::absorb(&mut counts, message.get("usage")?);
        counts.usage().spent()
    }

    fn spent(&self) -> Option<Value> {
        self.streamed.counts.usage().spent()
    }

    fn held(&self) -> usize {
        self.streamed.held
    }

    fn is_over(&self) -> bool {
        self.streamed.over
    }

    fn error(&self, body: &[u8]) -> Said {
        said(body)
    }
}
