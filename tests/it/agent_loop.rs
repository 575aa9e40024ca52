//! The built-in agent against a scripted gate, in this process.

use std::time::Duration;

use serde_json::{Value, json};
use taskforge::agent::{LoopOptions, Roots, run_loop};

use crate::fake_gate::{FakeGate, answer, calls, error, until};

struct Place {
    folder: tempfile::TempDir,
    gate: FakeGate,
    options: LoopOptions,
}

fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| {
        std::fs::create_dir(folder.path().join(name)).unwrap();
        folder.path().join(name)
    };
    let socket = folder.path().join("gate.sock");
    let gate = FakeGate::start(&socket);
    let options = LoopOptions {
        socket,
        roots: Roots::at(at("workspace"), at("inputs"), at("tmp")),
        backoff: Duration::from_millis(10),
        patience: Duration::from_secs(5),
    };
    Place { folder, gate, options }
}

impl Place {
    fn run(&self) -> (u8, String) {
        let mut out = Vec::new();
        let code = run_loop(&self.options, &mut out);
        (code, String::from_utf8(out).unwrap())
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join("workspace").join(name)
    }

    /// The messages of the newest chat request.
    fn sent(&self) -> Vec<Value> {
        self.gate.state().chats.last().unwrap()["messages"].as_array().unwrap().clone()
    }

    /// The results sent in the newest chat request, by call.
    fn told(&self, id: &str) -> String {
        let sent = self.sent();
        let result = sent.iter().rev().find(|message| message["tool_call_id"] == id);
        result.unwrap_or_else(|| panic!("no result of {id} in {sent:#?}"))["content"].as_str().unwrap().to_owned()
    }
}

fn shell(id: &'static str, command: &str) -> (&'static str, &'static str, Value) {
    (id, "shell", json!({"command": command}))
}

fn request(id: &'static str, capability: &str) -> (&'static str, &'static str, Value) {
    (id, "request_capability", json!({"capability": capability, "reason": "charts"}))
}

fn finish(id: &'static str) -> (&'static str, &'static str, Value) {
    (id, "finish", json!({"summary": "done"}))
}

