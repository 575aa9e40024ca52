//! What is the same in every schema: no unknown keys, whole numbers with their bounds, a fixed order.

use serde_json::{Map, Value, json};

/// Closes each object that says which keys it has, and replaces the names of Rust's integers by their bounds.
pub(super) fn close(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            bound(object);
            let lists_keys = object.get("type") == Some(&json!("object"));
            if lists_keys && !object.contains_key("additionalProperties") && !object.contains_key("$open") {
                object.insert("additionalProperties".to_owned(), json!(false));
            }
            object.remove("$open");
            // What stands in these is data, or asks a question.
            let plain = ["const", "enum", "default", "required", "examples", "if", "not"];
            object.iter_mut().filter(|(key, _)| !plain.contains(&key.as_str())).for_each(|(key, value)| match value {
                Value::Object(named) if matches!(key.as_str(), "properties" | "$defs" | "patternProperties") => {
                    named.values_mut().for_each(close);
                }
                value => close(value),
            });
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

fn bound(object: &mut Map<String, Value>) {
    let most = match object.get("format").and_then(Value::as_str) {
        Some("uint8") => Some(u64::from(u8::MAX)),
        Some("uint16") => Some(u64::from(u16::MAX)),
        Some("uint32") => Some(u64::from(u32::MAX)),
        Some("uint" | "uint64") => Some(u64::MAX),
        Some("int64" | "double") => None,
        _ => return,
    };
    object.shift_remove("format");
    if let Some(most) = most {
        object.insert("maximum".to_owned(), json!(most));
    }
}

/// Makes every key of an object required: for files that say `null` where there is nothing.
pub(super) fn all_required(schema: &mut schemars::Schema) {
    let names: Vec<Value> = schema
        .get("properties")
        .and_then(Value::as_object)
        .map(|properties| properties.keys().map(|key| json!(key)).collect())
        .unwrap_or_default();
    schema.insert("required".to_owned(), Value::Array(names));
}

/// `$schema`, `$id` and `title` first and `$defs` last, sorted: a change shows as itself in a diff.
pub(super) fn order(schema: &mut Value) {
    let Value::Object(object) = schema else { return };
    let defs = object.shift_remove("$defs");
    let first =
        [("$schema", json!("https://json-schema.org/draft/2020-12/schema")), ("$id", json!("")), ("title", json!(""))];
    let mut ordered: Map<String, Value> = first.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    object.iter().filter(|(key, _)| *key != "$schema" && *key != "title").for_each(|(key, value)| {
        ordered.insert(key.clone(), value.clone());
    });
    if let Some(Value::Object(defs)) = defs {
        let mut named: Vec<_> = defs.into_iter().collect();
        named.sort_by(|a, b| a.0.cmp(&b.0));
        ordered.insert("$defs".to_owned(), Value::Object(named.into_iter().collect()));
    }
    *object = ordered;
}
