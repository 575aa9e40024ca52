//! A whole answer, as a `chat.completion`.

use serde_json::{Map, Value, json};

/// What a model said.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Reply {
    pub(crate) id: String,
    pub(crate) model: String,
    /// Seconds since 1970.
    pub(crate) created: u64,
    pub(crate) text: String,
    pub(crate) reasoning: String,
    pub(crate) details: Vec<Value>,
    /// As [`called`] makes them.
    pub(crate) calls: Vec<Value>,
    /// Gemini's proof of its thoughts about the text.
    pub(crate) signature: Option<String>,
    pub(crate) finish: String,
    pub(crate) usage: Usage,
}

/// Tokens, in OpenAI's sense: `prompt` holds what came from a cache, `completion` holds what was thought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) prompt: u64,
    pub(crate) completion: u64,
    /// Read from a cache.
    pub(crate) cached: u64,
    /// Written to a cache.
    pub(crate) cache_written: u64,
    pub(crate) reasoning: Option<u64>,
}

impl Usage {
    /// The object, where something was counted.
    pub(crate) fn spent(&self) -> Option<Value> {
        (self.prompt > 0 || self.completion > 0).then(|| self.json())
    }

    pub(crate) fn json(&self) -> Value {
        let mut usage = Map::new();
        usage.insert("prompt_tokens".into(), self.prompt.into());
        usage.insert("completion_tokens".into(), self.completion.into());
        usage.insert("total_tokens".into(), self.prompt.saturating_add(self.completion).into());
        if self.cached > 0 || self.cache_written > 0 {
            let mut details = Map::new();
            details.insert("cached_tokens".into(), self.cached.into());
            if self.cache_written > 0 {
                details.insert("cache_write_tokens".into(), self.cache_written.into());
            }
            usage.insert("prompt_tokens_details".into(), details.into());
        }
        if let Some(reasoning) = self.reasoning {
            usage.insert("completion_tokens_details".into(), json!({"reasoning_tokens": reasoning}));
        }
        Value::Object(usage)
    }
}

/// A tool call. `index` is for streams.
pub(crate) fn called(index: Option<usize>, id: &str, name: &str, arguments: &str, signature: Option<&str>) -> Value {
    let mut call = Map::new();
    if let Some(index) = index {
        call.insert("index".into(), index.into());
    }
    call.insert("id".into(), id.into());
    call.insert("type".into(), "function".into());
    call.insert("function".into(), json!({"name": name, "arguments": arguments}));
    if let Some(signature) = signature {
        call.insert("extra_content".into(), signed(signature));
    }
    Value::Object(call)
}

pub(super) fn signed(signature: &str) -> Value {
    json!({"google": {"thought_signature": signature}})
}

impl Reply {
    /// The object. Text that is not there is `null`, as OpenAI has it.
    pub(crate) fn json(self) -> Value {
        let mut message = Map::new();
        message.insert("role".into(), "assistant".into());
        message.insert("content".into(), if self.text.is_empty() { Value::Null } else { self.text.into() });
        if !self.reasoning.is_empty() {
            message.insert("reasoning_content".into(), self.reasoning.into());
        }
        if !self.details.is_empty() {
            message.insert("reasoning_details".into(), self.details.into());
        }
        if !self.calls.is_empty() {
            message.insert("tool_calls".into(), self.calls.into());
        }
        if let Some(signature) = &self.signature {
            message.insert("extra_content".into(), signed(signature));
        }
        json!({
            "id": self.id, "object": "chat.completion", "created": self.created, "model": self.model,
            "choices": [{"index": 0, "message": message, "finish_reason": self.finish}],
            "usage": self.usage.json(),
        })
    }
}
