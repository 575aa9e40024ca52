//! Tokens and finish reasons in OpenAI's words.

use serde_json::Value;

use crate::provider::chat::Usage;
use crate::provider::reading::Said;

/// What `usageMetadata` says; the last one of a stream holds for all of it.
pub(super) fn usage(said: &Value) -> Usage {
    let count = |key: &str| said.get(key).and_then(Value::as_u64);
    let thoughts = count("thoughtsTokenCount");
    Usage {
        prompt: count("promptTokenCount").unwrap_or(0).saturating_add(count("toolUsePromptTokenCount").unwrap_or(0)),
        completion: count("candidatesTokenCount").unwrap_or(0).saturating_add(thoughts.unwrap_or(0)),
        cached: count("cachedContentTokenCount").unwrap_or(0),
        cache_written: 0,
        reasoning: thoughts,
    }
}

/// A finish reason. Some are failures of the provider's, not ends of an answer.
pub(super) fn finish(reason: &str, message: Option<&str>, called: bool) -> Result<&'static str, Said> {
    match reason {
        "STOP" if called => Ok("tool_calls"),
        "STOP" => Ok("stop"),
        "MAX_TOKENS" => Ok("length"),
        "SAFETY" | "RECITATION" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII" | "IMAGE_SAFETY" => Ok("content_filter"),
        other => {
            let mut text = format!("the model stopped with {}", other.chars().take(64).collect::<String>());
            if let Some(message) = message {
                text.push_str(": ");
                text.push_str(message);
            }
            Err(Said { kind: other.to_owned(), message: text, raw: Value::Null })
        }
    }
}