#[test]
fn works_suspends_for_a_decision_and_goes_on() {
    let place = place();
    std::fs::write(place.folder.path().join("inputs/sales.csv"), "a,b\n").unwrap();
    place.gate.script([
        calls(&[shell("1", "echo hello; exit 3"), ("2", "read_file", json!({"path": "/inputs/sales.csv"}))]),
        calls(&[request("3", "pip:pygal"), ("4", "write_file", json!({"path": "plan.md", "content": "# plan"}))]),
    ]);
    let (code, told) = place.run();
    assert_eq!(code, 75, "{told}");
    assert!(told.contains("› shell: echo hello; exit 3\n  hello\n  exit 3\n"), "{told}");
    assert!(told.contains("› waiting for a decision on pip:pygal (request 01J"), "{told}");
    assert_eq!(place.told("1"), r#"{"exit":3,"stdout":"hello\n","stderr":"","truncated":false,"refused":[]}"#);
    assert_eq!(place.told("2"), r#"{"content":"a,b\n","bytes":4,"truncated":false}"#);
    {
        let state = place.gate.state();
        let written = json!({"toolCallId": "4", "content": r#"{"written":"plan.md","bytes":6}"#});
        assert_eq!(state.turns, [written], "the sibling's result is on record");
        assert_eq!(state.chats[0]["tools"].as_array().unwrap().len(), 6);
        assert_eq!(state.chats[0]["messages"][0], json!({"role": "system", "content": "You are an agent."}));
        assert!(state.progress[0].starts_with("turn 1: shell: echo hello"), "{:?}", state.progress);
    }

    // A run that was started too early waits again, and asks the model nothing.
    assert_eq!(place.run().0, 75);
    assert_eq!(place.gate.state().chats.len(), 2);

    place.gate.decide("pip:pygal", "applied", json!({"granted": ["pip:pygal==3.0.5"], "comment": "fine"}));
    std::fs::remove_file(place.file("plan.md")).unwrap();
    place.gate.script([calls(&[shell("5", "true"), finish("6")])]);
    let (code, told) = place.run();
    assert_eq!(code, 0, "{told}");
    assert_eq!(place.told("3"), r#"{"status":"approved","granted":["pip:pygal==3.0.5"],"comment":"fine"}"#);
    assert!(!place.file("plan.md").exists(), "what is on record is not done again");
    let ids: Vec<Value> = place.sent().iter().filter_map(|message| message.get("tool_call_id").cloned()).collect();
    assert_eq!(ids, ["1", "2", "3", "4"], "results stand in the order of their calls");
    assert_eq!(place.gate.state().results, [json!({"summary": "done"})]);
}

#[test]
fn a_spent_budget_suspends_until_a_person_has_decided_and_ends_after_a_no() {
    let place = place();
    let refused = |status: &str| {
        let mut error = error("budget_exhausted", "the models of this run have taken 14 of 14 tokens");
        error["error"]["capability"] = "budget:tokens=28".into();
        error["error"]["status"] = status.into();
        (429, error)
    };
    place.gate.state().script.push_back(refused("pending"));
    let (code, told) = place.run();
    assert_eq!(code, 75, "{told}");
    assert!(told.contains("budget:tokens=28"), "{told}");
    assert_eq!(place.gate.state().chats.len(), 1, "it does not ask again");
    place.gate.state().script.push_back(refused("denied"));
    assert_eq!(place.run().0, 1);
    place.gate.script([calls(&[finish("1")])]);
    assert_eq!(place.run().0, 0);
}

#[test]
fn what_was_interrupted_is_told_and_not_done_again() {
    let place = place();
    place.gate.script([calls(&[shell("1", "echo x >> ran"), shell("2", "echo x >> ran"), request("3", "pip:a")])]);
    assert_eq!(place.run().0, 75);
    // As if the container had gone before the first result was recorded.
    place.gate.state().turns.retain(|turn| turn["toolCallId"] != "1");
    place.gate.decide("pip:a", "denied", json!({"comment": "do without"}));
    place.gate.script([calls(&[finish("4")])]);
    assert_eq!(place.run().0, 0);
    assert_eq!(std::fs::read_to_string(place.file("ran")).unwrap(), "x\nx\n");
    assert_eq!(place.told("1"), r#"{"error":"interrupted: the attempt ended before this finished"}"#);
    assert!(place.told("2").starts_with(r#"{"exit":0"#));
    assert_eq!(place.told("3"), r#"{"status":"denied","comment":"do without"}"#);
}

#[test]
fn an_attempt_that_fails_leaves_its_results_on_record() {
    let place = place();
    place.gate.script([calls(&[shell("1", "echo x >> ran")])]);
    place.gate.state().script.push_back((400, error("bad_request", "too odd")));
    assert_eq!(place.run().0, 1);
    assert_eq!(place.gate.state().turns.len(), 1);
    place.gate.script([calls(&[finish("2")])]);
    assert_eq!(place.run().0, 0);
    assert!(place.told("1").starts_with(r#"{"exit":0"#));
    assert_eq!(std::fs::read_to_string(place.file("ran")).unwrap(), "x\n");
}

#[test]
fn two_requests_are_posted_before_it_waits_once() {
    let place = place();
    place.gate.script([calls(&[request("1", "pip:a"), request("2", "pip:b"), finish("3")])]);
    assert_eq!(place.run().0, 75);
    assert_eq!(place.gate.state().posted, ["pip:a", "pip:b"]);
    assert!(place.gate.state().turns[0]["content"].as_str().unwrap().contains("not finished"));

    place.gate.decide("pip:a", "approved", json!({"granted": ["pip:a==1"]}));
    assert_eq!(place.run().0, 75, "one of two is not enough");
    assert_eq!(place.gate.state().turns.len(), 2, "but what was decided stays");
    place.gate.decide("pip:b", "denied", json!({}));
    place.gate.script([calls(&[finish("4")])]);
    assert_eq!(place.run().0, 0);
    assert_eq!(place.told("1"), r#"{"status":"approved","granted":["pip:a==1"]}"#);
    assert_eq!(place.told("2"), r#"{"status":"denied"}"#);
}

#[test]
fn decisions_that_are_known_are_told_at_once() {
    let place = place();
    place.gate.decide("pip:a", "applied", json!({"granted": ["pip:a==1"]}));
    place.gate.decide("pip:c", "unresolvable", json!({"comment": "no such package"}));
    place
        .gate
        .script([calls(&[request("1", "pip:a"), request("2", "npm"), request("3", "pip:c")]), calls(&[finish("4")])]);
    assert_eq!(place.run().0, 0);
    assert_eq!(place.told("1"), r#"{"status":"approved","granted":["pip:a==1"]}"#);
    assert_eq!(place.told("2"), r#"{"error":"`npm` is no capability"}"#);
    assert_eq!(place.told("3"), r#"{"status":"unresolvable","comment":"no such package"}"#);
}

#[test]
fn an_approval_while_it_waits_suspends_too() {
    let place = place();
    place.gate.script([calls(&[request("1", "pip:a")])]);
    let code = std::thread::scope(|scope| {
        let running = scope.spawn(|| place.run().0);
        until("it is asked", || !place.gate.state().posted.is_empty());
        place.gate.decide("pip:a", "approved", json!({"granted": ["pip:a==1"]}));
        running.join().unwrap()
    });
    assert_eq!(code, 75, "this container was made without the package");
}

#[test]
fn refusals_during_a_command_are_told_with_it() {
    let place = place();
    let refusal = |n: u64| {
        json!({"seq": n, "at": n, "code": "capability_required", "surface": "connect", "target": "host:443",
               "capability": "net:host:443", "hint": "ask"})
    };
    place.gate.state().refusals.push(refusal(1));
    place.gate.script([
        calls(&[shell("1", ":>started; until [ -e go ]; do sleep 0.02; done")]),
        calls(&[shell("2", "true")]),
        calls(&[finish("3")]),
    ]);
    std::thread::scope(|scope| {
        let running = scope.spawn(|| place.run());
        until("the command runs", || place.file("started").exists());
        place.gate.state().refusals.extend([refusal(2), refusal(3)]);
        std::fs::write(place.file("go"), "").unwrap();
        let (code, told) = running.join().unwrap();
        assert_eq!(code, 0);
        assert!(told.contains("refused by the gate: \"host:443\""), "{told}");
    });
    let first: Value = serde_json::from_str(&place.told("1")).unwrap();
    let expected = json!({"code": "capability_required", "surface": "connect", "target": "host:443",
                          "capability": "net:host:443", "hint": "ask"});
    assert_eq!(first["refused"], json!([expected]), "once, and without what differs from run to run");
    assert!(place.told("2").contains(r#""refused":[]"#));
}

#[test]
fn no_answer_of_a_model_crashes_it() {
    let place = place();
    let many: Vec<Value> = (0..20)
        .map(|n| json!({"id": "same", "function": {"name": "shell", "arguments": {"command": format!("echo {n} >> n")}}}))
        .collect();
    let mut nested = json!("x");
    for _ in 0..20 {
        nested = json!([{ "tool_calls": nested }]);
    }
    place.gate.script([
        calls(&[("1", "rm_rf", json!({})), ("2", "shell", json!({"cmd": "x"})), ("3", "read_file", json!([1]))]),
        answer(json!({"tool_calls": [{"function": {"name": "shell", "arguments": "{\"command\": \"ec"}}]})),
        answer(json!({"tool_calls": many})),
        answer(json!({"tool_calls": nested, "content": {"a": 1}})),
        answer(json!({"content": [{"type": "text", "text": "hm"}], "tool_calls": [null, {"function": 3}]})),
        calls(&[finish("9"), finish("10")]),
    ]);
    let (code, told) = place.run();
    assert_eq!(code, 0, "{told}");
    assert_eq!(std::fs::read_to_string(place.file("n")).unwrap().lines().count(), 20);
    assert!(place.told("1").contains("there is no tool `rm_rf`"));
    assert!(place.told("2").contains("unknown field `cmd`"));
    assert!(place.told("3").contains("not a JSON object"));
    assert_eq!(place.gate.state().results.len(), 1, "the first finish ends it");
    for message in place.sent() {
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            let arguments = call["function"]["arguments"].as_str().unwrap();
            assert!(serde_json::from_str::<serde_json::Map<String, Value>>(arguments).is_ok(), "{arguments}");
        }
    }
}

#[test]
fn unusable_answers_are_tried_again_and_then_fail() {
    for unusable in [json!({}), json!({"choices": []}), json!({"choices": [{"message": 3}]}), Value::Null] {
        let place = place();
        place.gate.script([unusable.clone(), unusable.clone(), unusable]);
        assert_eq!(place.run().0, 1);
        assert_eq!(place.gate.state().chats.len(), 3);
    }
}

#[test]
fn an_upstream_that_recovers_is_no_failure() {
    let place = place();
    place.gate.state().script.extend([
        (502, error("upstream_error", "overloaded")),
        (429, error("upstream_error", "slow down")),
        (200, calls(&[finish("1")])),
    ]);
    assert_eq!(place.run().0, 0);

    let place = self::place();
    place.gate.state().script.extend(std::iter::repeat_n((503, error("upstream_error", "overloaded")), 4));
    assert_eq!(place.run().0, 1);
    assert_eq!(place.gate.state().chats.len(), 3);
}

#[test]
fn a_gate_that_wants_it_slower_is_waited_for_however_often() {
    let place = place();
    let paced = || {
        let mut error = error("rate_limit_exceeded", "this node may make 5 requests to models within a second");
        error["error"]["retryAfterMs"] = 1.into();
        (429, error)
    };
    place.gate.state().script.extend(std::iter::repeat_with(paced).take(9));
    place.gate.state().script.push_back((200, calls(&[finish("1")])));
    assert_eq!(place.run().0, 0);
    assert_eq!(place.gate.state().chats.len(), 10);
}

#[test]
fn limits_and_mismatches_are_final() {
    for (status, code) in [
        (429, "iterations_exhausted"),
        (429, "budget_exhausted"),
        (422, "replay_mismatch"),
        (413, "too_large"),
        (403, "model_not_granted"),
    ] {
        let place = place();
        place.gate.state().script.push_back((status, error(code, "no")));
        assert_eq!(place.run().0, 1, "{code}");
        assert_eq!(place.gate.state().chats.len(), 1, "{code}");
    }
    let place = place();
    place.gate.state().script.push_back((423, error("killed", "the run is killed")));
    assert_eq!(place.run().0, 72);
}

#[test]
fn a_gate_that_does_not_count_is_not_asked_forever() {
    let place = place();
    place.gate.state().brief["iterations"] = json!(3);
    place.gate.script((0..9).map(|_| calls(&[shell("1", "true")])));
    assert_eq!(place.run().0, 1);
    assert_eq!(place.gate.state().chats.len(), 3);
}

#[test]
fn a_model_that_only_talks_is_reminded_once() {
    let talk = || answer(json!({"role": "assistant", "content": "I am done."}));
    let place = place();
    place.gate.script([talk(), calls(&[finish("1")])]);
    assert_eq!(place.run().0, 0);
    assert!(place.sent().last().unwrap()["content"].as_str().unwrap().contains("call finish"));

    let place = self::place();
    place.gate.script([talk(), talk(), talk()]);
    assert_eq!(place.run().0, 1);
    assert_eq!(place.gate.state().chats.len(), 2);
}

#[test]
fn finishing_without_the_files_is_told() {
    let place = place();
    place.gate.state().brief["outputs"] = json!(["report.md", "charts/*.svg"]);
    place.gate.script([
        calls(&[finish("1")]),
        calls(&[finish("2"), ("3", "write_file", json!({"path": "report.md", "content": "x"}))]),
    ]);
    assert_eq!(place.run().0, 0);
    assert_eq!(place.told("1"), r#"{"error":"not finished: missing under /workspace: report.md"}"#);
    assert_eq!(place.gate.state().results.len(), 1);
}

#[test]
fn a_gate_that_restarts_in_between_is_waited_for() {
    let mut place = place();
    place.gate.script([calls(&[shell("1", ":>started; until [ -e go ]; do sleep 0.02; done")]), calls(&[finish("2")])]);
    let options = place.options.clone();
    let running = std::thread::spawn(move || run_loop(&options, &mut Vec::new()));
    until("the command runs", || place.file("started").exists());
    place.gate.stop();
    std::fs::write(place.file("go"), "").unwrap();
    std::thread::sleep(Duration::from_millis(300));
    place.gate.listen();
    assert_eq!(running.join().unwrap(), 0);
}
