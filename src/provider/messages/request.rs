//! A request on Anthropic's wire as a chat request.

use serde_json::{Map, Value};

use super::{blocks, parameter};
use crate::provider::Values;
use crate::provider::chat::{Effort, Message, Request, Sampling, Untranslatable};

/// Reads a body that [`Ask::parse`](crate::provider::Ask::parse) has let pass.
///
/// # Errors
/// What is not of the wire's shape, and what no other wire has.
pub(crate) fn request(body: &[u8]) -> Result<Request, Untranslatable> {
    let values = Values::beside(body).map_err(|error| Untranslatable::complex("body", &error))?;
    let body: Result<Map<String, Value>, _> = serde_json::from_slice(body);
    let mut body = body.map_err(|e| Untranslatable::malformed("body", format!("is not a JSON object: {e}")))?;
    body.shift_remove("model");
    let mut take = |key: &str| body.shift_remove(key).filter(|value| !value.is_null());
    let system = take("system");
    let mut messages = match blocks::text(system.as_ref(), "system")? {
        text if text.is_empty() => Vec::new(),
        text => vec![Message::System(text)],
    };
    let all = take("messages").unwrap_or_default();
    let all = all.as_array().ok_or_else(|| Untranslatable::malformed("messages", "is not a list"))?;
    messages.extend(blocks::messages(all)?);
    if !messages.iter().any(|message| !matches!(message, Message::System(_))) {
        return Err(Untranslatable::malformed("messages", "is empty"));
    }
    let (choice, one_call) = parameter::choice(take("tool_choice"))?;
    let number = |key: &str, value: Option<Value>| match value {
        None => Ok(None),
        Some(value) => value.as_f64().map(Some).ok_or_else(|| Untranslatable::malformed(key, "is not a number")),
    };
    let max_tokens = take("max_tokens").and_then(|value| value.as_u64()).filter(|count| *count > 0);
    let stop = match take("stop_sequences") {
        None => Some(Vec::new()),
        Some(Value::Array(all)) => all.iter().map(|one| one.as_str().map(str::to_owned)).collect(),
        Some(_) => None,
    };
    let (format, effort) = parameter::output(take("output_config"))?;
    let request = Request {
        messages,
        tools: parameter::tools(take("tools"))?,
        choice,
        one_call,
        sampling: Sampling {
            temperature: number("temperature", take("temperature"))?,
            top_p: number("top_p", take("top_p"))?,
            top_k: take("top_k").and_then(|value| value.as_u64()),
            max_tokens: Some(max_tokens.ok_or_else(|| {
                Untranslatable::malformed("max_tokens", "is missing, or not a whole number above zero")
            })?),
            stop: stop.ok_or_else(|| Untranslatable::malformed("stop_sequences", "is not a list of texts"))?,
            ..Sampling::default()
        },
        format,
        // Who sets no tokens aside says by this how much is to be thought, if at all.
        effort: match (parameter::effort(take("thinking"))?, effort) {
            (Some(Effort::None), _) => Some(Effort::None),
            (thinking, effort) => effort.or(thinking),
        },
        stream: take("stream").and_then(|value| value.as_bool()).unwrap_or(false),
        // What was used is a part of every answer on this wire.
        include_usage: true,
        values,
    };
    parameter::nothing_else(&body)?;
    Ok(request)
}
