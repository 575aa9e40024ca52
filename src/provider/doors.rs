//! What a request would have a provider do beside answering: search the web, fetch an address, run code, speak to a server,
//! ask another model. To an agent without a way out that is one, so nothing of it passes; addresses of images are listed for
//! whoever knows what is granted.
//!
//! Unknown keys pass, because servers that speak these wires have many of their own; those that open a door are listed here.

use std::collections::HashMap;

use hyper::HeaderMap;
use serde_json::Value;
use serde_json::value::RawValue;

use super::Wire;

/// Keys of a request by which a provider reaches somebody else, whatever they hold. Compared without regard to case, as some
/// servers do.
const DOORS: [&str; 28] = [
    // Searching and fetching.
    "enable_search",
    "plugins",
    "search_options",
    "search_parameters",
    "web_search",
    "web_search_options",
    "data_sources",
    "connectors",
    "documents_url",
    // Servers and code.
    "mcp_servers",
    "container",
    "server_tools",
    "code_interpreter",
    // Addresses that something is sent to.
    "api_base",
    "base_url",
    "callback_url",
    "webhook",
    "webhook_url",
    "notification_url",
    "api_key",
    "custom_llm_provider",
    "litellm_credential_name",
    "extra_headers",
    "extra_body",
    // Other models than the one that is granted.
    "models",
    "fallbacks",
    "route",
    "agent_id",
];
/// Tools of Anthropic's that an agent's client performs itself, by what their types begin with.
const OWN_HANDS: [&str; 4] = ["bash_", "text_editor_", "memory_", "computer_"];
/// What lets one of Anthropic's servers connect to others, in `anthropic-beta`.
const BETA: &str = "mcp-client-";
/// How many addresses a request may name, where they are looked at. One more is listed, so that it shows.
pub const MOST_ADDRESSES: usize = 64;

/// What a request may not ask of a provider.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{param}` {why}")]
pub struct Door {
    /// `provider_side_access`, or `unsupported_value` for what changes the price.
    pub code: &'static str,
    pub param: String,
    pub why: &'static str,
}

const REACHES: &str = "has the provider reach others, which is a way out that nothing grants";

impl Door {
    fn access(param: impl Into<String>) -> Self {
        Self { code: "provider_side_access", param: param.into(), why: REACHES }
    }

    /// The header `anthropic-beta`, where it opens a door.
    pub(crate) fn of_headers(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all("anthropic-beta").iter();
        values
            .any(|value| String::from_utf8_lossy(value.as_bytes()).contains(BETA))
            .then(|| Self::access("anthropic-beta"))
    }

    /// The first of a request's keys that opens a door, or changes the price.
    pub(super) fn of_keys(wire: Wire, keys: &HashMap<String, &RawValue>) -> Option<Self> {
        for (key, value) in keys {
            let (key, value) = (key.to_ascii_lowercase(), value.get().trim());
            if DOORS.contains(&key.as_str()) && !matches!(value, "null" | "false" | "[]") {
                return Some(Self::access(key));
            }
            let usual: &[&str] = match (key.as_str(), wire) {
                ("service_tier", Wire::Messages) => &["null", "\"auto\"", "\"standard_only\""],
                ("service_tier", _) => &["null", "\"auto\"", "\"default\""],
                ("speed", Wire::Messages) => &["null", "\"standard\""],
                _ => continue,
            };
            if !usual.contains(&value) {
                let why = "changes what tokens cost, and budgets count by the usual price";
                return Some(Self { code: "unsupported_value", param: key, why });
            }
        }
        None
    }

    /// The first of a request's tools that the provider performs itself.
    pub(super) fn of_tools(wire: Wire, tools: Option<&Value>) -> Option<Self> {
        let tools = tools.and_then(Value::as_array).into_iter().flatten();
        let of = |(at, tool): (usize, &Value)| {
            let kind = match tool.get("type") {
                None | Some(Value::Null) => None,
                // What is no text is no kind that is known.
                Some(kind) => Some(kind.as_str().unwrap_or_default()),
            };
            let known = match (kind, wire) {
                (Some("custom"), _) => true,
                (Some(kind), Wire::Messages) => OWN_HANDS.iter().any(|own| kind.starts_with(own)),
                (Some(kind), _) => kind == "function",
                (None, _) => tool.get("name").is_some() || tool.get("function").is_some(),
            };
            (!known).then(|| Self::access(format!("tools[{at}]")))
        };
        tools.enumerate().find_map(of)
    }
}

