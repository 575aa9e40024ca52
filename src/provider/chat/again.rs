//! A chat request as OpenAI's wire has it: what was read from another wire, said on this one.

use serde_json::{Map, Value, json};

use crate::provider::MaxTokensField;

use super::{Assistant, Choice, Effort, Format, Image, Message, Part, Request, Tool, called};

/// The body of `POST /chat/completions` for `model`, in which `bound` is the most tokens of its answer.
pub(crate) fn again(asked: &Request, model: &str, bound: MaxTokensField) -> Value {
    let mut body = Map::new();
    body.insert("model".into(), model.into());
    body.insert("messages".into(), asked.messages.iter().map(message).collect());
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(key.to_owned(), value);
        }
    };
    if !asked.tools.is_empty() {
        set("tools", Some(asked.tools.iter().map(tool).collect()));
        set("tool_choice", choice(&asked.choice));
        set("parallel_tool_calls", asked.one_call.then(|| false.into()));
    }
    let sampling = &asked.sampling;
    set(bound.as_str(), sampling.max_tokens.map(Value::from));
    set("temperature", sampling.temperature.map(Value::from));
    set("top_p", sampling.top_p.map(Value::from));
    set("stop", (!sampling.stop.is_empty()).then(|| sampling.stop.clone().into()));
    set("reasoning_effort", asked.effort.map(|effort| word(effort).into()));
    set(
        "response_format",
        match &asked.format {
            Format::Text => None,
            Format::Json => Some(json!({"type": "json_object"})),
            Format::Schema(schema) => Some(
                json!({"type": "json_schema", "json_schema": {"name": "answer", "strict": true, "schema": schema}}),
            ),
        },
    );
    if asked.stream {
        set("stream", Some(true.into()));
        set("stream_options", Some(json!({"include_usage": true})));
    }
    Value::Object(body)
}

fn message(message: &Message) -> Value {
    match message {
        Message::System(text) => json!({"role": "system", "content": text}),
        Message::User(parts) => match parts.as_slice() {
            [Part::Text(text)] => json!({"role": "user", "content": text}),
            parts => json!({"role": "user", "content": parts.iter().map(part).collect::<Vec<_>>()}),
        },
        Message::Assistant(assistant) => said(assistant),
        Message::Tool { id, text, .. } => json!({"role": "tool", "tool_call_id": id, "content": text}),
    }
}

fn part(part: &Part) -> Value {
    let url = match part {
        Part::Text(text) => return json!({"type": "text", "text": text}),
        Part::Image(Image::Data { kind, base64 }) => format!("data:{kind};base64,{base64}"),
        Part::Image(Image::Url(url)) => url.clone(),
    };
    json!({"type": "image_url", "image_url": {"url": url}})
}

/// Thoughts are left out: OpenAI's own server refuses messages with members that it does not know.
fn said(assistant: &Assistant) -> Value {
    let content = if assistant.text.is_empty() { Value::Null } else { assistant.text.as_str().into() };
    let mut message = json!({"role": "assistant", "content": content});
    if !assistant.calls.is_empty() {
        let calls = assistant.calls.iter();
        let one = |call: &super::Call| {
            let arguments = serde_json::to_string(&call.arguments).unwrap_or_default();
            called(None, &call.id, &call.name, &arguments, None)
        };
        message["tool_calls"] = calls.map(one).collect();
    }
    message
}

fn tool(tool: &Tool) -> Value {
    let mut function = Map::new();
    function.insert("name".into(), tool.name.as_str().into());
    if let Some(description) = &tool.description {
        function.insert("description".into(), description.as_str().into());
    }
    function.insert("parameters".into(), tool.parameters.clone());
    if tool.strict {
        function.insert("strict".into(), true.into());
    }
    json!({"type": "function", "function": function})
}

fn choice(choice: &Choice) -> Option<Value> {
    match choice {
        Choice::Auto => None,
        Choice::None => Some("none".into()),
        Choice::Required => Some("required".into()),
        Choice::Named(name) => Some(json!({"type": "function", "function": {"name": name}})),
    }
}

const fn word(effort: Effort) -> &'static str {
    match effort {
        Effort::None => "none",
        Effort::Minimal => "minimal",
        Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::High => "high",
        Effort::Highest => "xhigh",
    }
}
