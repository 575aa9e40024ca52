//! A gate with one upstream for each provider, all of which say the same, each on its own wire.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use taskforge::gate::{ModelRule, ProviderSpec};

use super::super::upstream::{Got, Upstream, Wire};
use super::super::world::{World, endpoint};

pub const PROVIDERS: [&str; 4] = ["openai", "anthropic", "gemini", "ollama"];

/// What an upstream says, whatever its wire.
#[derive(Debug, Clone, Default)]
pub struct Say {
    pub text: &'static str,
    pub reasoning: &'static str,
    /// Name and arguments of tool calls.
    pub calls: Vec<(&'static str, Value)>,
    /// In OpenAI's words.
    pub finish: &'static str,
    /// Vectors instead of words.
    pub vectors: Vec<Vec<f64>>,
    pub trouble: Option<Trouble>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// 429, with words.
    Refuses,
    /// Begins, and then names a failure.
    Fails,
    /// Begins, and then is gone in the middle of a chunk.
    IsCut,
}

/// What [`Trouble`] is called.
pub const WORDS: &str = "Too many of us want this. Come back later.";

pub const PROMPT_TOKENS: u64 = 11;
pub const COMPLETION_TOKENS: u64 = 7;

type Scripts = Arc<Mutex<HashMap<&'static str, (Say, bool)>>>;

/// The gate and the upstreams.
pub struct Scripted {
    pub world: World,
    upstreams: Vec<(&'static str, Upstream)>,
    scripts: Scripts,
}

impl Scripted {
    pub fn new() -> Self {
        let scripts = Scripts::default();
        let mut upstreams = Vec::new();
        let mut world = World::new("http://127.0.0.1:1/v1");
        world.policy.models.clear();
        world.policy.attempts[0].limits.llm_requests = 100_000;
        for provider in PROVIDERS {
            let known = scripts.clone();
            let upstream = Upstream::start(move |_, wire| {
                let (say, stream) = known.lock().unwrap()[provider].clone();
                answer(provider, &say, stream, wire);
            });
            let base = endpoint(&format!("http://127.0.0.1:{}/base", upstream.port));
            let spec = match provider {
                "openai" => ProviderSpec::Openai(base),
                "anthropic" => ProviderSpec::Anthropic(base),
                "gemini" => ProviderSpec::Gemini(base),
                _ => ProviderSpec::Ollama(base),
            };
            world.policy.providers.insert(provider.into(), spec);
            let rule = ModelRule::new(&format!("m-{provider}"), provider);
            world.policy.models.push(ModelRule { image_addresses: true, ..rule });
            upstreams.push((provider, upstream));
        }
        Self { world: world.start(), upstreams, scripts }
    }

    /// What `provider` says next.
    pub fn answers(&self, provider: &str, say: &Say, stream: bool) {
        let name = PROVIDERS.into_iter().find(|known| *known == provider).unwrap();
        self.scripts.lock().unwrap().insert(name, (say.clone(), stream));
    }

