//! Through the one door that there is: the gate. Where nothing protects, a gateway stands in its place that forwards what
//! it is told and writes down what it hears.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::{Mechanism, attack};
use crate::scene::{Scene, size};

pub fn all() -> Vec<Mechanism> {
    vec![
        attack("tunnel to the host's loopback", TUNNEL, |s| s.received("loopback")).recorded(denied),
        attack("fetch from the host's loopback", FETCH, |s| s.received("loopback")).recorded(denied),
        attack("name the host's loopback otherwise", OTHERWISE, |s| s.received("loopback")).recorded(denied),
        attack("speak as another", ANOTHER, spoke_as_another).recorded(heard),
        attack("guess and replay another's tokens", TOKENS, spoke_as_another).recorded(heard),
        attack("an event within a message", EVENT, forged).recorded(heard),
        attack("approve itself at the gate", APPROVE, |s| {
            let name = format!("{}.json", s.token);
            s.cage.host.join("registry/decisions").join(&name).exists() || s.product.decisions().join(&name).exists()
        })
        .recorded(|s| refused(s, "v1/approve")),
        attack("a terminal's commands to the operator", TERMINAL, commands_a_terminal).recorded(heard),
        attack("a body without end", BODY, |s| {
            largest(&s.cage.host.join("out")).max(largest(&s.product.gate())) > 32 << 20
        })
        .recorded(|s| refused(s, "too_large"))
        .floods(),
        // Of one attempt's messages there are only so many: the last of those that say something.
        attack("flood the inbox", FLOOD, |s| {
            let messages = |folder: &Path| fs::read_dir(folder).into_iter().flatten().count();
            messages(&s.cage.host.join("out")).max(messages(&s.product.gate().join("inbox"))) > 1500
        })
        .recorded(|s| refused(s, "all of its"))
        .floods(),
    ]
}

/// Whether what an operator is shown holds the attack's sequence for a terminal.
pub fn commands_a_terminal(scene: &Scene<'_>) -> bool {
    let other = fs::read_to_string(scene.cage.host.join("registry/runs/other/events.jsonl")).unwrap_or_default();
    (other + &scene.product.shown()).contains(&format!("\u{1b}]0;{}", scene.token))
}

fn denied(scene: &Scene<'_>) -> bool {
    let port = format!(":{}", scene.cage.port);
    scene.new_records().lines().any(|line| line.contains("egress.denied") && line.contains(&port))
}

/// Whether the gate has written down since that somebody tried: who was refused, dropped, or let through as something harmless.
pub fn tried(scene: &Scene<'_>) -> bool {
    let begun = std::time::Instant::now();
    loop {
        let kinds = ["client.dropped", "request.refused", "egress.denied", "egress.allowed", "action."];
        if scene.new_records().lines().any(|line| kinds.iter().any(|kind| line.contains(kind))) {
            return true;
        }
        // The connection's end is written down after the answer.
        if begun.elapsed() > std::time::Duration::from_secs(3) {
            return false;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

/// The message stands in the journal, as what its sender is.
pub fn heard(scene: &Scene<'_>) -> bool {
    scene.product.journal().lines().any(|line| line.contains(&scene.token) && line.contains("agent:work"))
}

/// The gate has written down that it refused something, of which `part` is said.
pub fn refused(scene: &Scene<'_>, part: &str) -> bool {
    scene.new_records().lines().any(|line| line.contains("request.refused") && line.contains(part))
}

/// The lines of both journals, where they are JSON.
fn events(scene: &Scene<'_>) -> Vec<Value> {
    let other = fs::read_to_string(scene.cage.host.join("registry/runs/other/events.jsonl")).unwrap_or_default();
    (other + &scene.product.journal()).lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn forged(scene: &Scene<'_>) -> bool {
    events(scene).iter().any(|event| event["forged"] == scene.token.as_str())
}

pub fn spoke_as_another(scene: &Scene<'_>) -> bool {
    let about = |event: &&Value| event.to_string().contains(&scene.token);
    events(scene).iter().filter(about).any(|event| event["actor"] != "agent:work")
}

fn largest(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| if entry.path().is_dir() { largest(&entry.path()) } else { size(&entry.path()) })
        .max()
        .unwrap_or(0)
}

const TUNNEL: &str = r#"
s = gate(("CONNECT 127.0.0.1:%s HTTP/1.1\r\nHost: x\r\n\r\n" % os.environ["LOOPBACK_PORT"]).encode())
s.recv(65536)
s.sendall(T)
"#;
const FETCH: &str = r#"
where = "127.0.0.1:" + os.environ["LOOPBACK_PORT"]
gate(("GET http://%s/%s HTTP/1.1\r\nHost: %s\r\n\r\n" % (where, TOKEN, where)).encode()).recv(65536)
"#;
const OTHERWISE: &str = r#"
for name in ("localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0.0.0.0", "[::ffff:127.0.0.1]", "[::1]"):
    try:
        s = gate(("CONNECT %s:%s HTTP/1.1\r\nHost: x\r\n\r\n" % (name, os.environ["LOOPBACK_PORT"])).encode())
        s.recv(65536)
        s.sendall(T)
    except OSError:
        pass
"#;
const ANOTHER: &str = r#"
post("/taskforge/v1/progress", {"message": TOKEN}, "X-Taskforge-Node: other", "X-Forwarded-For: other", "Authorization: Bearer other")
"#;
const TOKENS: &str = r#"
import base64
own = [value for name, value in os.environ.items() if "KEY" in name or "TOKEN" in name]
for number, token in enumerate(own + ["other", "other-1", "0", "admin", base64.b64encode(b"other:1").decode(), "e30.eyJub2RlIjoib3RoZXIifQ."]):
    post("/taskforge/v1/progress", {"message": "%s %d" % (TOKEN, number)}, "Authorization: Bearer " + token,
         "X-Api-Key: " + token, "Cookie: session=" + token, "X-Taskforge-Node: other")
"#;
const EVENT: &str = r#"
lie = '"}\n{"forged": "%s", "actor": "operator:tester", "event": "capability.approved"}\n{"x": "' % TOKEN
post("/taskforge/v1/progress", {"message": lie})
"#;
const APPROVE: &str = r#"
for path in ("/taskforge/v1/decisions", "/taskforge/v1/approve", "/taskforge/v1/capabilities/%s/approve" % TOKEN):
    post(path, {"id": TOKEN, "verdict": "approve", "by": "operator:tester"})
"#;
const TERMINAL: &str = r#"
post("/taskforge/v1/progress", {"message": "\x1b]0;" + TOKEN + "\x07\x1b[2J\x1b[31m all is well"})
"#;
const BODY: &str = r#"
s = gate(("POST /taskforge/v1/result HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (64 << 20)).encode())
for number in range(64):
    s.sendall(b" " * (1 << 20))
s.recv(65536)
"#;
const FLOOD: &str = r#"
for number in range(1700):
    post("/taskforge/v1/progress", {"message": "%s %d" % (TOKEN, number)})
"#;
