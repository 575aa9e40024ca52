//! Messages of content blocks as messages of a chat.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::provider::chat::{Assistant, Call, Image, Message, Part, Untranslatable};

/// Reads `messages`. One message of a user's may become several: the results in it are messages of their own to a chat.
pub(super) fn messages(all: &[Value]) -> Result<Vec<Message>, Untranslatable> {
    let (mut read, mut names) = (Vec::new(), HashMap::new());
    for (at, message) in all.iter().enumerate() {
        let place = format!("messages[{at}]");
        let blocks = blocks(message.get("content"), &format!("{place}.content"))?;
        match message.get("role").and_then(Value::as_str) {
            Some("user") => user(&blocks, &place, &names, &mut read)?,
            Some("assistant") => {
                let assistant = assistant(&blocks, &place)?;
                names.extend(assistant.calls.iter().map(|call| (call.id.clone(), call.name.clone())));
                read.push(Message::Assistant(assistant));
            }
            _ => return Err(Untranslatable::content(format!("{place}.role"), "is neither user nor assistant")),
        }
    }
    Ok(read)
}

/// The text of a content that can hold nothing else.
pub(super) fn text(content: Option<&Value>, place: &str) -> Result<String, Untranslatable> {
    let mut whole = String::new();
    for (at, block) in blocks(content, place)?.iter().enumerate() {
        match (kind(block), word(block, "text")) {
            ("text", Some(text)) => whole.push_str(text),
            (kind, _) => {
                let why = format!("is of the type {kind:?}; only text has a counterpart here");
                return Err(Untranslatable::content(format!("{place}[{at}]"), why));
            }
        }
    }
    Ok(whole)
}

/// A string is one block of text.
fn blocks(content: Option<&Value>, place: &str) -> Result<Vec<Value>, Untranslatable> {
    match content {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![json!({"type": "text", "text": text})]),
        Some(Value::Array(blocks)) => Ok(blocks.clone()),
        Some(_) => Err(Untranslatable::malformed(place, "is neither text nor a list of blocks")),
    }
}

fn kind(block: &Value) -> &str {
    word(block, "type").unwrap_or_default()
}

fn word<'b>(block: &'b Value, key: &str) -> Option<&'b str> {
    block.get(key).and_then(Value::as_str)
}

fn user(
    blocks: &[Value],
    place: &str,
    names: &HashMap<String, String>,
    read: &mut Vec<Message>,
) -> Result<(), Untranslatable> {
    let mut parts = Vec::new();
    for (at, block) in blocks.iter().enumerate() {
        let place = format!("{place}.content[{at}]");
        match kind(block) {
            "text" => parts.push(Part::Text(word(block, "text").unwrap_or_default().to_owned())),
            "image" => parts.push(Part::Image(image(block, &place)?)),
            "tool_result" => {
                let id = word(block, "tool_use_id").unwrap_or_default().to_owned();
                let name = names.get(&id).cloned().ok_or_else(|| {
                    Untranslatable::malformed(format!("{place}.tool_use_id"), "names no call of an earlier message")
                })?;
                let mut text = text(block.get("content"), &format!("{place}.content"))?;
                // A chat's results cannot be marked as failed; this the model sees.
                if block.get("is_error").and_then(Value::as_bool) == Some(true) {
                    text = json!({"error": text}).to_string();
                }
                read.push(Message::Tool { id, name, text });
            }
            kind => {
                let why = format!("is of the type {kind:?}; text, images and results have counterparts");
                return Err(Untranslatable::content(place, why));
            }
        }
    }
    if !parts.is_empty() {
        read.push(Message::User(parts));
    }
    Ok(())
}

fn image(block: &Value, place: &str) -> Result<Image, Untranslatable> {
    let own = |key: &str| block.pointer(&format!("/source/{key}")).and_then(Value::as_str).map(str::to_owned);
    match (own("type").as_deref(), own("media_type"), own("data"), own("url")) {
        (Some("base64"), Some(kind), Some(base64), _) => Ok(Image::Data { kind, base64 }),
        (Some("url"), _, _, Some(url)) => Ok(Image::Url(url)),
        _ => Err(Untranslatable::content(format!("{place}.source"), "is neither base64 nor an address")),
    }
}

fn assistant(blocks: &[Value], place: &str) -> Result<Assistant, Untranslatable> {
    let mut said = Assistant::default();
    for (at, block) in blocks.iter().enumerate() {
        let place = format!("{place}.content[{at}]");
        match kind(block) {
            "text" => said.text.push_str(word(block, "text").unwrap_or_default()),
            "thinking" => said.reasoning.push_str(word(block, "thinking").unwrap_or_default()),
            "tool_use" => {
                let (Some(id), Some(name)) = (word(block, "id"), word(block, "name")) else {
                    return Err(Untranslatable::malformed(place, "is a call without an id or a name"));
                };
                let arguments = block.get("input").and_then(Value::as_object).cloned().unwrap_or_default();
                said.calls.push(Call { id: id.to_owned(), name: name.to_owned(), arguments, signature: None });
            }
            kind => {
                let why = format!("is of the type {kind:?}; text, thinking and calls have counterparts");
                return Err(Untranslatable::content(place, why));
            }
        }
    }
    Ok(said)
}