/// The addresses that a provider would fetch for a conversation or what is embedded: of images, documents, sound; `data:` URLs
/// are none. Servers have many shapes for them, so every text counts that begins as an address does and is not there to be read.
pub(super) fn addresses<'v>(said: impl IntoIterator<Item = &'v Value>) -> Vec<String> {
    let mut found = Vec::new();
    for message in said.into_iter().flat_map(listed).flat_map(listed) {
        for (key, value) in message.as_object().into_iter().flatten() {
            match key.as_str() {
                "content" => listed(value).for_each(|part| members(part, &mut found)),
                // What the model said, and cited.
                "tool_calls" | "function_call" | "annotations" => {}
                key => walk(key, value, &mut found),
            }
        }
    }
    found
}

/// The items of a list, or the one value.
fn listed(value: &Value) -> std::slice::Iter<'_, Value> {
    value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice).iter()
}

/// An object's members. What stands in a list beside objects is text.
fn members(part: &Value, found: &mut Vec<String>) {
    let kind = part.get("type").and_then(Value::as_str).unwrap_or_default();
    for (key, value) in part.as_object().into_iter().flatten() {
        match (kind, key.as_str()) {
            // What a call holds is the model's.
            ("tool_use", "input" | "content") | ("text", "citations") => {}
            // Results hold parts of their own, or are text; so are documents that are text.
            (_, "content") if value.is_array() => listed(value).for_each(|part| members(part, found)),
            ("tool_result" | "content", "content") | ("search_result", "source") | ("text", "data")
                if value.is_string() => {}
            (_, key) => walk(key, value, found),
        }
    }
}

fn walk(key: &str, value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => {
            let key = key.to_ascii_lowercase();
            let read = matches!(key.as_str(), "text" | "thinking" | "refusal" | "title" | "context" | "name");
            let named = key == "url" || key.ends_with("_url");
            let text = text.trim();
            let data = text.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"));
            let address = !data && (named || (!read && !key.starts_with("reasoning") && has_scheme(text)));
            if address && found.len() <= MOST_ADDRESSES {
                found.push(text.to_owned());
            }
        }
        Value::Array(items) => items.iter().for_each(|item| walk(key, item, found)),
        Value::Object(_) => members(value, found),
        _ => {}
    }
}

