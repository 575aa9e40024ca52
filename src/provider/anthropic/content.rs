//! Messages as lists of content blocks. Roles alternate, and the results of one turn's tool calls stand together at the
//! beginning of the next message.

use serde_json::{Value, json};

use crate::provider::chat::{Assistant, Image, Message, Part};

/// The messages, neighbours of one role put together.
pub(super) fn messages(all: &[Message]) -> Vec<Value> {
    let mut turns: Vec<(&str, Vec<Value>)> = Vec::new();
    for message in all {
        let (role, mut blocks) = match message {
            // Kept apart by the caller.
            Message::System(_) => continue,
            Message::User(parts) => ("user", parts.iter().filter_map(part).collect::<Vec<_>>()),
            Message::Assistant(assistant) => ("assistant", said(assistant)),
            Message::Tool { id, text, .. } => ("user", vec![result(id, text)]),
        };
        // An empty message is refused; one that said nothing is none.
        if blocks.is_empty() {
            continue;
        }
        match turns.last_mut() {
            Some((before, known)) if *before == role => known.append(&mut blocks),
            _ => turns.push((role, blocks)),
        }
    }
    turns.into_iter().map(|(role, blocks)| json!({"role": role, "content": blocks})).collect()
}

/// Blank text is refused by the wire and says nothing.
fn part(part: &Part) -> Option<Value> {
    match part {
        Part::Text(text) if text.trim().is_empty() => None,
        Part::Text(text) => Some(json!({"type": "text", "text": text})),
        Part::Image(Image::Data { kind, base64 }) => {
            Some(json!({"type": "image", "source": {"type": "base64", "media_type": kind, "data": base64}}))
        }
        Part::Image(Image::Url(url)) => Some(json!({"type": "image", "source": {"type": "url", "url": url}})),
    }
}

fn result(id: &str, text: &str) -> Value {
    match text.is_empty() {
        true => json!({"type": "tool_result", "tool_use_id": id}),
        false => json!({"type": "tool_result", "tool_use_id": id, "content": text}),
    }
}

/// Thoughts first, with the signatures that the wire wants back; thoughts of others have none and are not sent.
fn said(assistant: &Assistant) -> Vec<Value> {
    let mut blocks: Vec<Value> = assistant.details.iter().filter_map(thought).collect();
    if !assistant.text.trim().is_empty() {
        blocks.push(json!({"type": "text", "text": assistant.text}));
    }
    for call in &assistant.calls {
        blocks.push(json!({"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments}));
    }
    blocks
}

fn thought(detail: &Value) -> Option<Value> {
    let own = |key: &str| detail.get(key).and_then(Value::as_str);
    if own("format") != Some(FORMAT) {
        return None;
    }
    match own("type")? {
        "reasoning.text" => Some(json!({"type": "thinking", "thinking": own("text")?, "signature": own("signature")?})),
        "reasoning.encrypted" => Some(json!({"type": "redacted_thinking", "data": own("data")?})),
        _ => None,
    }
}

/// Tells these `reasoning_details` from those of other providers.
const FORMAT: &str = "anthropic-claude-v1";

/// A thinking block as an entry of `reasoning_details`.
pub(super) fn detail(text: &str, signature: &str) -> Value {
    json!({"type": "reasoning.text", "text": text, "signature": signature, "format": FORMAT})
}

/// A redacted one.
pub(super) fn redacted(data: &str) -> Value {
    json!({"type": "reasoning.encrypted", "data": data, "format": FORMAT})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_blank_is_not_sent() {
        let text = |text: &str| Part::Text(text.to_owned());
        let turns = messages(&[
            Message::User(vec![text("a"), text(" \n"), text("")]),
            Message::Assistant(Assistant { text: "\n".to_owned(), ..Assistant::default() }),
            Message::User(vec![text(" b ")]),
        ]);
        let said = |text: &str| json!({"type": "text", "text": text});
        assert_eq!(turns, [json!({"role": "user", "content": [said("a"), said(" b ")]})]);
    }
}
