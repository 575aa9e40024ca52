//! Just enough of the Docker Engine's API to look at what the product made, past the product's own client.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::time::Duration;

use serde_json::{Value, json};

pub const BASE: &str = "taskforge/base:default";

fn socket() -> String {
    let host = std::env::var("DOCKER_HOST").ok();
    host.and_then(|host| host.strip_prefix("unix://").map(str::to_owned)).unwrap_or("/var/run/docker.sock".to_owned())
}

fn send(method: &str, path: &str, kind: &str, body: &[u8]) -> UnixStream {
    let socket = socket();
    let mut stream = UnixStream::connect(&socket).unwrap_or_else(|error| {
        panic!("the Docker Engine does not answer at {socket} ({error}): `apt-get install docker.io`, or `./test`")
    });
    let length = body.len();
    // HTTP/1.0: no chunks, and the end of the answer is the end of the connection.
    let head = format!("{method} {path} HTTP/1.0\r\nHost: engine\r\nContent-Type: {kind}\r\n");
    stream.write_all(format!("{head}Content-Length: {length}\r\n\r\n").as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    stream
}

fn exchange(method: &str, path: &str, kind: &str, body: &[u8]) -> (u16, Vec<u8>) {
    let mut answer = Vec::new();
    send(method, path, kind, body).read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), answer[end + 4..].to_vec())
}

/// Status and body as JSON; null where there is none.
pub fn call(method: &str, path: &str, body: &Value) -> (u16, Value) {
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let (status, answer) = exchange(method, path, "application/json", &body);
    (status, serde_json::from_slice(&answer).unwrap_or_default())
}

fn done(method: &str, path: &str, body: &Value) -> Value {
    let (status, answer) = call(method, path, body);
    assert!(status < 400, "{method} {path}: {status} {answer}");
    answer
}

/// Everything that only a URL could read wrongly.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

pub fn inspect(container: &str) -> Option<Value> {
    let (status, answer) = call("GET", &format!("/containers/{container}/json"), &Value::Null);
    (status == 200).then_some(answer)
}

/// Containers of a registry, whatever their state.
pub fn containers(registry: &str) -> Vec<Value> {
    let filters = json!({"label": [format!("io.taskforge.registry={registry}")]}).to_string();
    let found = done("GET", &format!("/containers/json?all=1&filters={}", encoded(&filters)), &Value::Null);
    found.as_array().cloned().unwrap_or_default()
}

/// Notes every container that is created for a registry from now on. The Engine remembers only its last few hundred
/// events, of whomever, so that asking afterwards is too late.
pub struct Creations {
    registry: String,
    stream: UnixStream,
    seen: mpsc::Receiver<Value>,
}

impl Creations {
    pub fn of(registry: &str) -> Self {
        let labels = [format!("io.taskforge.registry={registry}")];
        let filters = json!({"type": ["container"], "event": ["create"], "label": labels}).to_string();
        let stream = send("GET", &format!("/events?filters={}", encoded(&filters)), "application/json", b"");
        let (sender, seen) = mpsc::channel();
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        // The head, up to an empty line: from then on nothing is missed.
        while lines.next().unwrap().unwrap().trim() != "" {}
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if let Ok(event) = serde_json::from_str(&line) {
                    let _ = sender.send(event);
                }
            }
        });
        Self { registry: registry.to_owned(), stream, seen }
    }

    /// The roles of the containers that were created until now.
    pub fn roles(self) -> Vec<String> {
        // A container of our own marks the end.
        let labels = json!({"io.taskforge.registry": self.registry, "io.taskforge.role": "end"});
        let made = done("POST", "/containers/create", &json!({"Image": BASE, "Cmd": ["true"], "Labels": labels}));
        remove(made["Id"].as_str().unwrap());
        let mut roles = Vec::new();
        loop {
            let event = self.seen.recv_timeout(Duration::from_secs(60)).expect("the Engine tells of its containers");
            match event["Actor"]["Attributes"]["io.taskforge.role"].as_str() {
                Some("end") => return roles,
                role => roles.push(role.unwrap_or_default().to_owned()),
            }
        }
    }
}

impl Drop for Creations {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }
}

pub fn remove(container: &str) {
    let _ = call("DELETE", &format!("/containers/{container}?force=1&v=1"), &Value::Null);
}

pub fn remove_image(image: &str) {
    let _ = call("DELETE", &format!("/images/{image}?force=1"), &Value::Null);
}

/// Another name for an image.
pub fn name_image(image: &str, name: &str) {
    let (repository, tag) = name.rsplit_once(':').unwrap();
    done("POST", &format!("/images/{image}/tag?repo={repository}&tag={tag}"), &Value::Null);
}

pub fn image(name: &str) -> Option<Value> {
    let (status, answer) = call("GET", &format!("/images/{name}/json"), &Value::Null);
    (status == 200).then_some(answer)
}

/// A base image like the real one, under a name and with a layer that no other test has: what is built upon it was not
/// built before.
pub fn own_base(name: &str) {
    own_base_holding(name, name);
}

/// [`own_base`] with another layer for each `content`.
pub fn own_base_holding(name: &str, content: &str) {
    let made = done("POST", "/containers/create", &json!({"Image": BASE, "Cmd": ["true"]}));
    let id = made["Id"].as_str().unwrap();
    let mut layer = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    layer.append_data(&mut header, "etc/taskforge-test", content.as_bytes()).unwrap();
    let (status, _) =
        exchange("PUT", &format!("/containers/{id}/archive?path=/"), "application/x-tar", &layer.into_inner().unwrap());
    assert_eq!(status, 200);
    let (repository, tag) = name.rsplit_once(':').unwrap();
    let config = done("GET", &format!("/images/{BASE}/json"), &Value::Null)["Config"].clone();
    done("POST", &format!("/commit?container={id}&repo={}&tag={tag}", encoded(repository)), &config);
    remove(id);
}

/// What a program prints on its standard output in a container of `image` without a network.
pub fn output(image: &str, argv: &[&str]) -> String {
    let made = done(
        "POST",
        "/containers/create",
        &json!({"Image": image, "Entrypoint": [], "Cmd": argv, "HostConfig": {"NetworkMode": "none"}}),
    );
    let id = made["Id"].as_str().unwrap().to_owned();
    done("POST", &format!("/containers/{id}/start"), &Value::Null);
    let status = done("POST", &format!("/containers/{id}/wait"), &Value::Null);
    let (_, mut frames) = exchange("GET", &format!("/containers/{id}/logs?stdout=1"), "application/json", b"");
    remove(&id);
    let mut text = Vec::new();
    // Frames of stream, three zeros, length, bytes.
    while frames.len() >= 8 {
        let length = u32::from_be_bytes(frames[4..8].try_into().unwrap()) as usize;
        text.extend_from_slice(&frames[8..8 + length]);
        frames.drain(..8 + length);
    }
    let text = String::from_utf8(text).unwrap();
    assert_eq!(status["StatusCode"], 0, "{argv:?}: {text}");
    text
}
