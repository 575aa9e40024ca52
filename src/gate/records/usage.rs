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
    /// Those of `prompt` that were written to one.
    pub written: u64,
}

impl Tokens {
    /// With parts of what was read that are together no more than that.
    fn fitting(self) -> Self {
        let cached = self.cached.min(self.prompt);
        Self { cached, written: self.written.min(self.prompt - cached), ..self }
    }

    /// Those of `prompt` that came from no cache and went into none.
    #[must_use]
    pub const fn fresh(&self) -> u64 {
        self.prompt.saturating_sub(self.cached).saturating_sub(self.written)
    }
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
    /// What a request whose body had `sent` bytes took, by its outcome: what the provider said, or an estimate where it said
    /// nothing that can be believed. What never left, and what a provider refused to do, took nothing; an answer that broke
    /// off, that nobody stayed to hear, or that the gate did not live to see (`None`), took what it took.
    #[must_use]
    pub fn of(sent: u64, outcome: Option<&Record>) -> Self {
        let read = sent / BYTES_A_TOKEN;
        let Some(outcome) = outcome else {
            return Self { tokens: Tokens { prompt: read, ..Tokens::default() }, estimated: true };
        };
        let said = outcome.fields.get("usage").filter(|usage| usage.is_object());
        let status = outcome.fields.get("status").and_then(Value::as_u64);
        let nothing = match outcome.kind {
            Kind::LlmError => said.is_none() && status.is_none_or(|status| !(200..300).contains(&status)),
            _ => outcome.fields.get("reached").and_then(Value::as_bool) == Some(false),
        };
        if nothing {
            return Self::default();
        }
        let came = outcome.body().map_or(0, |body| body.bytes) / BYTES_A_TOKEN;
        let (prompt, completion, (cached, written)) = said.map_or((Count::Unsaid, Count::Unsaid, (0, 0)), counts);
        if outcome.kind == Kind::LlmAborted {
            // What was said before the client left is of a part of the answer: what it read is known, and what it wrote was at
            // least as much as came.
            let prompt = if let Count::Said(count @ 1..) = prompt { count } else { read };
            let completion = completion.or(0).max(came);
            return Self { tokens: Tokens { prompt, completion, cached, written }.fitting(), estimated: true };
        }
        // Nobody asks for nothing, and some servers send the object without its numbers.
        let uncounted = !matches!((prompt, completion), (Count::Said(1..), _) | (_, Count::Said(1..)));
        let estimated = uncounted || prompt == Count::Wrong || completion == Count::Wrong;
        let tokens = Tokens {
            prompt: if uncounted { read } else { prompt.or(read) },
            completion: if uncounted { came } else { completion.or(came) },
            cached,
            written,
        };
        Self { tokens: tokens.fitting(), estimated }
    }
}

/// One number of a `usage` object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Count {
    Said(u64),
    Unsaid,
    /// Negative, or no number.
    Wrong,
}

impl Count {
    /// Whole numbers, however they are written (`10.0`, `1e3`).
    fn of(usage: &Value, pointer: &str) -> Self {
        let Some(value) = usage.pointer(pointer).filter(|value| !value.is_null()) else { return Self::Unsaid };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // saturates, and is not negative
        match (value.as_u64(), value.as_f64()) {
            (Some(count), _) => Self::Said(count),
            (None, Some(count)) if count >= 0.0 => Self::Said(count.ceil() as u64),
            _ => Self::Wrong,
        }
    }

    /// The number; none where there is none, and `estimate` for one that is wrong.
    fn or(self, estimate: u64) -> u64 {
        match self {
            Self::Said(count) => count,
            Self::Unsaid => 0,
            Self::Wrong => estimate,
        }
    }
}

