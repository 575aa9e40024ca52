//! What else a request says about the answer it wants.

use serde_json::{Map, Value};

use super::Untranslatable;

/// How words are chosen, and how many.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Sampling {
    pub(crate) temperature: Option<f64>,
    pub(crate) top_p: Option<f64>,
    /// Of Anthropic's wire; OpenAI's has none.
    pub(crate) top_k: Option<u64>,
    /// `max_completion_tokens`, or `max_tokens`, its older name.
    pub(crate) max_tokens: Option<u64>,
    pub(crate) stop: Vec<String>,
    pub(crate) seed: Option<i64>,
    pub(crate) presence_penalty: Option<f64>,
    pub(crate) frequency_penalty: Option<f64>,
}

/// `response_format`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum Format {
    #[default]
    Text,
    /// Any JSON object.
    Json,
    /// JSON by this schema.
    Schema(Value),
}

/// `reasoning_effort`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    None,
    Minimal,
    Low,
    Medium,
    High,
    Highest,
}

/// Says nothing about the answer: whose request it is, and where it is stored or cached.
const SILENT: [&str; 5] = ["metadata", "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "user"];

/// Takes the sampling parameters out of `body`.
pub(super) fn sampling(body: &mut Map<String, Value>) -> Result<Sampling, Untranslatable> {
    let older = count(body, "max_tokens")?;
    Ok(Sampling {
        temperature: number(body, "temperature")?,
        top_p: number(body, "top_p")?,
        top_k: None,
        max_tokens: count(body, "max_completion_tokens")?.or(older),
        stop: stop(body)?,
        seed: match take(body, "seed") {
            None => None,
            Some(seed) => Some(seed.as_i64().ok_or_else(|| Untranslatable::malformed("seed", "is not an integer"))?),
        },
        presence_penalty: number(body, "presence_penalty")?.filter(|penalty| *penalty != 0.0),
        frequency_penalty: number(body, "frequency_penalty")?.filter(|penalty| *penalty != 0.0),
    })
}

/// Takes `response_format` out of `body`.
pub(super) fn format(body: &mut Map<String, Value>) -> Result<Format, Untranslatable> {
    let Some(format) = take(body, "response_format") else { return Ok(Format::Text) };
    match format.get("type").and_then(Value::as_str) {
        Some("text") => Ok(Format::Text),
        Some("json_object") => Ok(Format::Json),
        Some("json_schema") => match format.pointer("/json_schema/schema") {
            Some(schema) if schema.is_object() => Ok(Format::Schema(schema.clone())),
            _ => Err(Untranslatable::malformed("response_format.json_schema.schema", "is missing")),
        },
        _ => Err(Untranslatable::format("is none of text, json_object and json_schema")),
    }
}

/// Takes `reasoning_effort` out of `body`.
pub(super) fn effort(body: &mut Map<String, Value>) -> Result<Option<Effort>, Untranslatable> {
    let Some(effort) = take(body, "reasoning_effort") else { return Ok(None) };
    Ok(Some(match effort.as_str() {
        Some("none") => Effort::None,
        Some("minimal") => Effort::Minimal,
        Some("low") => Effort::Low,
        Some("medium") => Effort::Medium,
        Some("high") => Effort::High,
        Some("xhigh") => Effort::Highest,
        _ => {
            let why = "is none of none, minimal, low, medium, high and xhigh";
            return Err(Untranslatable::value("reasoning_effort", why));
        }
    }))
}

/// Refuses what is left in `body`, unless it says nothing, or what holds anyway.
pub(super) fn nothing_else(body: &Map<String, Value>) -> Result<(), Untranslatable> {
    let holds_anyway = |key: &str, value: &Value| match key {
        "n" => value.as_u64() == Some(1),
        "logprobs" | "store" => value.as_bool() == Some(false),
        "top_logprobs" => value.as_u64() == Some(0),
        "logit_bias" => value.as_object().is_some_and(Map::is_empty),
        "service_tier" => matches!(value.as_str(), Some("auto" | "default")),
        "verbosity" => value.as_str() == Some("medium"),
        "modalities" => value.as_array().is_some_and(|all| all.iter().all(|one| one.as_str() == Some("text"))),
        _ => SILENT.contains(&key),
    };
    match body.iter().find(|(key, value)| !value.is_null() && !holds_anyway(key, value)) {
        None => Ok(()),
        Some((key, _)) => {
            let key: String = key.chars().take(64).collect();
            Err(Untranslatable::parameter(key, "has no counterpart"))
        }
    }
}

/// The member `key`, unless it is `null`.
pub(super) fn take(body: &mut Map<String, Value>, key: &str) -> Option<Value> {
    body.shift_remove(key).filter(|value| !value.is_null())
}

fn number(body: &mut Map<String, Value>, key: &str) -> Result<Option<f64>, Untranslatable> {
    let Some(value) = take(body, key) else { return Ok(None) };
    value.as_f64().map(Some).ok_or_else(|| Untranslatable::malformed(key, "is not a number"))
}

fn count(body: &mut Map<String, Value>, key: &str) -> Result<Option<u64>, Untranslatable> {
    let Some(value) = take(body, key) else { return Ok(None) };
    let count = value.as_u64().filter(|count| *count > 0);
    count.map(Some).ok_or_else(|| Untranslatable::malformed(key, "is not a whole number above zero"))
}

fn stop(body: &mut Map<String, Value>) -> Result<Vec<String>, Untranslatable> {
    let texts = match take(body, "stop") {
        None => return Ok(Vec::new()),
        Some(Value::String(text)) => Some(vec![text]),
        Some(Value::Array(all)) => all.iter().map(|one| one.as_str().map(str::to_owned)).collect(),
        Some(_) => None,
    };
    texts.ok_or_else(|| Untranslatable::malformed("stop", "is neither a text nor a list of texts"))
}
