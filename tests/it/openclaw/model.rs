//! A model on loopback that follows a script: it sees what a model would see, the prompt and the tools' answers, and calls
//! tools by what stands in them. One that is asked for more than its script holds says so.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

/// What the model does next.
pub enum Move {
    Call(&'static str, Value),
    Say(String),
}

/// A request, as a script looks at it.
pub struct Talk {
    pub system: String,
    /// All messages of users, OpenClaw's own notes among them.
    pub heard: Vec<String>,
    /// Those without the notes.
    pub said: Vec<String>,
    /// Tools' answers, oldest first: as many as there were calls.
    pub answers: Vec<String>,
}

type Script = dyn Fn(&Talk) -> Move + Send + Sync;

pub struct Model {
    address: String,
    requests: Arc<Mutex<Vec<Value>>>,
}

impl Model {
    pub fn start(script: impl Fn(&Talk) -> Move + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (kept, script): (_, Arc<Script>) = (requests.clone(), Arc::new(script));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (kept, script) = (kept.clone(), script.clone());
                thread::spawn(move || answer(stream, &kept, &*script));
            }
        });
        Self { address, requests }
    }

    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Every request so far.
    pub fn talks(&self) -> Vec<Talk> {
        self.requests.lock().unwrap().iter().map(Talk::of).collect()
    }

    /// For a failed test's message: what was said and answered, the newest request of each conversation last.
    pub fn story(&self) -> String {
        let requests = self.requests.lock().unwrap();
        let shown = requests.iter().rev().take(3).rev().map(|request| {
            let messages = request["messages"].as_array().cloned().unwrap_or_default();
            let lines = messages.iter().skip(1).map(|message| format!("  {:.1500}\n", message.to_string()));
            lines.collect::<String>()
        });
        shown.collect::<Vec<_>>().join("--\n")
    }
}

impl Talk {
    fn of(request: &Value) -> Self {
        let mut talk = Self { system: String::new(), heard: Vec::new(), said: Vec::new(), answers: Vec::new() };
        for message in request["messages"].as_array().into_iter().flatten() {
            let text = text(&message["content"]);
            if message["role"] == "user" {
                talk.heard.push(text.clone());
            }
            match message["role"].as_str() {
                Some("system") => talk.system = text,
                // A note for the model that comes with every request.
                Some("user") if text.starts_with("<<<BEGIN_OPENCLAW_INTERNAL_CONTEXT>>>") => {}
                Some("user") => talk.said.push(text),
                Some("tool") => talk.answers.push(text),
                _ => {}
            }
        }
        talk
    }

    /// The session's key, as its Runtime line says it.
    pub fn session(&self) -> String {
        let all = self.said.iter().chain([&self.system]);
        let found = all.filter_map(|text| text.split("session=").nth(1)).next();
        found.and_then(|rest| rest.split_whitespace().next()).unwrap_or_default().to_owned()
    }
}

fn text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join("\n"),
        _ => String::new(),
    }
}

fn answer(stream: TcpStream, kept: &Mutex<Vec<Value>>, script: &Script) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut line, mut length) = (String::new(), 0);
    while reader.read_line(&mut line).is_ok_and(|count| count > 2) {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        line.clear();
    }
    let mut body = vec![0; length];
    if reader.read_exact(&mut body).is_err() || body.is_empty() {
        return;
    }
    let request: Value = serde_json::from_slice(&body).unwrap();
    let talk = Talk::of(&request);
    let streams = request["stream"] == true;
    let calls = talk.answers.len();
    kept.lock().unwrap().push(request);
    let (delta, reason) = match script(&talk) {
        Move::Say(text) => (json!({"role": "assistant", "content": text}), "stop"),
        Move::Call(name, arguments) => {
            let function = json!({"name": name, "arguments": arguments.to_string()});
            let id = format!("call_{calls}");
            let call = json!({"index": 0, "id": id, "type": "function", "function": function});
            (json!({"role": "assistant", "content": null, "tool_calls": [call]}), "tool_calls")
        }
    };
    if !streams {
        let choice = json!({"index": 0, "message": delta, "finish_reason": reason});
        let usage = json!({"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2});
        let whole = json!({"id": "1", "object": "chat.completion", "created": 1, "model": "scripted",
            "choices": [choice], "usage": usage})
        .to_string();
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close";
        let _ = (&stream).write_all(format!("{head}\r\nContent-Length: {}\r\n\r\n{whole}", whole.len()).as_bytes());
        return;
    }
    let chunk = |choice: Value, usage: Value| {
        let whole = json!({"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "scripted",
            "choices": [choice], "usage": usage});
        format!("data: {whole}\n\n")
    };
    let usage = json!({"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2});
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
    let first = chunk(json!({"index": 0, "delta": delta, "finish_reason": null}), Value::Null);
    let last = chunk(json!({"index": 0, "delta": {}, "finish_reason": reason}), usage);
    // OpenClaw may have given the turn up meanwhile.
    let _ = (&stream).write_all(format!("{head}{first}{last}data: [DONE]\n\n").as_bytes());
}