/// Whether `text` begins with `scheme://`.
fn has_scheme(text: &str) -> bool {
    let Some((scheme, _)) = text.split_once("://") else { return false };
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn key(wire: Wire, body: &str) -> Option<&'static str> {
        let keys: HashMap<String, &RawValue> = serde_json::from_str(body).unwrap();
        Door::of_keys(wire, &keys).map(|door| door.code)
    }

    #[test]
    fn keys_that_open_doors_are_named_and_others_pass() {
        let (access, value) = (Some("provider_side_access"), Some("unsupported_value"));
        for (wire, body, expected) in [
            (Wire::Chat, r#"{"web_search_options":{}}"#, access),
            (Wire::Chat, r#"{"Web_Search_Options":{}}"#, access),
            (Wire::Messages, r#"{"mcp_servers":[{"url":"x"}]}"#, access),
            (Wire::Messages, r#"{"mcp_servers":[],"container":null}"#, None),
            (Wire::Chat, r#"{"enable_search":false,"vendor":{"a":1},"top_k":4}"#, None),
            (Wire::Chat, r#"{"service_tier":"priority"}"#, value),
            (Wire::Chat, r#"{"service_tier":"default"}"#, None),
            (Wire::Messages, r#"{"service_tier":"standard_only","speed":"fast"}"#, value),
        ] {
            assert_eq!(key(wire, body), expected, "{body}");
        }
    }

    #[test]
    fn tools_that_a_provider_performs_are_named() {
        let tool = |wire, tool: Value| Door::of_tools(wire, Some(&json!([tool]))).map(|door| door.param);
        for (wire, named) in [
            (Wire::Chat, json!({"type": "web_search"})),
            (Wire::Chat, json!({"google_search": {}})),
            (Wire::Messages, json!({"type": "web_search_20250305", "name": "web_search"})),
            (Wire::Messages, json!({"type": "web_fetch_20250910", "name": "web_fetch"})),
            (Wire::Messages, json!({"type": "code_execution_20250825", "name": "x"})),
            (Wire::Messages, json!({"type": "mcp_toolset", "mcp_server_name": "x"})),
            (Wire::Messages, json!({"type": ["custom"], "name": "x"})),
        ] {
            assert_eq!(tool(wire, named.clone()).as_deref(), Some("tools[0]"), "{named}");
        }
        for (wire, own) in [
            (Wire::Chat, json!({"type": "function", "function": {"name": "f"}})),
            (Wire::Chat, json!({"type": "custom", "custom": {"name": "f"}})),
            (Wire::Messages, json!({"name": "f", "input_schema": {}})),
            (Wire::Messages, json!({"type": "bash_20250124", "name": "bash"})),
            (Wire::Messages, json!({"type": "computer_20250124", "name": "computer"})),
        ] {
            assert_eq!(tool(wire, own.clone()), None, "{own}");
        }
    }

    #[test]
    fn addresses_are_found_wherever_a_provider_looks_and_not_in_calls() {
        let found = addresses([&json!([
            {"role": "user", "content": "https://in.words"},
            {"role": "user", "content": [
                {"type": "image_url", "image_url": {"url": "https://a/1"}}, {"type": "image_url", "image_url": "https://a/2"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}},
                {"type": "video_url", "video_url": {"url": "https://a/3"}},
                {"type": "image", "source": {"type": "url", "url": "https://a/4"}},
                {"type": "tool_result", "content": [{"type": "document", "source": {"type": "url", "url": "https://a/5"}}]}]},
            {"role": "assistant", "content": [{"type": "tool_use", "input": {"image_url": "https://no"}, "content": [{"image_url": "no"}]}]},
        ])]);
        assert_eq!(found, ["https://a/1", "https://a/2", "https://a/3", "https://a/4", "https://a/5"]);
    }

    #[test]
    fn addresses_are_found_in_every_shape_that_a_server_documents() {
        for part in [
            json!({"type": "file", "file": {"filename": "a", "file_data": "https://evil/"}}),
            json!({"type": "file", "file": {"file_id": "HTTPS://evil/"}}),
            json!({"type": "file", "file": {"url": "//evil/"}}),
            json!({"type": "input_audio", "input_audio": {"data": " https://evil/", "format": "wav"}}),
            json!({"type": "video", "video": ["https://evil/"]}),
            json!({"type": "video_url", "video_url": [{"url": "evil"}]}),
            json!({"type": "image_url", "image_url": ["evil"]}),
            json!({"type": "image", "image": "gs://evil/"}),
            json!({"type": "image", "source": "s3://evil/"}),
            json!({"type": "image", "content": "https://evil/"}),
        ] {
            let one = json!([{"role": "user", "content": [part]}]);
            assert_eq!(addresses([&one]).len(), 1, "{one}");
            let alone = json!([{"role": "user", "content": one[0]["content"][0]}]);
            assert_eq!(addresses([&alone]).len(), 1, "{alone}");
            let inner = json!([{"content": [{"type": "tool_result", "content": one[0]["content"]}]}]);
            assert_eq!(addresses([&inner]).len(), 1, "{inner}");
        }
        assert_eq!(addresses([&json!([{"role": "user", "content": "x", "images": ["https://evil/"]}])]).len(), 1);
        assert_eq!(addresses([&json!([{"text": "https://words/"}, {"image": "https://evil/"}])]), ["https://evil/"]);
        assert_eq!(addresses([&json!({"image": "https://evil/"})]), ["https://evil/"]);
    }

    #[test]
    fn what_is_there_to_be_read_is_no_address() {
        let words = "https://in.words/";
        let all = json!([
            words,
            {"role": "user", "name": words, "content": words},
            {"role": "user", "content": [words, {"type": "text", "text": words, "citations": [{"url": words}]},
                {"type": "document", "title": words, "context": words, "source": {"type": "text", "media_type": "text/plain", "data": words}},
                {"type": "document", "source": {"type": "content", "content": words}},
                {"type": "search_result", "source": words, "title": words, "content": [{"type": "text", "text": words}]},
                {"type": "tool_result", "tool_use_id": "t", "content": words},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
                {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA"}}]},
            {"role": "assistant", "reasoning_content": words, "reasoning_details": [{"type": "reasoning.text", "text": words}],
                "refusal": words, "annotations": [{"type": "url_citation", "url_citation": {"url": words}}],
                "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": words}}],
                "content": [{"type": "thinking", "thinking": words, "signature": "c2ln"}, {"type": "tool_use", "id": "t", "name": "f", "input": {"url": words}}]},
            {"role": "tool", "tool_call_id": "c", "content": words},
        ]);
        assert_eq!(addresses([&all]), [""; 0]);
    }
}
