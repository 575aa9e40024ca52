//! Our runs under the eyes of readers as strict as OpenTask's.

use serde_json::{Value, json};

use super::{python, script, theirs};
use crate::scene::Scene;

const ALL: &str = "---
workflowId: all
title: Every kind
nodes:
  - {id: turn, title: Turn, kind: session_turn, prompt: do it, outputs: {mode: report}}
  - {id: child, title: Child, kind: subagent, prompt: do it, outputs: {mode: notify}}
  - {id: pause, title: Pause, kind: wait, waitFor: {type: file_exists, path: nodes/pause/go}, outputs: {mode: notify}}
  - {id: gate, title: Gate, kind: approval, outputs: {mode: notify}}
  - {id: end, title: End, kind: summary, needs: [turn, child, pause, gate], outputs: {mode: report}}
---
";

/// What the reader says of every run; that it reads them at all is the point.
fn read(scene: &Scene) -> Value {
    let output = python().arg(script("opentask_reader.py")).arg(scene.root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn create(scene: &Scene, run: &str) {
    let create = ["run", "create", "--workflow-path", "all", "--run-id", run];
    scene.tf(&[&create[..], &["--source-session-key", "agent:main:main"]].concat()).ok();
}

fn moves(scene: &Scene, run: &str, node: &str, steps: &[&str]) {
    steps.iter().for_each(|to| drop(scene.tf(&["helper", "transition-node", run, node, to]).ok()));
}

#[test]
fn every_kind_and_status_of_ours_is_read() {
    let scene = Scene::new();
    scene.write("workflows/all.task.md", ALL);
    create(&scene, "paused");
    scene.tf(&["helper", "bind", "paused", "node-session", "--node-id", "turn", "--value", "agent:main:one"]).ok();
    // Characters at which Python breaks lines, and others beyond ASCII.
    scene.tf(&["helper", "progress", "paused", "a\u{2028}b\u{85}c\u{1c}d 𝄞 größer"]).ok();
    scene.tf(&["control", "pause", "paused", "--message", "for\u{2029}now"]).ok();
    scene.tf(&["tick", "paused"]).ok();

    create(&scene, "failed");
    moves(&scene, "failed", "turn", &["running", "failed"]);
    scene.tf(&["node", "result", "failed", "turn", "failed", "--summary", "no\u{2028}way"]).ok();
    scene.tf(&["tick", "failed"]).ok();

    create(&scene, "completed");
    moves(&scene, "completed", "turn", &["running", "completed"]);
    scene.tf(&["node", "result", "completed", "turn", "completed"]).ok();
    moves(&scene, "completed", "child", &["skipped"]);
    scene.write("runs/completed/nodes/pause/go", "");
    scene.tf(&["tick", "completed"]).ok();
    scene.approve("completed");
    scene.tf(&["tick", "completed"]).ok();
    moves(&scene, "completed", "end", &["running", "completed"]);

    scene.commands("boxed", &[("box", "command: [\"true\"]", &["report.md"])]);
    scene.tf(&["run", "start", "boxed", "--run-id", "boxed", "--detach"]).ok();

    let seen = read(&scene);
    assert_eq!(seen["paused"]["status"], "paused");
    assert_eq!(seen["paused"]["sessions"], json!({"turn": "agent:main:one"}));
    assert_eq!(seen["paused"]["controls"], json!(["pause"]));
    assert_eq!(seen["paused"]["applied"], 1);
    let messages = seen["paused"]["messages"].as_array().unwrap();
    assert!(messages.contains(&json!("a\u{2028}b\u{85}c\u{1c}d 𝄞 größer")), "{messages:?}");
    assert_eq!(seen["paused"]["nodes"]["gate"], json!(["approval", "waiting"]));
    assert_eq!(seen["failed"]["nodes"]["turn"], json!(["session_turn", "failed"]));
    assert_eq!(seen["failed"]["nodes"]["end"], json!(["summary", "skipped"]));
    assert_eq!(seen["failed"]["results"], json!({"turn": "failed"}));
    assert_eq!(seen["completed"]["status"], "completed");
    let kinds = json!({"turn": ["session_turn", "completed"], "child": ["subagent", "skipped"],
        "pause": ["wait", "completed"], "gate": ["approval", "completed"], "end": ["summary", "completed"]});
    assert_eq!(seen["completed"]["nodes"], kinds);
    assert_eq!(seen["boxed"]["nodes"]["box"][0], "session_turn");
}

#[test]
fn the_reader_refuses_what_their_readers_refuse() {
    let refuses = |file: &str, from: &str, to: &str| {
        let scene = theirs("service-made");
        read(&scene);
        let path = format!("runs/service-made/{file}");
        let changed = scene.read(&path).replacen(from, to, 1);
        assert_ne!(changed, scene.read(&path), "{from}");
        scene.write(&path, changed);
        let output = python().arg(script("opentask_reader.py")).arg(scene.root()).output().unwrap();
        assert!(!output.status.success(), "{file}: {to}");
    };
    refuses("control.jsonl", "\"patch\"", "\"more\": 1, \"patch\"");
    refuses("state.json", "\"channel\"", "\"more\": \"x\", \"channel\"");
    refuses("state.json", "\"type\": \"file_exists\"", "\"type\": \"later\"");
    refuses("state.json", "\"status\": \"running\"", "\"status\": \"started\"");
    refuses("events.jsonl", "one of four", "one\u{2028}of four");
    refuses("events.jsonl", "\"payload\": {", "\"payload\": [], \"x\": {");
}

#[test]
fn a_run_of_theirs_that_we_took_on_is_read_as_before() {
    for run in ["helper-made", "service-made"] {
        let scene = theirs(run);
        let before = read(&scene);
        scene.tf(&["helper", "progress", run, "on it"]).ok();
        let after = read(&scene);
        for key in ["status", "title", "nodes", "notes", "applied", "sessions", "controls"] {
            assert_eq!(after[run][key], before[run][key], "{run}: {key}");
        }
    }
}
