//! A gate for tests of what runs inside the container: real HTTP over a real unix socket, its answers scripted.
//! Whatever does not look like HTTP is echoed until its end and then counted, to test the forwarder.

use std::collections::{BTreeMap, VecDeque};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

#[derive(Default)]
pub struct State {
    /// Status and body of `hello`; 200 when unset.
    pub hello: Option<(u16, Value)>,
    pub hellos: usize,
    pub brief: Value,
    /// The model's answers, in order; each is used once.
    pub script: VecDeque<(u16, Value)>,
    /// The bodies of chat requests.
    pub chats: Vec<Value>,
    /// Messages sent last and answered with 200, and the answer's message.
    answered: Option<(Vec<Value>, Value)>,
    pub turns: Vec<Value>,
    pub progress: Vec<String>,
    pub results: Vec<Value>,
    pub refusals: Vec<Value>,
    /// By capability: id, status, answer.
    pub requests: BTreeMap<String, (String, String, Value)>,
    pub posted: Vec<String>,
}

pub struct FakeGate {
    socket: PathBuf,
    state: Arc<Mutex<State>>,
    stopped: Arc<AtomicBool>,
}

impl FakeGate {
    pub fn start(socket: &Path) -> Self {
        let brief = json!({"system": "You are an agent.", "prompt": "Do it.", "model": "recorded", "iterations": 20,
                           "outputs": [], "inputs": []});
        let mut gate = Self {
            socket: socket.to_owned(),
            state: Arc::new(Mutex::new(State { brief, ..State::default() })),
            stopped: Arc::default(),
        };
        gate.listen();
        gate
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub fn script(&self, answers: impl IntoIterator<Item = Value>) {
        self.state().script.extend(answers.into_iter().map(|answer| (200, answer)));
    }

    pub fn decide(&self, capability: &str, status: &str, answer: Value) {
        let mut state = self.state();
        let id = id_of(capability);
        state.requests.insert(capability.to_owned(), (id, status.to_owned(), answer));
    }

    pub fn kill(&self) {
        self.state().hello = Some((423, error("killed", "the run is killed")));
    }

    /// Stops listening, as a gate that goes away; what it knows stays for [`listen`](Self::listen).
    pub fn stop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        let _ = UnixStream::connect(&self.socket);
        let _ = std::fs::remove_file(&self.socket);
    }

    /// Listens (again) at the same path.
    pub fn listen(&mut self) {
        let _ = std::fs::remove_file(&self.socket);
        let listener = UnixListener::bind(&self.socket).unwrap();
        // An agent in a container has another uid.
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&self.socket, std::fs::Permissions::from_mode(0o666)).unwrap();
        self.stopped = Arc::default();
        let (state, stopped) = (Arc::clone(&self.state), Arc::clone(&self.stopped));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let state = Arc::clone(&state);
                thread::spawn(move || stream.map(|stream| serve(stream, &state)));
            }
        });
    }
}

impl Drop for FakeGate {
    fn drop(&mut self) {
        self.stop();
    }
}

pub fn error(code: &str, message: &str) -> Value {
    json!({"error": {"code": code, "message": message}})
}

/// A `chat.completion` with these calls: id, tool, arguments.
pub fn calls(calls: &[(&str, &str, Value)]) -> Value {
    let calls: Vec<Value> = calls
        .iter()
        .map(|(id, tool, arguments)| {
            json!({"id": id, "type": "function", "function": {"name": tool, "arguments": arguments.to_string()}})
        })
        .collect();
    answer(json!({"role": "assistant", "content": null, "refusal": null, "tool_calls": calls}))
}

