//! A chat request in Ollama's words.

use serde_json::{Map, Value, json};

use crate::provider::chat::{Assistant, Choice, Effort, Format, Image, Message, Part, Request, Untranslatable};

/// The body of `POST /api/chat` for `model`.
///
/// # Errors
/// What the wire cannot say.
pub(crate) fn request(asked: &Request, model: &str, max_tokens: Option<u64>) -> Result<Value, Untranslatable> {
    let mut body = Map::new();
    body.insert("model".into(), model.into());
    let messages: Result<Vec<Value>, _> = asked.messages.iter().enumerate().map(|(at, one)| message(one, at)).collect();
    body.insert("messages".into(), messages?.into());
    tools(asked, &mut body)?;
    match &asked.format {
        Format::Text => {}
        Format::Json => drop(body.insert("format".into(), "json".into())),
        Format::Schema(schema) => drop(body.insert("format".into(), schema.clone())),
    }
    if let Some(effort) = asked.effort {
        // Other models are told yes or no, and levels are an error.
        let levels = model.rsplit('/').next().is_some_and(|name| name.starts_with("gpt-oss"));
        let think = match effort {
            Effort::None => Value::Bool(false),
            _ if !levels => Value::Bool(true),
            Effort::Minimal | Effort::Low => "low".into(),
            Effort::Medium => "medium".into(),
            Effort::High | Effort::Highest => "high".into(),
        };
        body.insert("think".into(), think);
    }
    let options = options(asked, max_tokens);
    if !options.is_empty() {
        body.insert("options".into(), options.into());
    }
    // To this wire, streaming is the default.
    body.insert("stream".into(), asked.stream.into());
    Ok(Value::Object(body))
}

fn message(message: &Message, at: usize) -> Result<Value, Untranslatable> {
    match message {
        Message::System(text) => Ok(json!({"role": "system", "content": text})),
        Message::User(parts) => user(parts, at),
        Message::Assistant(assistant) => Ok(said(assistant)),
        Message::Tool { id, name, text } => {
            Ok(json!({"role": "tool", "content": text, "tool_name": name, "tool_call_id": id}))
        }
    }
}

fn user(parts: &[Part], message: usize) -> Result<Value, Untranslatable> {
    let (mut texts, mut images) = (Vec::new(), Vec::new());
    for (at, part) in parts.iter().enumerate() {
        match part {
            Part::Text(text) => texts.push(text.as_str()),
            Part::Image(Image::Data { base64, .. }) => images.push(base64.as_str()),
            Part::Image(Image::Url(_)) => {
                return Err(Untranslatable::content(
                    format!("messages[{message}].content[{at}].image_url"),
                    "is an address; this provider takes the image itself, as a data URL",
                ));
            }
        }
    }
    let mut message = json!({"role": "user", "content": texts.join("\n")});
    if !images.is_empty() {
        message["images"] = images.into();
    }
    Ok(message)
}

fn said(assistant: &Assistant) -> Value {
    let mut message = json!({"role": "assistant", "content": assistant.text});
    if !assistant.reasoning.is_empty() {
        message["thinking"] = assistant.reasoning.as_str().into();
    }
    if !assistant.calls.is_empty() {
        let one = |(index, call): (usize, &crate::provider::chat::Call)| json!({"id": call.id, "function": {"index": index, "name": call.name, "arguments": call.arguments}});
        message["tool_calls"] = assistant.calls.iter().enumerate().map(one).collect();
    }
    message
}

fn tools(asked: &Request, body: &mut Map<String, Value>) -> Result<(), Untranslatable> {
    if asked.tools.is_empty() {
        return Ok(());
    }
    match &asked.choice {
        Choice::Auto => {}
        // What is not offered is not called.
        Choice::None => return Ok(()),
        Choice::Required | Choice::Named(_) => {
            return Err(Untranslatable::tool_choice("forces a call; this provider leaves the choice to the model"));
        }
    }
    if asked.one_call {
        let why = "is false; this provider has no way to be kept from parallel calls";
        return Err(Untranslatable::parameter("parallel_tool_calls", why));
    }
    let mut all = Vec::with_capacity(asked.tools.len());
    for (at, tool) in asked.tools.iter().enumerate() {
        if tool.strict {
            let place = format!("tools[{at}].function.strict");
            return Err(Untranslatable::parameter(place, "is true; this provider holds no call to its schema"));
        }
        let mut function = Map::new();
        function.insert("name".into(), tool.name.as_str().into());
        if let Some(description) = &tool.description {
            function.insert("description".into(), description.as_str().into());
        }
        function.insert("parameters".into(), tool.parameters.clone());
        all.push(json!({"type": "function", "function": function}));
    }
    body.insert("tools".into(), all.into());
    Ok(())
}

fn options(asked: &Request, max_tokens: Option<u64>) -> Map<String, Value> {
    let sampling = &asked.sampling;
    let mut options = Map::new();
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            options.insert(key.to_owned(), value);
        }
    };
    set("num_predict", sampling.max_tokens.or(max_tokens).map(Value::from));
    set("temperature", sampling.temperature.map(Value::from));
    set("top_p", sampling.top_p.map(Value::from));
    set("top_k", sampling.top_k.map(Value::from));
    set("seed", sampling.seed.map(Value::from));
    set("presence_penalty", sampling.presence_penalty.map(Value::from));
    set("frequency_penalty", sampling.frequency_penalty.map(Value::from));
    set("stop", (!sampling.stop.is_empty()).then(|| sampling.stop.clone().into()));
    options
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn levels_of_thinking_are_for_the_models_that_have_them() {
        for (model, effort, think) in [
            ("gpt-oss:20b", "low", json!("low")),
            ("someone/gpt-oss", "xhigh", json!("high")),
            ("qwen3:8b", "low", json!(true)),
            ("qwen3:8b", "high", json!(true)),
            ("qwen3:8b", "none", json!(false)),
        ] {
            let body =
                json!({"model": "m", "messages": [{"role": "user", "content": "x"}], "reasoning_effort": effort});
            let asked = Request::parse(body.to_string().as_bytes()).unwrap();
            assert_eq!(request(&asked, model, None).unwrap()["think"], think, "{model} {effort}");
        }
    }
}