/// What was read, what was said, and what of the former came from a cache and went into one: in OpenAI's shape, or in
/// Anthropic's, which counts these apart.
fn counts(usage: &Value) -> (Count, Count, (u64, u64)) {
    let count = |pointer: &str| Count::of(usage, pointer);
    let more = |pointer: &str| count(pointer).or(0);
    match count("/input_tokens") {
        Count::Unsaid => {
            let details =
                ["cached_tokens", "cache_write_tokens"].map(|name| more(&format!("/prompt_tokens_details/{name}")));
            (count("/prompt_tokens"), count("/completion_tokens"), details.into())
        }
        Count::Said(input) => {
            let (cached, written) = (more("/cache_read_input_tokens"), more("/cache_creation_input_tokens"));
            let prompt = input.saturating_add(cached).saturating_add(written);
            (Count::Said(prompt), count("/output_tokens"), (cached, written))
        }
        Count::Wrong => (Count::Wrong, count("/output_tokens"), (0, 0)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Map, json};

    use super::*;
    use crate::run::id::Digest;

    fn taken(kind: Kind, fields: Value) -> (u64, u64, u64, bool) {
        let Value::Object(fields) = fields else { panic!() };
        let mut all = Map::from_iter([("body".to_owned(), json!({"sha256": Digest::of(b"x"), "bytes": 80}))]);
        all.extend(fields);
        let (time, prev) = (String::new(), Digest::of(b""));
        let record = Record { seq: 2, at: 0, time, kind, node: None, attempt: None, fields: all, prev };
        let Taken { tokens, estimated } = Taken::of(400, Some(&record));
        (tokens.prompt, tokens.completion, tokens.cached, estimated)
    }

    #[test]
    fn what_goes_into_a_cache_is_counted_apart_on_both_wires() {
        let parts = |usage: Value| {
            let (prompt, completion, (cached, written)) = counts(&usage);
            let tokens = Tokens { prompt: prompt.or(0), completion: completion.or(0), cached, written }.fitting();
            (tokens.prompt, tokens.cached, tokens.written, tokens.fresh())
        };
        let anthropic = json!({"input_tokens": 3, "output_tokens": 2, "cache_read_input_tokens": 7, "cache_creation_input_tokens": 5});
        assert_eq!(parts(anthropic), (15, 7, 5, 3));
        let openai = json!({"prompt_tokens": 15, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 7, "cache_write_tokens": 5}});
        assert_eq!(parts(openai), (15, 7, 5, 3));
        // More than there is of it is all of it.
        let wrong =
            json!({"prompt_tokens": 15, "prompt_tokens_details": {"cached_tokens": 9, "cache_write_tokens": 50}});
        assert_eq!(parts(wrong), (15, 9, 6, 0));
    }

    #[test]
    fn what_is_said_counts_and_what_is_not_is_estimated() {
        let usage = |usage: Value| taken(Kind::LlmResponse, json!({"status": 200, "usage": usage}));
        assert_eq!(usage(json!({"prompt_tokens": 10, "completion_tokens": 5})), (10, 5, 0, false));
        assert_eq!(usage(json!({"prompt_tokens": 10.0, "completion_tokens": 5.0})), (10, 5, 0, false));
        assert_eq!(usage(json!({"prompt_tokens": 10, "total_tokens": 10})), (10, 0, 0, false), "embeddings");
        let cached = json!({"input_tokens": 3, "output_tokens": 2, "cache_read_input_tokens": 7});
        assert_eq!(usage(cached), (10, 2, 7, false));
        let came = usage(Value::Null).1;
        for said in [json!({}), json!({"prompt_tokens": 0, "completion_tokens": 0}), json!({"prompt_tokens": "many"})] {
            assert_eq!(usage(said.clone()), (100, came, 0, true), "{said}");
        }
        assert_eq!(usage(json!({"prompt_tokens": -5, "completion_tokens": 9})), (100, 9, 0, true));
        assert_eq!(
            Taken::of(400, None),
            Taken { tokens: Tokens { prompt: 100, ..Tokens::default() }, estimated: true }
        );
    }

    #[test]
    fn a_failure_takes_what_the_provider_says_and_else_nothing_unless_it_had_begun() {
        let failed = |fields: Value| taken(Kind::LlmError, fields);
        assert_eq!(failed(json!({"status": 502})), (0, 0, 0, false));
        assert_eq!(failed(json!({})), (0, 0, 0, false));
        let said = json!({"status": 502, "usage": {"prompt_tokens": 9, "completion_tokens": 1}});
        assert_eq!(failed(said), (9, 1, 0, false));
        assert_eq!(failed(json!({"status": 200})).0, 100);
        assert_eq!(taken(Kind::LlmAborted, json!({"reached": false})), (0, 0, 0, false));
        assert_eq!(taken(Kind::LlmAborted, json!({})).0, 100);
    }

    #[test]
    fn who_hangs_up_is_charged_what_was_known_and_what_came() {
        let left = |usage: Value| taken(Kind::LlmAborted, json!({"status": 200, "usage": usage}));
        assert_eq!(left(Value::Null), (100, 20, 0, true));
        assert_eq!(left(json!({"input_tokens": 5000, "output_tokens": 1})), (5000, 20, 0, true));
        assert_eq!(left(json!({"input_tokens": 0, "output_tokens": 0})), (100, 20, 0, true));
        assert_eq!(left(json!({"prompt_tokens": 7000, "completion_tokens": 900})), (7000, 900, 0, true));
        assert_eq!(
            left(json!({"input_tokens": 1, "cache_read_input_tokens": 9, "output_tokens": -1})),
            (10, 20, 9, true)
        );
    }
}
