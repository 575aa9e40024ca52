//! Messages as `contents`: the roles are `user` and `model`, and neighbours of one role are one turn. The answers to the
//! calls of one turn belong together.

use serde_json::{Map, Value, json};

use crate::provider::Values;
use crate::provider::chat::{Assistant, Image, Message, Part, Untranslatable};

/// What stands for a signature that there is none of, by Google's page on thought signatures: the calls are another model's, or
/// came over a wire that has no place for one.
const UNSIGNED: &str = "skip_thought_signature_validator";

/// The turns of `all`, of which the first is `messages[first]`. What results hold of JSON is taken from `values`. With `signs`
/// the model wants its calls back signed.
pub(super) fn contents(
    all: &[Message],
    first: usize,
    mut values: Values,
    signs: bool,
) -> Result<Vec<Value>, Untranslatable> {
    let mut turns: Vec<(&str, Vec<Value>)> = Vec::new();
    for (at, message) in all.iter().enumerate() {
        let (role, mut parts) = match message {
            Message::System(_) => continue,
            Message::User(parts) => ("user", user(parts, first + at)?),
            Message::Assistant(assistant) => ("model", said(assistant, signs)),
            Message::Tool { id, name, text } => {
                ("user", vec![result(id, name, text, &format!("messages[{}].content", first + at), &mut values)?])
            }
        };
        match turns.last_mut() {
            Some((before, known)) if *before == role => known.append(&mut parts),
            _ => turns.push((role, parts)),
        }
    }
    let turns = turns.into_iter().filter(|(_, parts)| !parts.is_empty());
    Ok(turns.map(|(role, parts)| json!({"role": role, "parts": parts})).collect())
}

fn user(parts: &[Part], message: usize) -> Result<Vec<Value>, Untranslatable> {
    let one = |(at, part): (usize, &Part)| match part {
        Part::Text(text) => Ok(json!({"text": text})),
        Part::Image(Image::Data { kind, base64 }) => Ok(json!({"inlineData": {"mimeType": kind, "data": base64}})),
        Part::Image(Image::Url(_)) => Err(Untranslatable::content(
            format!("messages[{message}].content[{at}].image_url"),
            "is an address; this provider takes the image itself, as a data URL",
        )),
    };
    parts.iter().enumerate().map(one).collect()
}

fn said(assistant: &Assistant, signs: bool) -> Vec<Value> {
    let mut parts = Vec::new();
    if !assistant.text.is_empty() {
        parts.push(signed(json!({"text": assistant.text}), assistant.signature.as_deref()));
    }
    for (at, call) in assistant.calls.iter().enumerate() {
        let part = json!({"functionCall": {"id": call.id, "name": call.name, "args": call.arguments}});
        // Of calls that belong together the first has it.
        let missing = (signs && at == 0).then_some(UNSIGNED);
        parts.push(signed(part, call.signature.as_deref().or(missing)));
    }
    parts
}

fn signed(mut part: Value, signature: Option<&str>) -> Value {
    if let Some(signature) = signature {
        part["thoughtSignature"] = signature.into();
    }
    part
}

/// A result is an object to this wire; text that is none becomes the member that its documentation names.
fn result(id: &str, name: &str, text: &str, place: &str, values: &mut Values) -> Result<Value, Untranslatable> {
    // Nothing else is read as an object.
    if text.trim_start().starts_with('{') {
        values.take(text.as_bytes()).map_err(|error| Untranslatable::complex(place, &error))?;
    }
    let response: Map<String, Value> = serde_json::from_str(text).unwrap_or_else(|_| {
        let mut response = Map::new();
        response.insert("output".into(), text.into());
        response
    });
    Ok(json!({"functionResponse": {"id": id, "name": name, "response": response}}))
}
