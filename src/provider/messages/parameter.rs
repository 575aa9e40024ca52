//! What else a request on Anthropic's wire says.

use serde_json::{Map, Value};

use crate::provider::chat::{Choice, Effort, Format, Tool, Untranslatable};

/// Reads `tools`: functions only.
pub(super) fn tools(value: Option<Value>) -> Result<Vec<Tool>, Untranslatable> {
    let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(Vec::new()) };
    let all = value.as_array().ok_or_else(|| Untranslatable::malformed("tools", "is not a list"))?;
    let one = |(at, tool): (usize, &Value)| {
        let word = |key: &str| tool.get(key).and_then(Value::as_str);
        if word("type").is_some_and(|kind| kind != "custom") {
            return Err(Untranslatable::content(format!("tools[{at}]"), "is a tool of the provider's own"));
        }
        let name = word("name").ok_or_else(|| Untranslatable::malformed(format!("tools[{at}].name"), "is missing"))?;
        let parameters = tool.get("input_schema").filter(|schema| schema.is_object()).cloned();
        Ok(Tool {
            name: name.to_owned(),
            description: word("description").map(str::to_owned),
            parameters: parameters
                .ok_or_else(|| Untranslatable::malformed(format!("tools[{at}].input_schema"), "is missing"))?,
            strict: tool.get("strict").and_then(Value::as_bool).unwrap_or(false),
        })
    };
    all.iter().enumerate().map(one).collect()
}

/// Reads `tool_choice`, and whether more than one call at once is forbidden.
pub(super) fn choice(value: Option<Value>) -> Result<(Choice, bool), Untranslatable> {
    let Some(value) = value.filter(|value| !value.is_null()) else { return Ok((Choice::Auto, false)) };
    let one = value.get("disable_parallel_tool_use").and_then(Value::as_bool).unwrap_or(false);
    let name = value.get("name").and_then(Value::as_str);
    let choice = match (value.get("type").and_then(Value::as_str), name) {
        (Some("auto"), _) => Choice::Auto,
        (Some("none"), _) => Choice::None,
        (Some("any"), _) => Choice::Required,
        (Some("tool"), Some(name)) => Choice::Named(name.to_owned()),
        _ => return Err(Untranslatable::tool_choice("is none of auto, none, any and one tool")),
    };
    Ok((choice, one))
}

/// Reads `thinking`: the effort that comes nearest to what it sets aside.
pub(super) fn effort(value: Option<Value>) -> Result<Option<Effort>, Untranslatable> {
    let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(None) };
    let budget = value.get("budget_tokens").and_then(Value::as_u64);
    match (value.get("type").and_then(Value::as_str), budget) {
        (Some("disabled"), _) => Ok(Some(Effort::None)),
        (Some("adaptive"), _) => Ok(Some(Effort::Medium)),
        (Some("enabled"), Some(budget)) => Ok(Some(match budget {
            0..=1024 => Effort::Minimal,
            1025..=4096 => Effort::Low,
            4097..=8192 => Effort::Medium,
            8193..=16_384 => Effort::High,
            _ => Effort::Highest,
        })),
        _ => Err(Untranslatable::value("thinking", "is none of enabled, adaptive and disabled")),
    }
}

/// Reads `output_config`: the format of the answer, and the effort.
pub(super) fn output(value: Option<Value>) -> Result<(Format, Option<Effort>), Untranslatable> {
    let Some(value) = value.filter(|value| !value.is_null()) else { return Ok((Format::Text, None)) };
    let known = value.as_object().is_some_and(|all| all.keys().all(|key| matches!(key.as_str(), "format" | "effort")));
    let refused = || Untranslatable::parameter("output_config", "holds more than a format with a schema and an effort");
    let format = match (value.get("format"), value.pointer("/format/schema")) {
        (None | Some(Value::Null), _) => Format::Text,
        (_, Some(schema)) if schema.is_object() => Format::Schema(schema.clone()),
        _ => return Err(refused()),
    };
    let effort = match value.get("effort") {
        None | Some(Value::Null) => None,
        Some(effort) => Some(match effort.as_str() {
            Some("low") => Effort::Low,
            Some("medium") => Effort::Medium,
            Some("high") => Effort::High,
            Some("xhigh" | "max") => Effort::Highest,
            _ => {
                return Err(Untranslatable::value(
                    "output_config.effort",
                    "is none of low, medium, high, xhigh and max",
                ));
            }
        }),
    };
    if known { Ok((format, effort)) } else { Err(refused()) }
}

/// Refuses what is left, unless it says nothing about the answer.
pub(super) fn nothing_else(body: &Map<String, Value>) -> Result<(), Untranslatable> {
    let silent = |key: &str, value: &Value| match key {
        "metadata" | "cache_control" => true,
        "service_tier" => matches!(value.as_str(), Some("auto" | "standard_only")),
        _ => value.is_null(),
    };
    match body.iter().find(|(key, value)| !silent(key, value)) {
        None => Ok(()),
        Some((key, _)) => {
            Err(Untranslatable::parameter(key.chars().take(64).collect::<String>(), "has no counterpart"))
        }
    }
}