pub fn answer(message: Value) -> Value {
    json!({"id": "chatcmpl-1", "object": "chat.completion", "model": "recorded",
           "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})
}

/// Waits until `condition` holds; what is waited for is said if it never does.
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..1200 {
        if condition() {
            return;
        }
        thread::sleep(Duration::from_millis(25));
    }
    panic!("waited in vain until {what}");
}

fn id_of(capability: &str) -> String {
    let mut id = String::from("01J");
    for byte in capability.bytes() {
        id.push(char::from(b"0123456789ABCDEFGHJKMNPQRSTVWXYZ"[usize::from(byte % 32)]));
    }
    format!("{id:0<26}")[..26].to_owned()
}

fn serve(mut stream: UnixStream, state: &Mutex<State>) {
    let mut received = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    let head = loop {
        let Ok(count @ 1..) = stream.read(&mut buffer) else { return };
        received.extend_from_slice(&buffer[..count]);
        if !["GET ", "POST", "CONN"].iter().any(|method| received.starts_with(method.as_bytes())) {
            return echo(stream, received);
        }
        if let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let text = String::from_utf8_lossy(&received[..head]).into_owned();
    let length = text.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    while received.len() < head + length.unwrap_or(0) {
        let Ok(count @ 1..) = stream.read(&mut buffer) else { return };
        received.extend_from_slice(&buffer[..count]);
    }
    let body: Value = serde_json::from_slice(&received[head..]).unwrap_or(Value::Null);
    let mut words = text.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (status, body) = respond(method, path, body, state);
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let _ = write!(stream, "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
}

fn echo(mut stream: UnixStream, first: Vec<u8>) {
    let mut total = first.len();
    if stream.write_all(&first).is_err() {
        return;
    }
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        total += count;
        if stream.write_all(&buffer[..count]).is_err() {
            return;
        }
    }
    let _ = write!(stream, "|{total}");
    let _ = stream.shutdown(Shutdown::Both);
}

fn respond(method: &str, path: &str, body: Value, state: &Mutex<State>) -> (u16, Value) {
    let mut state = state.lock().unwrap();
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    match (method, path) {
        ("GET", "/taskforge/v1/hello") => {
            state.hellos += 1;
            state.hello.clone().unwrap_or((200, json!({"run": "r", "node": "n", "attempt": 1, "generation": 1})))
        }
        ("GET", "/taskforge/v1/brief") => (200, state.brief.clone()),
        ("GET", "/taskforge/v1/conversation") => (200, conversation(&state)),
        ("POST", "/v1/chat/completions") => {
            state.chats.push(body.clone());
            let (status, answer) = state.script.pop_front().unwrap_or((404, error("not_found", "the script is over")));
            if status == 200 && answer.pointer("/choices/0/message").is_some() {
                state.answered = Some((messages(&body), answer["choices"][0]["message"].clone()));
                state.turns.clear();
            }
            (status, answer)
        }
        ("POST", "/taskforge/v1/turns") => {
            state.turns.push(body);
            (204, Value::Null)
        }
        ("POST", "/taskforge/v1/progress") => {
            state.progress.push(body["message"].as_str().unwrap_or_default().to_owned());
            (202, json!({}))
        }
        ("POST", "/taskforge/v1/result") => {
            state.results.push(body);
            (202, json!({}))
        }
        ("GET", "/taskforge/v1/refusals") => {
            let after: usize = query.trim_start_matches("after=").parse().unwrap_or(0);
            let since: Vec<Value> = state.refusals.iter().skip(after).cloned().collect();
            (200, json!({"seq": state.refusals.len(), "refusals": since}))
        }
        ("POST", "/taskforge/v1/capabilities") => {
            let capability = body["capability"].as_str().unwrap_or_default().to_owned();
            if !capability.starts_with("pip:") {
                return (422, error("bad_request", &format!("`{capability}` is no capability")));
            }
            state.posted.push(capability.clone());
            let known = state.requests.contains_key(&capability);
            let fresh = (id_of(&capability), "pending".to_owned(), Value::Null);
            let (id, status, answer) = state.requests.entry(capability).or_insert(fresh).clone();
            (if known { 200 } else { 202 }, json!({"id": id, "status": status, "answer": answer}))
        }
        ("GET", path) if path.starts_with("/taskforge/v1/capabilities/") => {
            let asked = path.rsplit('/').next().unwrap_or_default();
            let found = state.requests.iter().find(|(_, (id, _, _))| id == asked);
            found.map_or((404, error("not_found", "no such request")), |(capability, (id, status, answer))| {
                (200, json!({"id": id, "capability": capability, "status": status, "answer": answer}))
            })
        }
        ("CONNECT", target) => {
            let refusal = json!({"code": "capability_required", "surface": "connect", "target": target,
                                 "capability": format!("net:{target}"), "hint": "packages are asked for by name"});
            state.refusals.push(refusal);
            (403, error("capability_required", "this host was not granted"))
        }
        _ => (404, error("not_found", "no such path")),
    }
}

fn messages(body: &Value) -> Vec<Value> {
    body["messages"].as_array().cloned().unwrap_or_default()
}

fn conversation(state: &State) -> Value {
    let Some((sent, message)) = &state.answered else { return json!({"messages": [], "pendingToolCalls": []}) };
    let mut messages = sent.clone();
    messages.push(message.clone());
    for turn in &state.turns {
        messages.push(json!({"role": "tool", "tool_call_id": turn["toolCallId"], "content": turn["content"]}));
    }
    json!({"messages": messages, "pendingToolCalls": []})
}
