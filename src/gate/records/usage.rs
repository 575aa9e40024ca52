//! What LLM traffic cost, summed from the records.

use serde::Serialize;
use serde_json::Value;

/// Requests and tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    pub requests: u64,
    pub answered: u64,
    pub failed: u64,
    pub aborted: u64,
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
}

/// The tokens that one answer's `usage` names, in OpenAI's sense: `prompt` holds what came from a cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tokens {
    pub prompt: u64,
    pub completion: u64,
    /// Those of `prompt` that were read from a cache.
    pub cached: u64,
}

impl Tokens {
    /// Reads OpenAI's shape, or Anthropic's, which counts what came from a cache apart.
    #[must_use]
    pub fn of(usage: &Value) -> Self {
        let count = |pointer: &str| usage.pointer(pointer).and_then(Value::as_u64);
        if let Some(input) = count("/input_tokens") {
            let cached = count("/cache_read_input_tokens").unwrap_or(0);
            let written = count("/cache_creation_input_tokens").unwrap_or(0);
            let prompt = input.saturating_add(cached).saturating_add(written);
            return Self { prompt, completion: count("/output_tokens").unwrap_or(0), cached };
        }
        let prompt = count("/prompt_tokens").unwrap_or(0);
        Self {
            prompt,
            completion: count("/completion_tokens").unwrap_or(0),
            cached: count("/prompt_tokens_details/cached_tokens").unwrap_or(0).min(prompt),
        }
    }
}
