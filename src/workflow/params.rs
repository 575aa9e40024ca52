//! `params`: what a person may set when a run starts.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Number;

use super::check::Check;
use super::fields::{Fields, free};
use super::text::{alternatives, shown};
use super::tree::{Value, Yaml};

/// The longest text of a parameter, in bytes.
pub(super) const TEXT_LIMIT: usize = 16 * 1024;
/// The most parameters of a workflow.
const COUNT: usize = 100;

/// A declared parameter.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Param {
    #[serde(rename = "type")]
    pub kind: ParamType,
    /// Without one, a run cannot start unless the parameter is given.
    pub default: Option<ParamValue>,
    pub description: Option<String>,
    /// The only values that it may have; empty means any of its type.
    #[serde(rename = "enum")]
    pub choices: Vec<ParamValue>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ParamType {
    String,
    Integer,
    Number,
    Boolean,
}

/// A value of one of the four types, serialised as the JSON that it looks like.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum ParamValue {
    String(String),
    Integer(i64),
    Number(f64),
    Boolean(bool),
}

impl std::fmt::Display for ParamValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::String(text) => f.write_str(text),
            Self::Integer(integer) => integer.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Boolean(boolean) => boolean.fmt(f),
        }
    }
}

impl ParamType {
    const WORDS: [(&str, Self); 4] =
        [("string", Self::String), ("integer", Self::Integer), ("number", Self::Number), ("boolean", Self::Boolean)];

    /// The type with its article, as a message says it.
    #[must_use]
    pub fn noun(self) -> &'static str {
        match self {
            Self::String => "a text",
            Self::Integer => "an integer",
            Self::Number => "a number",
            Self::Boolean => "`true` or `false`",
        }
    }

    /// Reads a value as a person gives it on a command line. `None` if it is not of this type.
    #[must_use]
    pub fn parse(self, text: &str) -> Option<ParamValue> {
        match self {
            Self::String => (text.len() <= TEXT_LIMIT).then(|| ParamValue::String(text.to_owned())),
            Self::Integer => text.parse().ok().map(ParamValue::Integer),
            Self::Number => text.parse().ok().filter(|number: &f64| number.is_finite()).map(ParamValue::Number),
            Self::Boolean => text.parse().ok().map(ParamValue::Boolean),
        }
    }

    fn accepts(self, value: &Value) -> Option<ParamValue> {
        match (self, value) {
            (Self::String, Value::Text(text)) => self.parse(text),
            (Self::Integer, Value::Number(number)) => number.as_i64().map(ParamValue::Integer),
            (Self::Number, Value::Number(number)) => Number::as_f64(number).map(ParamValue::Number),
            (Self::Boolean, Value::Boolean(boolean)) => Some(ParamValue::Boolean(*boolean)),
            _ => None,
        }
    }
}

/// Reads `params`.
pub(super) fn read(check: &mut Check, yaml: &Yaml) -> BTreeMap<String, Param> {
    let mut params = BTreeMap::new();
    for entry in free(check, yaml, "`params`") {
        let name = &entry.key;
        let what = format!("param {}", shown(name));
        if params.len() == COUNT {
            check.problem(entry.spot, format!("there are more than {COUNT} params"));
            break;
        }
        if !is_name(name) {
            check.problem_with(
                entry.spot,
                format!("{what} has no proper name"),
                "a name has ASCII letters, digits and `_`, starts with no digit, and is at most 64 long",
            );
        }
        if let Some(param) = Param::read(check, &entry.value, &what) {
            params.insert(name.clone(), param);
        }
    }
    params
}

/// What can stand behind `params.` in a prompt.
fn is_name(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

impl Param {
    fn read(check: &mut Check, yaml: &Yaml, what: &str) -> Option<Self> {
        let fields = Fields::read(check, yaml, what, &["type", "default", "description", "enum"])?;
        let description = fields.optional(check, "description", Check::line);
        let kind = fields
            .required(check, "type")
            .and_then(|yaml| check.word(yaml, &fields.name("type"), &ParamType::WORDS))?;
        let one = |check: &mut Check, yaml: &Yaml, what: &str| {
            let value = kind.accepts(&yaml.value);
            if value.is_none() {
                let (wanted, found) = (kind.noun(), yaml.value.noun());
                check.problem(yaml.spot, format!("{what} must be {wanted}, and is {found}"));
            }
            value
        };
        let choices = fields.optional(check, "enum", |check, yaml, what| {
            let items = check.list(yaml, what)?;
            if items.is_empty() {
                check.problem(yaml.spot, format!("{what} is empty"));
            }
            let item_name = format!("a choice in {what}");
            Some(items.iter().take(1000).filter_map(|item| one(check, item, &item_name)).collect::<Vec<_>>())
        });
        let choices = choices.unwrap_or_default();
        let default = fields.optional(check, "default", one);
        if let (Some(default), Some(yaml)) = (&default, fields.get("default"))
            && !choices.is_empty()
            && !choices.contains(default)
        {
            let names: Vec<String> = choices.iter().take(10).map(ToString::to_string).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            check.problem(yaml.spot, format!("{} must be {}", fields.name("default"), alternatives(&names)));
        }
        Some(Self { kind, default, description, choices })
    }
}