    /// What `provider` was sent so far.
    pub fn seen(&self, provider: &str) -> Vec<Got> {
        self.upstreams.iter().find(|(name, _)| *name == provider).unwrap().1.got()
    }
}

fn answer(provider: &str, say: &Say, stream: bool, wire: &mut Wire) {
    if say.trouble == Some(Trouble::Refuses) {
        return wire.answer("429 Too Many Requests", "application/json", failure(provider).to_string());
    }
    if !say.vectors.is_empty() {
        return wire.json(vectors(provider, say).to_string());
    }
    if !stream {
        let whole = whole(provider, say).to_string();
        match say.trouble {
            None => wire.json(whole),
            Some(_) => {
                wire.write(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{}", whole.len(), &whole[..20]));
                wire.shut();
            }
        }
        return;
    }
    let kind = if provider == "ollama" { "application/x-ndjson" } else { "text/event-stream" };
    wire.write(format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n"));
    let mut pieces = events(provider, say);
    // To Gemini the second half is the end.
    let begun = if provider == "gemini" { 1 } else { 2 };
    match say.trouble {
        None => {
            for piece in &pieces {
                wire.chunk(piece);
            }
            wire.end_chunks();
        }
        Some(Trouble::Fails) => {
            pieces.truncate(begun);
            pieces.push(frame(provider, &failure(provider)));
            for piece in &pieces {
                wire.chunk(piece);
            }
            wire.end_chunks();
        }
        Some(_) => {
            for piece in &pieces[..begun] {
                wire.chunk(piece);
            }
            wire.write("ff\r\ndata: {\"half");
            wire.shut();
        }
    }
}

fn frame(provider: &str, event: &Value) -> String {
    match provider {
        "ollama" => format!("{event}\n"),
        "anthropic" => format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap()),
        _ => format!("data: {event}\n\n"),
    }
}

fn failure(provider: &str) -> Value {
    match provider {
        "anthropic" => json!({"type": "error", "error": {"type": "rate_limit_error", "message": WORDS}}),
        "gemini" => json!({"error": {"code": 429, "message": WORDS, "status": "RESOURCE_EXHAUSTED"}}),
        "ollama" => json!({"error": WORDS}),
        _ => json!({"error": {"message": WORDS, "type": "rate_limit_exceeded", "param": null, "code": null}}),
    }
}

fn finish(provider: &str, reason: &str) -> &'static str {
    match (provider, reason) {
        ("anthropic", "stop") => "end_turn",
        ("anthropic", "length") => "max_tokens",
        ("anthropic", "tool_calls") => "tool_use",
        ("anthropic", _) => "refusal",
        ("gemini", "stop" | "tool_calls") => "STOP",
        ("gemini", "length") => "MAX_TOKENS",
        ("gemini", _) => "SAFETY",
        ("ollama", "length") => "length",
        ("ollama", _) | (_, "stop") => "stop",
        (_, "length") => "length",
        (_, "tool_calls") => "tool_calls",
        _ => "content_filter",
    }
}

fn whole(provider: &str, say: &Say) -> Value {
    let reason = finish(provider, say.finish);
    match provider {
        "anthropic" => {
            let mut content = Vec::new();
            if !say.reasoning.is_empty() {
                content.push(json!({"type": "thinking", "thinking": say.reasoning, "signature": "c2ln"}));
            }
            content.push(json!({"type": "text", "text": say.text}));
            for (n, (name, input)) in say.calls.iter().enumerate() {
                content.push(json!({"type": "tool_use", "id": format!("toolu_{n}"), "name": name, "input": input}));
            }
            json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": content, "stop_reason": reason,
                "usage": {"input_tokens": PROMPT_TOKENS, "output_tokens": COMPLETION_TOKENS}})
        }
        "gemini" => gemini(&parts(say), Some(reason)),
        "ollama" => {
            let mut line = ollama(
                &json!({"role": "assistant", "content": say.text, "thinking": say.reasoning, "tool_calls": ollama_calls(say)}),
            );
            done(&mut line, reason);
            line
        }
        _ => {
            let mut message = json!({"role": "assistant", "content": say.text});
            if !say.reasoning.is_empty() {
                message["reasoning_content"] = say.reasoning.into();
            }
            if !say.calls.is_empty() {
                let one = |(n, (name, input)): (usize, &(&str, Value))| json!({"id": format!("call_{n}"), "type": "function", "function": {"name": name, "arguments": input.to_string()}});
                message["tool_calls"] = say.calls.iter().enumerate().map(one).collect();
            }
            json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0, "message": message, "finish_reason": reason}], "usage": openai_usage()})
        }
    }
}

fn openai_usage() -> Value {
    json!({"prompt_tokens": PROMPT_TOKENS, "completion_tokens": COMPLETION_TOKENS, "total_tokens": PROMPT_TOKENS + COMPLETION_TOKENS})
}

fn parts(say: &Say) -> Vec<Value> {
    let mut parts = Vec::new();
    if !say.reasoning.is_empty() {
        parts.push(json!({"text": say.reasoning, "thought": true}));
    }
    parts.push(json!({"text": say.text}));
    parts.extend(
        say.calls
            .iter()
            .map(|(name, args)| json!({"functionCall": {"name": name, "args": args}, "thoughtSignature": "c2ln"})),
    );
    parts
}

fn gemini(parts: &[Value], reason: Option<&str>) -> Value {
    let mut candidate = json!({"content": {"role": "model", "parts": parts}, "index": 0});
    let mut usage = json!({"promptTokenCount": PROMPT_TOKENS});
    if let Some(reason) = reason {
        candidate["finishReason"] = reason.into();
        usage["candidatesTokenCount"] = COMPLETION_TOKENS.into();
    }
    json!({"candidates": [candidate], "usageMetadata": usage, "modelVersion": "m", "responseId": "r"})
}

fn ollama(message: &Value) -> Value {
    json!({"model": "m", "created_at": "2026-01-01T00:00:00Z", "message": message, "done": false})
}

fn done(line: &mut Value, reason: &str) {
    line["done"] = true.into();
    line["done_reason"] = reason.into();
    line["prompt_eval_count"] = PROMPT_TOKENS.into();
    line["eval_count"] = COMPLETION_TOKENS.into();
}

fn ollama_calls(say: &Say) -> Vec<Value> {
    say.calls.iter().map(|(name, arguments)| json!({"function": {"name": name, "arguments": arguments}})).collect()
}

/// Text in two pieces, so that there is something to put together.
fn halves(text: &str) -> [&str; 2] {
    let at = text.len() / 2;
    [&text[..at], &text[at..]]
}

