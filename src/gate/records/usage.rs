//! What LLM traffic cost, summed from the records.

use serde::Serialize;
use serde_json::Value;

use super::{Kind, Record};

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

/// What a request to a model took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Taken {
    pub tokens: Tokens,
    /// Nobody counted: a token is taken to be four bytes of what was sent and of what came back.
    pub estimated: bool,
}

/// What a token is taken to be where a provider does not count, in bytes.
const BYTES_A_TOKEN: u64 = 4;

impl Taken {
    /// What a request whose body had `sent` bytes took, by its outcome: what the provider said, or an estimate. What never
    /// left, and what a provider refused to do, took nothing; an answer that broke off, or that nobody stayed to hear, took
    /// what it took.
    #[must_use]
    pub fn of(sent: u64, outcome: &Record) -> Self {
        if let Some(usage) = outcome.fields.get("usage").filter(|usage| usage.is_object()) {
            return Self { tokens: Tokens::of(usage), estimated: false };
        }
        let status = outcome.fields.get("status").and_then(Value::as_u64);
        let nothing = match outcome.kind {
            Kind::LlmError => status.is_none_or(|status| !(200..300).contains(&status)),
            _ => outcome.fields.get("reached").and_then(Value::as_bool) == Some(false),
        };
        if nothing {
            return Self::default();
        }
        let came = outcome.body().map_or(0, |body| body.bytes);
        let tokens = Tokens { prompt: sent / BYTES_A_TOKEN, completion: came / BYTES_A_TOKEN, cached: 0 };
        Self { tokens, estimated: true }
    }
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
