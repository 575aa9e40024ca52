//! The messages of a chat.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::{Image, Untranslatable};
use crate::provider::Values;

/// One message.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Message {
    /// `system` and `developer`.
    System(String),
    User(Vec<Part>),
    Assistant(Assistant),
    /// A tool's result.
    Tool {
        id: String,
        /// The tool's name, from the call that this answers.
        name: String,
        text: String,
    },
}

/// A part of a user's message.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Part {
    Text(String),
    Image(Image),
}

/// What the model said before.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Assistant {
    pub(crate) text: String,
    /// `reasoning_content`: what it thought, in words.
    pub(crate) reasoning: String,
    /// `reasoning_details`: what it thought, as the provider wants it back.
    pub(crate) details: Vec<Value>,
    pub(crate) calls: Vec<Call>,
    /// `extra_content.google.thought_signature`.
    pub(crate) signature: Option<String>,
}

/// A tool call that the model made.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Call {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) arguments: Map<String, Value>,
    /// `extra_content.google.thought_signature`.
    pub(crate) signature: Option<String>,
}

/// Reads `messages`. What their texts hold of JSON is taken from `values`.
pub(super) fn messages(all: &[Value], values: &mut Values) -> Result<Vec<Message>, Untranslatable> {
    let mut names = HashMap::new();
    all.iter().enumerate().map(|(at, message)| one(message, &format!("messages[{at}]"), &mut names, values)).collect()
}

fn one(
    message: &Value,
    place: &str,
    names: &mut HashMap<String, String>,
    values: &mut Values,
) -> Result<Message, Untranslatable> {
    let role = message.get("role").and_then(Value::as_str).unwrap_or_default();
    if message.get("name").is_some_and(|name| !name.is_null()) && role != "tool" {
        return Err(Untranslatable::content(
            format!("{place}.name"),
            "tells speakers of one role apart, which has no counterpart",
        ));
    }
    match role {
        "system" | "developer" => Ok(Message::System(text(message, place)?)),
        "user" => Ok(Message::User(parts(message, place)?)),
        "assistant" => {
            let assistant = assistant(message, place, values)?;
            names.extend(assistant.calls.iter().map(|call| (call.id.clone(), call.name.clone())));
            Ok(Message::Assistant(assistant))
        }
        "tool" => {
            let id = message.get("tool_call_id").and_then(Value::as_str).unwrap_or_default().to_owned();
            let name = names.get(&id).cloned();
            let name = name.ok_or_else(|| {
                Untranslatable::malformed(format!("{place}.tool_call_id"), "names no tool call of an earlier message")
            })?;
            Ok(Message::Tool { id, name, text: text(message, place)? })
        }
        _ => {
            Err(Untranslatable::content(format!("{place}.role"), "is none of system, developer, user, assistant, tool"))
        }
    }
}

fn assistant(message: &Value, place: &str, values: &mut Values) -> Result<Assistant, Untranslatable> {
    for key in ["audio", "function_call"] {
        if message.get(key).is_some_and(|value| !value.is_null()) {
            return Err(Untranslatable::content(format!("{place}.{key}"), "has no counterpart"));
        }
    }
    let calls = match message.get("tool_calls") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(calls)) => {
            let one = |(at, value): (usize, &Value)| call(value, &format!("{place}.tool_calls[{at}]"), values);
            calls.iter().enumerate().map(one).collect::<Result<_, _>>()?
        }
        Some(_) => return Err(Untranslatable::malformed(format!("{place}.tool_calls"), "is not a list")),
    };
    let mut said = text(message, place)?;
    let own = |key: &str| message.get(key).and_then(Value::as_str).unwrap_or_default();
    said.push_str(own("refusal"));
    Ok(Assistant {
        text: said,
        reasoning: own("reasoning_content").to_owned(),
        details: message.get("reasoning_details").and_then(Value::as_array).cloned().unwrap_or_default(),
        calls,
        signature: signature(message),
    })
}

fn call(value: &Value, place: &str, values: &mut Values) -> Result<Call, Untranslatable> {
    let own = |pointer: &str| value.pointer(pointer).and_then(Value::as_str);
    let (Some(id), Some(name)) = (own("/id"), own("/function/name")) else {
        return Err(Untranslatable::malformed(place, "is not a function call with an id and a name"));
    };
    let arguments = own("/function/arguments").unwrap_or_default();
    let taken = values.take(arguments.as_bytes());
    taken.map_err(|error| Untranslatable::complex(format!("{place}.function.arguments"), &error))?;
    let arguments = if arguments.trim().is_empty() { Ok(Map::new()) } else { serde_json::from_str(arguments) };
    let arguments = arguments.map_err(|_| {
        Untranslatable::malformed(format!("{place}.function.arguments"), "is not the text of a JSON object")
    })?;
    Ok(Call { id: id.to_owned(), name: name.to_owned(), arguments, signature: signature(value) })
}

fn signature(value: &Value) -> Option<String> {
    value.pointer("/extra_content/google/thought_signature").and_then(Value::as_str).map(str::to_owned)
}

/// Content that can only be text: a string, or a list of text parts.
fn text(message: &Value, place: &str) -> Result<String, Untranslatable> {
    match message.get("content") {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Array(parts)) => {
            let mut whole = String::new();
            for (at, part) in parts.iter().enumerate() {
                let said = part.get("text").or_else(|| part.get("refusal")).and_then(Value::as_str);
                let kind = part.get("type").and_then(Value::as_str).unwrap_or_default();
                match said.filter(|_| matches!(kind, "text" | "refusal")) {
                    Some(said) => whole.push_str(said),
                    None => {
                        let why = format!("is of the type {kind:?}; a message of this role holds text");
                        return Err(Untranslatable::content(format!("{place}.content[{at}]"), why));
                    }
                }
            }
            Ok(whole)
        }
        Some(_) => Err(Untranslatable::malformed(format!("{place}.content"), "is neither text nor a list of parts")),
    }
}

fn parts(message: &Value, place: &str) -> Result<Vec<Part>, Untranslatable> {
    let Some(Value::Array(parts)) = message.get("content") else {
        return Ok(vec![Part::Text(text(message, place)?)]);
    };
    let mut read = Vec::with_capacity(parts.len());
    for (at, part) in parts.iter().enumerate() {
        let place = format!("{place}.content[{at}]");
        match part.get("type").and_then(Value::as_str).unwrap_or_default() {
            "text" => {
                let text = part.get("text").and_then(Value::as_str);
                let text = text.ok_or_else(|| Untranslatable::malformed(&place, "holds no text"))?;
                read.push(Part::Text(text.to_owned()));
            }
            "image_url" => read.push(Part::Image(Image::parse(part, &place)?)),
            kind => {
                let why = format!("is of the type {kind:?}; text and image_url have counterparts");
                return Err(Untranslatable::content(place, why));
            }
        }
    }
    Ok(read)
}
