//! One answer of a model, made fit to work with. A model may answer anything; whatever it is, what results here is
//! either a message that every provider accepts back, or a sentence that says why not. Pure, and never a panic.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::tools::Tool;

/// Calls of one message that are performed. More than that is a model that repeats itself.
pub(crate) const CALL_LIMIT: usize = 32;
/// Stands in the history in place of arguments that are no JSON object, since some providers refuse to be sent those.
pub(crate) const MALFORMED: &str = "malformed_arguments";

/// One tool call: what to do, or what to tell the model about it instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) id: String,
    pub(crate) tool: Result<Tool, String>,
}

/// The message of a `chat.completion`. `position` is where it will stand in the conversation.
pub(crate) fn read_answer(answer: &Value, position: usize) -> Result<Value, String> {
    let Some(choices) = answer.get("choices") else {
        return Err(format!("it has no `choices`: {}", beginning(&answer.to_string())));
    };
    let Some(message) = choices.get(0).and_then(|choice| choice.get("message")) else {
        return Err(format!("its `choices` have no message: {}", beginning(&choices.to_string())));
    };
    canonical(message, position).ok_or_else(|| format!("its message is no object: {}", beginning(&message.to_string())))
}

/// `message` with what is missing or malformed in it mended, everything else as it came: providers hang things of
/// their own on a message that they want back. Canonical messages stay as they are.
pub(crate) fn canonical(message: &Value, position: usize) -> Option<Value> {
    let mut message = message.as_object()?.clone();
    message.insert("role".into(), "assistant".into());
    if !matches!(message.get("content"), Some(Value::String(_) | Value::Array(_))) {
        message.insert("content".into(), Value::Null);
    }
    let calls: Vec<Value> = match message.get("tool_calls") {
        Some(Value::Array(calls)) => {
            let mut ids = BTreeSet::new();
            let objects = calls.iter().filter_map(Value::as_object).take(CALL_LIMIT);
            objects.enumerate().map(|(n, call)| canonical_call(call, position, n, &mut ids)).collect()
        }
        _ => Vec::new(),
    };
    if calls.is_empty() {
        message.remove("tool_calls");
    } else {
        message.insert("tool_calls".into(), calls.into());
    }
    Some(message.into())
}

fn canonical_call(call: &Map<String, Value>, position: usize, n: usize, ids: &mut BTreeSet<String>) -> Value {
    let mut call = call.clone();
    let given = call.get("id").and_then(Value::as_str).filter(|id| !id.is_empty() && id.len() <= 256);
    let mut id = given.map_or_else(|| format!("call_{position}_{n}"), str::to_owned);
    while !ids.insert(id.clone()) {
        id.push('_');
    }
    let mut function = call.get("function").and_then(Value::as_object).cloned().unwrap_or_default();
    let name = match function.get("name").and_then(Value::as_str) {
        Some(name) if is_tool_name(name) => name.to_owned(),
        _ => "invalid_name".to_owned(),
    };
    function.insert("name".into(), name.into());
    let arguments = canonical_arguments(function.get("arguments"));
    function.insert("arguments".into(), arguments.into());
    call.insert("id".into(), id.into());
    call.insert("type".into(), "function".into());
    call.insert("function".into(), function.into());
    call.into()
}

/// The form that providers agree on for names of functions.
fn is_tool_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

fn canonical_arguments(arguments: Option<&Value>) -> String {
    match arguments {
        None | Some(Value::Null) => "{}".into(),
        Some(Value::String(text)) if text.trim().is_empty() => "{}".into(),
        Some(Value::String(text)) if is_object(text) => text.clone(),
        Some(Value::String(text)) => json!({ MALFORMED: beginning(text) }).to_string(),
        Some(object @ Value::Object(_)) => object.to_string(),
        Some(other) => json!({ MALFORMED: beginning(&other.to_string()) }).to_string(),
    }
}

fn is_object(text: &str) -> bool {
    matches!(serde_json::from_str(text), Ok(Value::Object(_)))
}

/// The tool calls of a canonical message, in its order.
pub(crate) fn calls(message: &Value) -> Vec<Call> {
    let calls = message.get("tool_calls").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    calls
        .iter()
        .filter_map(|call| {
            let id = call.get("id")?.as_str()?.to_owned();
            let name = call.pointer("/function/name")?.as_str()?;
            let arguments = call.pointer("/function/arguments")?.as_str()?;
            Some(Call { id, tool: Tool::parse(name, arguments) })
        })
        .collect()
}

