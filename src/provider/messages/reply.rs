//! A chat completion as a message of Anthropic's.

use serde_json::{Map, Value, json};

use crate::provider::Values;
use crate::provider::reading::Said;

/// The message of a whole `chat.completion`. What its calls hold of JSON is taken from `values`.
pub(super) fn message(completion: &Value, mut values: Values) -> Result<Value, Said> {
    let own = |pointer: &str| completion.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let Some(said) = completion.pointer("/choices/0/message").filter(|said| said.is_object()) else {
        return Err(Said::garbled("its answer holds no message"));
    };
    let mut content = Vec::new();
    for spoken in spoken(said)? {
        content.push(match spoken {
            Spoken::Thought(thought) => json!({"type": "thinking", "thinking": thought, "signature": ""}),
            Spoken::Text(text) => json!({"type": "text", "text": text}),
        });
    }
    for call in said.get("tool_calls").and_then(Value::as_array).into_iter().flatten() {
        let own = |pointer: &str| call.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let arguments = own("/function/arguments");
        let arguments = if arguments.trim().is_empty() { "{}" } else { arguments };
        let taken = values.take(arguments.as_bytes());
        taken.map_err(|error| Said::garbled(format!("a call of its answer cannot be read: {error}")))?;
        let input: Map<String, Value> = serde_json::from_str(arguments)
            .map_err(|_| Said::garbled("its answer holds a call whose arguments are no JSON object"))?;
        content.push(json!({"type": "tool_use", "id": own("/id"), "name": own("/function/name"), "input": input}));
    }
    Ok(json!({
        "id": own("/id"), "type": "message", "role": "assistant", "model": own("/model"), "content": content,
        "stop_reason": stop(own("/choices/0/finish_reason")), "stop_sequence": null,
        "usage": usage(completion.get("usage").unwrap_or(&Value::Null)),
    }))
}

/// Words of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Spoken {
    Thought(String),
    Text(String),
}

/// The words of a message, or of what a chunk adds to one. Servers differ over the name of thoughts, and some give a list of
/// parts instead of a text.
pub(super) fn spoken(said: &Value) -> Result<Vec<Spoken>, Said> {
    let words = |key: &str| said.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
    let mut all: Vec<Spoken> =
        words("reasoning_content").or_else(|| words("reasoning")).map(Spoken::Thought).into_iter().collect();
    for part in said.get("content").and_then(Value::as_array).into_iter().flatten() {
        match part.get("type").and_then(Value::as_str).unwrap_or_default() {
            "text" => all.push(Spoken::Text(text(part.get("text")))),
            "thinking" => all.push(Spoken::Thought(text(part.get("thinking")))),
            kind => {
                let kind: String = kind.chars().take(64).collect();
                return Err(Said::garbled(format!(
                    "its answer holds a part of the type {kind:?}, which has no counterpart"
                )));
            }
        }
    }
    all.extend(words("content").or_else(|| words("refusal")).map(Spoken::Text));
    all.retain(|(Spoken::Thought(text) | Spoken::Text(text))| !text.is_empty());
    Ok(all)
}

/// A text, or the texts of a list of parts.
fn text(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => parts.iter().filter_map(|part| part.get("text").and_then(Value::as_str)).collect(),
        _ => String::new(),
    }
}

/// Why it ended, in Anthropic's words.
pub(super) fn stop(finish: &str) -> &str {
    match finish {
        "stop" => "end_turn",
        "length" => "max_tokens",
        "tool_calls" => "tool_use",
        "content_filter" => "refusal",
        other => other,
    }
}

/// Tokens in Anthropic's sense: what came from a cache is counted apart.
pub(super) fn usage(usage: &Value) -> Value {
    let count = |pointer: &str| usage.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    let read = count("/prompt_tokens_details/cached_tokens");
    let written = count("/prompt_tokens_details/cache_write_tokens");
    json!({
        "input_tokens": count("/prompt_tokens").saturating_sub(read).saturating_sub(written),
        "cache_read_input_tokens": read, "cache_creation_input_tokens": written,
        "output_tokens": count("/completion_tokens"),
    })
}

/// A failure as Anthropic's clients read it, with what the provider sent beside it.
pub(crate) fn failure(said: &Said) -> Value {
    let mut error = json!({"type": said.kind, "message": said.message});
    if !said.raw.is_null() {
        error["provider_error"] = said.raw.clone();
    }
    json!({"type": "error", "error": error})
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn words_are_found_under_every_name() {
        let (thought, said) = (|| Spoken::Thought("t".to_owned()), || Spoken::Text("x".to_owned()));
        for (message, expected) in [
            (json!({"reasoning_content": "t", "reasoning": "t", "content": "x"}), vec![thought(), said()]),
            (json!({"reasoning": "t", "content": "x"}), vec![thought(), said()]),
            (json!({"reasoning_content": "", "reasoning": "t", "content": null}), vec![thought()]),
            (json!({"reasoning": {"a": 1}, "content": "", "refusal": "x"}), vec![said()]),
            (
                json!({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "t"}]}, {"type": "text", "text": "x"}]}),
                vec![thought(), said()],
            ),
        ] {
            assert_eq!(spoken(&message).unwrap(), expected, "{message}");
            let whole = json!({"id": "c", "choices": [{"message": message}]});
            let values = Values::beside(whole.to_string().as_bytes()).unwrap();
            assert_eq!(super::message(&whole, values).unwrap()["content"].as_array().unwrap().len(), expected.len());
        }
        let refused = spoken(&json!({"content": [{"type": "image_url"}]})).unwrap_err();
        assert!(refused.message.contains("image_url"));
    }
}
