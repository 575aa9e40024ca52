//! The cases of OpenTask's own tests of its helper: a run from scaffold to the end, a JSON workflow beside the file, and a
//! state that somebody edited.

use serde_json::json;

use super::{bare, helper};
use crate::scene::{Scene, text};

const WORKFLOW: &str = "---
workflowId: demo
title: Demo workflow
defaults:
  agentId: main
driver:
  cron: \"*/5 * * * *\"
nodes:
  - id: gather-context
    title: Gather context
    kind: session_turn
    needs: []
    prompt: Gather context.
    outputs:
      mode: report
      requiredFiles:
        - nodes/gather-context/report.md
        - nodes/gather-context/result.json
  - id: summary
    title: Summary
    kind: summary
    needs:
      - gather-context
    prompt: Summarize.
    outputs:
      mode: report
      requiredFiles:
        - nodes/summary/report.md
        - nodes/summary/result.json
---
";

/// A registry with the workflow, and a JSON workflow of the same nodes without their prompts.
fn scene() -> (Scene, String) {
    let scene = bare();
    scene.write("workflows/demo.task.md", WORKFLOW);
    let files = |id: &str| json!([format!("nodes/{id}/report.md"), format!("nodes/{id}/result.json")]);
    let spec = json!({
        "workflowId": "demo",
        "title": "Demo workflow",
        "defaults": {"agentId": "main"},
        "nodes": [
            {"id": "gather-context", "title": "Gather context", "kind": "session_turn", "needs": [],
             "outputs": {"mode": "report", "requiredFiles": files("gather-context")}},
            {"id": "summary", "title": "Summary", "kind": "summary", "needs": ["gather-context"],
             "outputs": {"mode": "report", "requiredFiles": files("summary")}},
        ],
    });
    scene.write("workflow-spec.json", serde_json::to_string_pretty(&spec).unwrap());
    let root = scene.root().display().to_string();
    (scene, root)
}

fn scaffold(scene: &Scene, root: &str, run: &str, more: &[&str]) {
    let call = ["--registry-root", root, "scaffold", "--workflow-path", "workflows/demo.task.md", "--run-id", run];
    let session = ["--source-session-key", "agent:main:discord:channel:123", "--source-agent-id", "main"];
    // From wherever it is called.
    helper(scene, &[&call[..], &session, more].concat()).cwd(&scene.outside("home")).ok();
}

#[test]
fn scaffold_bind_and_transitions_to_the_end() {
    let (scene, root) = scene();
    scaffold(&scene, &root, "demo-001", &["--delivery-context-json", r#"{"channel": "discord", "to": "channel:123"}"#]);
    let state = scene.json("runs/demo-001/state.json");
    assert_eq!((&state["nodes"][0]["status"], &state["nodes"][1]["status"]), (&json!("ready"), &json!("pending")));
    assert_eq!(scene.read("runs/demo-001/control.jsonl"), "");

    let call = |arguments: &[&str]| helper(&scene, &[&["--registry-root", &root], arguments].concat());
    let key = "agent:main:session:workflow:demo-001:gather-context";
    call(&["bind", "demo-001", "node-session", "--node-id", "gather-context", "--value", key]).ok();
    call(&["bind", "demo-001", "cron", "--value", "cron-demo-001"]).ok();
    for (node, status) in [
        ("gather-context", "running"),
        ("gather-context", "completed"),
        ("summary", "running"),
        ("summary", "completed"),
    ] {
        call(&["transition-node", "demo-001", node, status]).ok();
    }
    let refs = scene.json("runs/demo-001/refs.json");
    assert_eq!(scene.json("runs/demo-001/state.json")["status"], "completed");
    assert_eq!(refs["cronJobId"], "cron-demo-001");
    assert_eq!(refs["nodeSessions"]["gather-context"], key);
    let events = scene.journal("demo-001");
    assert!(events.iter().any(|event| event["event"] == "node.ready" && event["nodeId"] == "summary"));
    assert_eq!(events.last().unwrap()["event"], "run.completed");
    assert_eq!(call(&["validate", "demo-001"]).ok().json()["ok"], true);
}

#[test]
fn a_json_workflow_may_say_the_nodes() {
    let (scene, root) = scene();
    let spec = scene.path("workflow-spec.json").display().to_string();
    scaffold(&scene, &root, "demo-spec-001", &["--spec-file", &spec]);
    let state = scene.json("runs/demo-spec-001/state.json");
    assert_eq!((text(&state["workflowId"]), text(&state["nodes"][0]["id"])), ("demo".into(), "gather-context".into()));
}

#[test]
fn validate_finds_a_state_that_was_edited() {
    let (scene, root) = scene();
    scaffold(&scene, &root, "demo-002", &[]);
    let mut state = scene.json("runs/demo-002/state.json");
    for node in state["nodes"].as_array_mut().unwrap() {
        node["status"] = json!("completed");
        node["startedAt"] = json!("2026-03-17T00:00:00+00:00");
        node["completedAt"] = json!("2026-03-17T00:00:01+00:00");
    }
    scene.write("runs/demo-002/state.json", serde_json::to_string_pretty(&state).unwrap() + "\n");
    let found = helper(&scene, &["--registry-root", &root, "validate", "demo-002"]).exits(1).json();
    assert_eq!(found["ok"], false);
    let issues = found["issues"].as_array().unwrap();
    assert!(issues.contains(&json!("run has all terminal nodes but state.status is not terminal")), "{issues:#?}");
}
