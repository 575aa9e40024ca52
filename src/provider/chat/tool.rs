//! The tools that a model is offered.

use serde_json::{Map, Value, json};

use super::Untranslatable;

/// A function.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tool {
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    /// A JSON Schema of an object.
    pub(crate) parameters: Value,
    pub(crate) strict: bool,
}

/// `tool_choice`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Choice {
    #[default]
    Auto,
    None,
    Required,
    /// This one, and no other.
    Named(String),
}

/// Reads `tools`.
pub(super) fn tools(value: &Value) -> Result<Vec<Tool>, Untranslatable> {
    let all = value.as_array().ok_or_else(|| Untranslatable::malformed("tools", "is not a list"))?;
    all.iter().enumerate().map(|(at, tool)| one(tool, &format!("tools[{at}]"))).collect()
}

fn one(tool: &Value, place: &str) -> Result<Tool, Untranslatable> {
    let kind = tool.get("type").and_then(Value::as_str).unwrap_or("function");
    if kind != "function" {
        let why = format!("is of the type {kind:?}; functions have a counterpart");
        return Err(Untranslatable::content(place, why));
    }
    let name = tool.pointer("/function/name").and_then(Value::as_str);
    let name = name.ok_or_else(|| Untranslatable::malformed(format!("{place}.function.name"), "is missing"))?;
    let empty = || json!({"type": "object", "properties": Map::new()});
    let parameters = tool.pointer("/function/parameters").filter(|p| !p.is_null()).cloned().unwrap_or_else(empty);
    if !parameters.is_object() {
        return Err(Untranslatable::malformed(format!("{place}.function.parameters"), "is not a JSON Schema"));
    }
    Ok(Tool {
        name: name.to_owned(),
        description: tool.pointer("/function/description").and_then(Value::as_str).map(str::to_owned),
        parameters,
        strict: tool.pointer("/function/strict").and_then(Value::as_bool).unwrap_or(false),
    })
}

/// Reads `tool_choice`.
pub(super) fn choice(value: &Value) -> Result<Choice, Untranslatable> {
    match value.as_str() {
        Some("auto") => return Ok(Choice::Auto),
        Some("none") => return Ok(Choice::None),
        Some("required") => return Ok(Choice::Required),
        _ => {}
    }
    let function = value.get("type").and_then(Value::as_str) == Some("function");
    match value.pointer("/function/name").and_then(Value::as_str).filter(|_| function) {
        Some(name) => Ok(Choice::Named(name.to_owned())),
        None => Err(Untranslatable::tool_choice("is none of \"auto\", \"none\", \"required\" and one function")),
    }
}
