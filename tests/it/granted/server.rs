//! A server on a loopback address that is not the agent's own, so that its clients go by their proxy.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

/// Not 127.0.0.1, which is in an agent's `NO_PROXY`.
pub const ADDRESS: &str = "127.0.0.2";

/// Answers each request for `/hold` with one piece and an open end, for a completion with one, and everything else with
/// `hello`.
pub struct Server {
    pub port: u16,
    seen: Arc<Mutex<Vec<String>>>,
    /// Connections to `/hold` that were cut.
    cut: Arc<Mutex<u32>>,
}

impl Server {
    pub fn start() -> Self {
        Self::at(ADDRESS)
    }

    pub fn at(address: &str) -> Self {
        let listener = TcpListener::bind((address, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (seen, cut) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<Mutex<u32>>::default());
        let (all, cuts) = (seen.clone(), cut.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, all, cuts) = (stream.unwrap(), all.clone(), cuts.clone());
                std::thread::spawn(move || {
                    let mut reader = BufReader::new(stream.try_clone().unwrap());
                    let mut head = String::new();
                    while !head.ends_with("\r\n\r\n") {
                        if reader.read_line(&mut head).unwrap_or(0) == 0 {
                            return;
                        }
                    }
                    let line = head.lines().next().unwrap().to_owned();
                    all.lock().unwrap().push(line.clone());
                    if line.contains("/chat/completions") {
                        complete(&head, &mut reader, &mut stream);
                    } else if line.contains("/v1/messages") {
                        message(&head, &mut reader, &mut stream);
                    } else if line.contains("/hold") {
                        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nx");
                        let mut rest = [0; 16];
                        while matches!(reader.read(&mut rest), Ok(1..)) {}
                        *cuts.lock().unwrap() += 1;
                    } else {
                        let _ =
                            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello");
                    }
                });
            }
        });
        Self { port, seen, cut }
    }

    pub fn host(&self) -> String {
        format!("{ADDRESS}:{}", self.port)
    }

    /// The request lines so far.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    pub fn cuts(&self) -> u32 {
        *self.cut.lock().unwrap()
    }
}

/// The JSON of a request's body.
fn asked(head: &str, reader: &mut impl Read) -> Value {
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length:").map(str::to_owned));
    let mut body = vec![0; length.map_or(0, |length| length.trim().parse().unwrap())];
    reader.read_exact(&mut body).unwrap();
    serde_json::from_slice(&body).unwrap()
}

fn answer(stream: &mut impl Write, kind: &str, body: &str) {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\nconnection: close\r\n");
    let _ = stream.write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes());
}

/// A completion of OpenAI's wire, in parts if that is asked for.
fn complete(head: &str, reader: &mut impl Read, stream: &mut impl Write) {
    let usage = json!({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7});
    let base = json!({"id": "c", "created": 1, "model": "scripted"});
    let with = |object: &str, choices: Value, usage: Value| {
        let mut answer = base.clone();
        (answer["object"], answer["choices"], answer["usage"]) = (object.into(), choices, usage);
        answer
    };
    let asked = asked(head, reader);
    let messages = asked["messages"].as_array().unwrap();
    let of_tools: Vec<&str> =
        messages.iter().filter(|m| m["role"] == "tool").filter_map(|m| m["content"].as_str()).collect();
    if asked["stream"] != true {
        let pictures = messages.iter().filter_map(|m| m["content"].as_array()).flatten();
        let picture = pictures.filter_map(|part| part["image_url"]["url"].as_str()).next();
        let calls = |city: &str| json!({"id": format!("call_{city}"), "type": "function", "function": {"name": "weather", "arguments": json!({"city": city}).to_string()}});
        let (reason, message) = if asked["tools"].is_array() && of_tools.is_empty() {
            ("tool_calls", json!({"role": "assistant", "content": null, "tool_calls": [calls("Oslo"), calls("Rome")]}))
        } else {
            let text = match picture {
                Some(url) => format!("a picture: {url}"),
                None if of_tools.is_empty() => "hello from the model".to_owned(),
                None => of_tools.join(", "),
            };
            ("stop", json!({"role": "assistant", "content": text}))
        };
        let choices = json!([{"index": 0, "finish_reason": reason, "message": message}]);
        return answer(stream, "application/json", &with("chat.completion", choices, usage).to_string());
    }
    let chunk = |delta: Value, finish: Value| {
        let choices = json!([{"index": 0, "delta": delta, "finish_reason": finish}]);
        with("chat.completion.chunk", choices, Value::Null)
    };
    let mut chunks = vec![chunk(json!({"role": "assistant", "content": ""}), Value::Null)];
    chunks.extend(["hello", " in", " parts"].map(|part| chunk(json!({"content": part}), Value::Null)));
    chunks.push(chunk(json!({}), "stop".into()));
    chunks.push(with("chat.completion.chunk", json!([]), usage));
    let events: String = chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect();
    answer(stream, "text/event-stream", &(events + "data: [DONE]\n\n"));
}

/// A message of Anthropic's wire, in parts if that is asked for.
fn message(head: &str, reader: &mut impl Read, stream: &mut impl Write) {
    let message = |content: Value, reason: Value, output: u64| {
        json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-scripted", "content": content,
            "stop_reason": reason, "stop_sequence": null, "usage": {"input_tokens": 3, "output_tokens": output}})
    };
    let asked = asked(head, reader);
    if asked["stream"] != true {
        let blocks = || asked["messages"].as_array().unwrap().iter().filter_map(|m| m["content"].as_array()).flatten();
        let of_tools: Vec<&str> = blocks()
            .filter(|block| block["type"] == "tool_result")
            .filter_map(|block| block["content"].as_str().or(block["content"][0]["text"].as_str()))
            .collect();
        let picture = blocks().filter_map(|block| block["source"]["data"].as_str()).next();
        let uses = |city: &str| json!({"type": "tool_use", "id": format!("toolu_{city}"), "name": "weather", "input": {"city": city}});
        let (reason, content) = if asked["tools"].is_array() && of_tools.is_empty() {
            ("tool_use", json!([uses("Oslo"), uses("Rome")]))
        } else {
            let text = match picture {
                Some(data) => format!("a picture: {data}"),
                None if of_tools.is_empty() => "hello from the model".to_owned(),
                None => of_tools.join(", "),
            };
            ("end_turn", json!([{"type": "text", "text": text}]))
        };
        return answer(stream, "application/json", &message(content, reason.into(), 4).to_string());
    }
    let mut events = vec![
        json!({"type": "message_start", "message": message(json!([]), Value::Null, 1)}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
    ];
    events.extend(
        ["hello", " in", " parts"].map(
            |part| json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": part}}),
        ),
    );
    events.push(json!({"type": "content_block_stop", "index": 0}));
    let reason = json!({"stop_reason": "end_turn", "stop_sequence": null});
    events.push(json!({"type": "message_delta", "delta": reason, "usage": {"output_tokens": 4}}));
    events.push(json!({"type": "message_stop"}));
    let event = |event: &Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap());
    answer(stream, "text/event-stream", &events.iter().map(event).collect::<String>());
}
