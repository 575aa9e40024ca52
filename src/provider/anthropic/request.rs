//! A chat request in Anthropic's words.

use serde_json::{Map, Value, json};

use super::content::messages;
use crate::provider::chat::{Choice, Effort, Format, Message, Part, Request, Untranslatable};
use crate::provider::{Target, Thinking};

/// How long an answer may get where an agent does not say; the wire wants a number.
const MAX_TOKENS: u64 = 8192;
/// The least that may be set aside for thinking.
const LEAST_BUDGET: u64 = 1024;

/// The body of `POST /v1/messages` for `model`. `max_tokens` is the configured bound of an answer.
///
/// # Errors
/// What the wire cannot say.
pub(crate) fn request(asked: &Request, model: &str, target: &Target) -> Result<Value, Untranslatable> {
    let (system, rest) = asked.system()?;
    let mut body = Map::new();
    body.insert("model".into(), model.into());
    let system: Vec<Value> = system
        .into_iter()
        .filter(|text| !text.trim().is_empty())
        .map(|text| json!({"type": "text", "text": text}))
        .collect();
    if !system.is_empty() {
        body.insert("system".into(), system.into());
    }
    let empty = |message: &Message| matches!(message, Message::User(parts) if !parts.iter().any(says));
    if let Some(at) = rest.iter().position(empty) {
        let place = format!("messages[{}].content", system_count(asked, rest) + at);
        return Err(Untranslatable::content(place, "is empty, which this provider does not take"));
    }
    body.insert("messages".into(), messages(rest).into());
    sampling(asked, target, &mut body)?;
    tools(asked, &mut body);
    match &asked.format {
        Format::Text => {}
        Format::Schema(schema) => {
            output(&mut body, "format", json!({"type": "json_schema", "schema": schema}));
        }
        Format::Json => {
            return Err(Untranslatable::format("is `json_object`; this provider takes a schema (`json_schema`)"));
        }
    }
    if asked.stream {
        body.insert("stream".into(), true.into());
    }
    Ok(Value::Object(body))
}

/// How many system messages stand before the rest.
fn system_count(asked: &Request, rest: &[Message]) -> usize {
    asked.messages.len() - rest.len()
}

fn says(part: &Part) -> bool {
    !matches!(part, Part::Text(text) if text.trim().is_empty())
}

/// Puts one thing more into `output_config`.
fn output(body: &mut Map<String, Value>, key: &str, value: Value) {
    if let Some(config) = body.entry("output_config").or_insert_with(|| json!({})).as_object_mut() {
        config.insert(key.to_owned(), value);
    }
}

fn sampling(asked: &Request, target: &Target, body: &mut Map<String, Value>) -> Result<(), Untranslatable> {
    let sampling = &asked.sampling;
    for (name, given) in [
        ("seed", sampling.seed.is_some()),
        ("presence_penalty", sampling.presence_penalty.is_some()),
        ("frequency_penalty", sampling.frequency_penalty.is_some()),
    ] {
        if given {
            return Err(Untranslatable::parameter(name, "has no counterpart at this provider"));
        }
    }
    let most = sampling.max_tokens;
    let budget = asked.effort.and_then(budget);
    let all = most.or(target.max_tokens).unwrap_or_else(|| MAX_TOKENS + budget.unwrap_or(0));
    body.insert("max_tokens".into(), all.into());
    if let (Some(effort), Thinking::Adaptive) = (asked.effort.filter(|_| budget.is_some()), target.thinking) {
        body.insert("thinking".into(), json!({"type": "adaptive"}));
        output(body, "effort", word(effort).into());
    } else if let Some(budget) = budget {
        // Thinking is a part of what the answer may take.
        let budget = budget.min(all.saturating_sub(1));
        if budget < LEAST_BUDGET {
            let why = format!("needs max_completion_tokens above {LEAST_BUDGET} at this provider");
            return Err(Untranslatable::value("reasoning_effort", why));
        }
        body.insert("thinking".into(), json!({"type": "enabled", "budget_tokens": budget}));
    }
    if budget.is_some() {
        let fixed = |temperature: f64| (temperature - 1.0).abs() < f64::EPSILON;
        if sampling.temperature.is_some_and(|temperature| !fixed(temperature)) {
            return Err(Untranslatable::value("temperature", "cannot be chosen beside reasoning at this provider"));
        }
        if !asked.tools.is_empty() && matches!(asked.choice, Choice::Required | Choice::Named(_)) {
            return Err(Untranslatable::tool_choice(
                "forces a call beside reasoning, which this provider does not take",
            ));
        }
    }
    if let Some(temperature) = sampling.temperature {
        if !(0.0..=1.0).contains(&temperature) {
            return Err(Untranslatable::value("temperature", "is above 1, the most that this provider takes"));
        }
        body.insert("temperature".into(), temperature.into());
    }
    if let Some(top_p) = sampling.top_p {
        body.insert("top_p".into(), top_p.into());
    }
    if !sampling.stop.is_empty() {
        body.insert("stop_sequences".into(), sampling.stop.clone().into());
    }
    Ok(())
}

/// The effort, for models that set nothing aside.
const fn word(effort: Effort) -> &'static str {
    match effort {
        Effort::None | Effort::Minimal | Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::High => "high",
        Effort::Highest => "max",
    }
}

/// The tokens set aside for thinking; none is no thinking.
const fn budget(effort: Effort) -> Option<u64> {
    match effort {
        Effort::None => None,
        Effort::Minimal => Some(LEAST_BUDGET),
        Effort::Low => Some(4096),
        Effort::Medium => Some(8192),
        Effort::High => Some(16_384),
        Effort::Highest => Some(32_768),
    }
}

fn tools(asked: &Request, body: &mut Map<String, Value>) {
    if asked.tools.is_empty() {
        return;
    }
    let one = |tool: &crate::provider::chat::Tool| {
        let mut one = Map::new();
        one.insert("name".into(), tool.name.as_str().into());
        if let Some(description) = &tool.description {
            one.insert("description".into(), description.as_str().into());
        }
        one.insert("input_schema".into(), tool.parameters.clone());
        if tool.strict {
            one.insert("strict".into(), true.into());
        }
        Value::Object(one)
    };
    body.insert("tools".into(), asked.tools.iter().map(one).collect());
    let mut choice = match &asked.choice {
        Choice::Auto => json!({"type": "auto"}),
        Choice::None => json!({"type": "none"}),
        Choice::Required => json!({"type": "any"}),
        Choice::Named(name) => json!({"type": "tool", "name": name}),
    };
    if asked.one_call && asked.choice != Choice::None {
        choice["disable_parallel_tool_use"] = true.into();
    }
    if asked.choice != Choice::Auto || asked.one_call {
        body.insert("tool_choice".into(), choice);
    }
}
