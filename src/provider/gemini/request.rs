//! A chat request in Gemini's words.

use serde_json::{Map, Value, json};

use super::content::contents;
use crate::provider::chat::{Choice, Effort, Format, Request, Tool, Untranslatable};

/// How many stop sequences the wire takes.
const MOST_STOPS: usize = 5;

/// The body of `POST …/models/MODEL:generateContent`. The model stands in the path.
///
/// # Errors
/// What the wire cannot say.
pub(crate) fn request(asked: &Request, model: &str, max_tokens: Option<u64>) -> Result<Value, Untranslatable> {
    let (system, rest) = asked.system()?;
    let mut body = Map::new();
    if !system.is_empty() {
        let parts: Vec<Value> = system.iter().map(|text| json!({"text": text})).collect();
        body.insert("systemInstruction".into(), json!({"parts": parts}));
    }
    body.insert("contents".into(), contents(rest, system.len(), asked.values, wants_signatures(model))?.into());
    tools(asked, &mut body)?;
    if asked.sampling.stop.len() > MOST_STOPS {
        return Err(Untranslatable::value(
            "stop",
            format!("holds more than {MOST_STOPS}, the most that this provider takes"),
        ));
    }
    let config = config(asked, max_tokens);
    if !config.is_empty() {
        body.insert("generationConfig".into(), config.into());
    }
    Ok(Value::Object(body))
}

/// Whether a model answers nothing to calls of its own that come back without the signature that it gave them: from the third
/// generation on.
fn wants_signatures(model: &str) -> bool {
    let generation = model.strip_prefix("gemini-").and_then(|rest| rest.split(['.', '-']).next());
    generation.and_then(|number| number.parse::<u32>().ok()).is_some_and(|number| number >= 3)
}

fn config(asked: &Request, max_tokens: Option<u64>) -> Map<String, Value> {
    let sampling = &asked.sampling;
    let mut config = Map::new();
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            config.insert(key.to_owned(), value);
        }
    };
    set("maxOutputTokens", sampling.max_tokens.or(max_tokens).map(Value::from));
    set("temperature", sampling.temperature.map(Value::from));
    set("topP", sampling.top_p.map(Value::from));
    set("topK", sampling.top_k.map(Value::from));
    set("seed", sampling.seed.map(Value::from));
    set("presencePenalty", sampling.presence_penalty.map(Value::from));
    set("frequencyPenalty", sampling.frequency_penalty.map(Value::from));
    set("stopSequences", (!sampling.stop.is_empty()).then(|| sampling.stop.clone().into()));
    match &asked.format {
        Format::Text => {}
        Format::Json => set("responseMimeType", Some("application/json".into())),
        Format::Schema(schema) => {
            set("responseMimeType", Some("application/json".into()));
            set("responseJsonSchema", Some(schema.clone()));
        }
    }
    set("thinkingConfig", asked.effort.map(thinking));
    config
}

/// Tokens for thinking; the thoughts themselves come back only where they are asked for.
fn thinking(effort: Effort) -> Value {
    let budget = match effort {
        Effort::None => return json!({"thinkingBudget": 0}),
        Effort::Minimal => 512,
        Effort::Low => 1024,
        Effort::Medium => 8192,
        Effort::High | Effort::Highest => 24_576,
    };
    json!({"includeThoughts": true, "thinkingBudget": budget})
}

fn tools(asked: &Request, body: &mut Map<String, Value>) -> Result<(), Untranslatable> {
    if asked.tools.is_empty() {
        return Ok(());
    }
    if asked.one_call {
        let why = "is false; this provider has no way to be kept from parallel calls";
        return Err(Untranslatable::parameter("parallel_tool_calls", why));
    }
    let one = |tool: &Tool| {
        let mut one = Map::new();
        one.insert("name".into(), tool.name.as_str().into());
        one.insert("description".into(), tool.description.as_deref().unwrap_or_default().into());
        one.insert("parametersJsonSchema".into(), tool.parameters.clone());
        Value::Object(one)
    };
    let declarations: Vec<Value> = asked.tools.iter().map(one).collect();
    body.insert("tools".into(), json!([{"functionDeclarations": declarations}]));
    let mode = match &asked.choice {
        // Holds calls to their schemas, and leaves the model free to answer in words.
        Choice::Auto if asked.tools.iter().any(|tool| tool.strict) => json!({"mode": "VALIDATED"}),
        Choice::Auto => return Ok(()),
        Choice::None => json!({"mode": "NONE"}),
        Choice::Required => json!({"mode": "ANY"}),
        Choice::Named(name) => json!({"mode": "ANY", "allowedFunctionNames": [name]}),
    };
    body.insert("toolConfig".into(), json!({"functionCallingConfig": mode}));
    Ok(())
}
