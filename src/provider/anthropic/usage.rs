//! Tokens and stop reasons in OpenAI's words.

use serde_json::Value;

use crate::provider::chat::Usage;

/// Takes up what a `usage` object says. In a stream it comes twice: the later counts are whole, not more.
pub(super) fn absorb(known: &mut Counts, usage: &Value) {
    let take = |key: &str, count: &mut u64| {
        if let Some(said) = usage.get(key).and_then(Value::as_u64) {
            *count = said;
        }
    };
    take("input_tokens", &mut known.input);
    take("output_tokens", &mut known.output);
    take("cache_read_input_tokens", &mut known.read);
    take("cache_creation_input_tokens", &mut known.written);
}

/// What Anthropic counts: `input` is what was neither read from a cache nor written to one.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    input: u64,
    output: u64,
    read: u64,
    written: u64,
}

impl Counts {
    pub(super) fn usage(self) -> Usage {
        Usage {
            prompt: self.input.saturating_add(self.read).saturating_add(self.written),
            completion: self.output,
            cached: self.read,
            cache_written: self.written,
            reasoning: None,
        }
    }
}

/// A stop reason. One that is not known is passed on as it is: better strange than wrong.
pub(super) fn finish(reason: &str) -> &str {
    match reason {
        "end_turn" | "stop_sequence" | "pause_turn" => "stop",
        "max_tokens" | "model_context_window_exceeded" => "length",
        "tool_use" => "tool_calls",
        "refusal" => "content_filter",
        other => other,
    }
}
