//! The verbs for any agent in the container, run as the built binary.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::fake_gate::{FakeGate, error};

struct Place {
    folder: tempfile::TempDir,
    gate: FakeGate,
}

fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let gate = FakeGate::start(&folder.path().join("gate.sock"));
    Place { folder, gate }
}

impl Place {
    fn run(&self, argv: &[&str], input: &str) -> (Option<i32>, Value) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_taskforge"))
            .arg("agent")
            .args(argv)
            .env("TASKFORGE_GATE_SOCKET", self.folder.path().join("gate.sock"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // A verb that does not read its stdin may be gone already.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text.lines().count(), 1, "{text:?}");
        (output.status.code(), serde_json::from_str(&text).unwrap())
    }
}

#[test]
fn request_tells_the_decision_by_its_exit_code() {
    let place = place();
    let ask = |capability: &str| place.run(&["request", capability, "--reason", "charts"], "");
    let (code, told) = ask("pip:pygal");
    assert_eq!((code, told["status"].as_str()), (Some(75), Some("pending")));

    place.gate.decide("pip:pygal", "applied", json!({"granted": ["pip:pygal==3.0.5"], "comment": "fine", "by": "ada"}));
    let (code, told) = ask("pip:pygal");
    assert_eq!(code, Some(0));
    let id = told["id"].clone();
    assert_eq!(
        told,
        json!({"id": id, "capability": "pip:pygal", "status": "approved", "granted": ["pip:pygal==3.0.5"],
               "comment": "fine"})
    );
    place.gate.decide("pip:numpy", "denied", json!({"comment": "use the csv module"}));
    assert_eq!(ask("pip:numpy").0, Some(4));
    place.gate.decide("pip:nope", "unresolvable", json!({"comment": "no such package"}));
    assert_eq!(ask("pip:nope").1["status"], "unresolvable");
    let (code, told) = ask("pip");
    assert_eq!((code, told["error"]["code"].as_str()), (Some(2), Some("bad_request")));
}

#[test]
fn request_waits_for_the_decision() {
    let place = place();
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| place.run(&["request", "pip:pygal", "--reason", "charts", "--wait", "60"], ""));
        crate::fake_gate::until("it is asked", || !place.gate.state().posted.is_empty());
        place.gate.decide("pip:pygal", "denied", json!({"comment": "no"}));
        assert_eq!(asking.join().unwrap().0, Some(4));
    });
}

#[test]
fn progress_and_result_reach_the_gate() {
    let place = place();
    assert_eq!(place.run(&["progress", "half way"], "").0, Some(0));
    assert_eq!(place.run(&["result", r#"{"rows":3}"#], "").0, Some(0));
    assert_eq!(place.run(&["result", "-"], "{\"rows\":4}\n").0, Some(0));
    assert_eq!(place.run(&["result", "[1]"], "").0, Some(2));
    assert_eq!(place.run(&["result", "-"], "{").0, Some(2));
    let huge = json!({"x": "y".repeat(300_000)}).to_string();
    assert_eq!(place.run(&["result", "-"], &huge).0, Some(2));
    let state = place.gate.state();
    assert_eq!(state.progress, ["half way"]);
    assert_eq!(state.results, [json!({"rows": 3}), json!({"rows": 4})]);
}

#[test]
fn a_kill_is_told_apart() {
    let place = place();
    place.gate.state().script.clear();
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("gate.sock");
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let body = error("killed", "the run is killed").to_string();
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = [0; 4096];
        let _ = std::io::Read::read(&mut stream, &mut buffer);
        let _ = write!(stream, "HTTP/1.1 423 Locked\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    });
    let output = Command::new(env!("CARGO_BIN_EXE_taskforge"))
        .args(["agent", "progress", "x"])
        .env("TASKFORGE_GATE_SOCKET", &socket)
        .output()
        .unwrap();
    answering.join().unwrap();
    assert_eq!(output.status.code(), Some(72));
}