fn events(provider: &str, say: &Say) -> Vec<String> {
    let reason = finish(provider, say.finish);
    let mut all: Vec<Value> = Vec::new();
    match provider {
        "anthropic" => {
            all.push(json!({"type": "message_start", "message": {"id": "msg_1", "model": "m", "content": [], "usage": {"input_tokens": PROMPT_TOKENS, "output_tokens": 1}}}));
            let mut index = 0;
            let mut block = |start: Value, deltas: Vec<Value>| {
                let mut events = vec![json!({"type": "content_block_start", "index": index, "content_block": start})];
                events.extend(
                    deltas
                        .into_iter()
                        .map(|delta| json!({"type": "content_block_delta", "index": index, "delta": delta})),
                );
                events.push(json!({"type": "content_block_stop", "index": index}));
                index += 1;
                events
            };
            if !say.reasoning.is_empty() {
                let mut deltas: Vec<Value> =
                    halves(say.reasoning).map(|t| json!({"type": "thinking_delta", "thinking": t})).into();
                deltas.push(json!({"type": "signature_delta", "signature": "c2ln"}));
                all.extend(block(json!({"type": "thinking", "thinking": "", "signature": ""}), deltas));
            }
            let deltas = halves(say.text).map(|t| json!({"type": "text_delta", "text": t})).into();
            all.extend(block(json!({"type": "text", "text": ""}), deltas));
            for (n, (name, input)) in say.calls.iter().enumerate() {
                let input = input.to_string();
                let deltas = halves(&input).map(|t| json!({"type": "input_json_delta", "partial_json": t})).into();
                all.extend(block(
                    json!({"type": "tool_use", "id": format!("toolu_{n}"), "name": name, "input": {}}),
                    deltas,
                ));
            }
            all.push(json!({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": COMPLETION_TOKENS}}));
            all.push(json!({"type": "message_stop"}));
        }
        "gemini" => {
            let parts = parts(say);
            for (n, part) in parts.iter().enumerate() {
                let last = n + 1 == parts.len();
                if part.get("functionCall").is_none() && !last {
                    for half in halves(part["text"].as_str().unwrap()) {
                        let mut piece = part.clone();
                        piece["text"] = half.into();
                        all.push(gemini(&[piece], None));
                    }
                } else if part.get("functionCall").is_none() {
                    let [a, b] = halves(part["text"].as_str().unwrap());
                    all.push(gemini(&[json!({"text": a})], None));
                    all.push(gemini(&[json!({"text": b})], Some(reason)));
                } else {
                    all.push(gemini(std::slice::from_ref(part), last.then_some(reason)));
                }
            }
        }
        "ollama" => {
            all.extend(
                halves(say.reasoning)
                    .iter()
                    .filter(|t| !t.is_empty())
                    .map(|t| ollama(&json!({"role": "assistant", "content": "", "thinking": t}))),
            );
            all.extend(halves(say.text).map(|t| ollama(&json!({"role": "assistant", "content": t}))));
            all.extend(
                ollama_calls(say)
                    .into_iter()
                    .map(|call| ollama(&json!({"role": "assistant", "content": "", "tool_calls": [call]}))),
            );
            let mut last = ollama(&json!({"role": "assistant", "content": ""}));
            done(&mut last, reason);
            all.push(last);
        }
        _ => {
            let chunk = |delta: Value, reason: Value| json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]});
            all.push(chunk(json!({"role": "assistant", "content": ""}), Value::Null));
            all.extend(
                halves(say.reasoning)
                    .iter()
                    .filter(|t| !t.is_empty())
                    .map(|t| chunk(json!({"reasoning_content": t}), Value::Null)),
            );
            all.extend(halves(say.text).map(|t| chunk(json!({"content": t}), Value::Null)));
            for (index, (name, input)) in say.calls.iter().enumerate() {
                let input = input.to_string();
                let [a, b] = halves(&input);
                all.push(chunk(json!({"tool_calls": [{"index": index, "id": format!("call_{index}"), "type": "function", "function": {"name": name, "arguments": a}}]}), Value::Null));
                all.push(chunk(json!({"tool_calls": [{"index": index, "function": {"arguments": b}}]}), Value::Null));
            }
            let mut last = chunk(json!({}), reason.into());
            last["usage"] = openai_usage();
            all.push(last);
        }
    }
    let mut events: Vec<String> = all.iter().map(|event| frame(provider, event)).collect();
    if provider == "openai" {
        events.push("data: [DONE]\n\n".to_owned());
    }
    events
}

fn vectors(provider: &str, say: &Say) -> Value {
    match provider {
        "gemini" => json!({"embeddings": say.vectors.iter().map(|v| json!({"values": v})).collect::<Vec<_>>()}),
        "ollama" => json!({"model": "m", "embeddings": say.vectors, "prompt_eval_count": PROMPT_TOKENS}),
        _ => {
            let one = |(index, vector): (usize, &Vec<f64>)| json!({"object": "embedding", "index": index, "embedding": vector});
            json!({"object": "list", "data": say.vectors.iter().enumerate().map(one).collect::<Vec<_>>(), "model": "m", "usage": {"prompt_tokens": PROMPT_TOKENS, "total_tokens": PROMPT_TOKENS}})
        }
    }
}