/// What the model said beside its calls, for the log.
pub(crate) fn spoken(message: &Value) -> String {
    match message.get("content") {
        Some(Value::String(text)) => text.trim().to_owned(),
        Some(Value::Array(parts)) => {
            let texts = parts.iter().filter_map(|part| part.get("text").and_then(Value::as_str));
            texts.collect::<Vec<_>>().join("\n").trim().to_owned()
        }
        _ => String::new(),
    }
}

fn beginning(text: &str) -> String {
    text.chars().take(500).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    /// Any JSON, of the depth and breadth a hostile answer may have.
    pub(crate) fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "\\PC{0,12}".prop_map(Value::from),
            Just(json!("{\"command\":\"true\"}")),
            Just(json!("shell")),
        ];
        leaf.prop_recursive(6, 64, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::vec((keys(), inner), 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    fn keys() -> impl Strategy<Value = String> {
        const KNOWN: [&str; 9] =
            ["choices", "message", "role", "content", "tool_calls", "id", "function", "name", "arguments"];
        prop_oneof![proptest::sample::select(KNOWN.as_slice()).prop_map(str::to_owned), "[a-z]{0,6}"]
    }

    /// An answer of the right shape around arbitrary JSON, so that the inner rules are reached.
    pub(crate) fn any_answer() -> impl Strategy<Value = Value> {
        prop_oneof![
            any_json(),
            any_json().prop_map(|message| json!({"choices": [{"message": message}]})),
            (any_json(), proptest::collection::vec(any_json(), 0..5)).prop_map(|(content, calls)| {
                json!({"choices": [{"message": {"content": content, "tool_calls": calls}}]})
            }),
            proptest::collection::vec((any_json(), any_json(), any_json()), 0..5).prop_map(|calls| {
                let calls: Vec<Value> = calls
                    .into_iter()
                    .map(|(id, name, arguments)| json!({"id": id, "function": {"name": name, "arguments": arguments}}))
                    .collect();
                json!({"choices": [{"message": {"role": "assistant", "tool_calls": calls}}]})
            }),
        ]
    }

    fn message(answer: Value) -> Value {
        read_answer(&answer, 2).unwrap()
    }

    #[test]
    fn malformed_arguments_are_told_and_sent_back_as_json() {
        let message = message(json!({"choices": [{"message": {"tool_calls": [
            {"id": "a", "function": {"name": "shell", "arguments": "{\"command\": \"ls"}},
            {"id": "a", "function": {"name": "shell", "arguments": {"command": "ls"}}},
            {"function": {"name": "what?", "arguments": ""}},
            "no object",
        ]}}]}));
        let calls = calls(&message);
        assert_eq!(calls.iter().map(|call| call.id.as_str()).collect::<Vec<_>>(), ["a", "a_", "call_2_2"]);
        assert!(calls[0].tool.as_ref().unwrap_err().contains("not a JSON object"), "{:?}", calls[0]);
        assert!(calls[1].tool.is_ok());
        assert!(calls[2].tool.as_ref().unwrap_err().contains("no tool"), "{:?}", calls[2]);
    }

    #[test]
    fn what_providers_add_is_kept() {
        let message = message(json!({"choices": [{"message": {
            "reasoning_content": "hm", "tool_calls": [{"id": "x", "extra_content": {"signature": "s"},
            "function": {"name": "shell", "arguments": "{}"}}]}}]}));
        assert_eq!(message["reasoning_content"], "hm");
        assert_eq!(message["tool_calls"][0]["extra_content"]["signature"], "s");
        assert_eq!(message["content"], Value::Null);
    }

    proptest! {
        #[test]
        fn any_answer_becomes_a_sendable_message_or_a_reason(answer in any_answer(), position in 0usize..99) {
            let Ok(message) = read_answer(&answer, position) else { return Ok(()) };
            prop_assert_eq!(canonical(&message, position + 7), Some(message.clone()), "canonical twice");
            let calls = calls(&message);
            let sent = message.get("tool_calls").and_then(Value::as_array).map_or(0, Vec::len);
            prop_assert_eq!(calls.len(), sent, "a call that nobody answers makes the next request invalid");
            let ids: BTreeSet<_> = calls.iter().map(|call| &call.id).collect();
            prop_assert_eq!(ids.len(), sent);
            for call in message.get("tool_calls").and_then(Value::as_array).into_iter().flatten() {
                prop_assert!(is_object(call["function"]["arguments"].as_str().unwrap()));
            }
        }
    }
}
