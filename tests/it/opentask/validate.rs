//! `helper validate`.

use std::fs;

use serde_json::{Value, json};

use super::{DEMO, bare, helper, refuses, run_of, to};
use crate::scene::Scene;

fn issues(scene: &Scene) -> Vec<String> {
    let found = helper(scene, &["validate", "r1"]).exits(1).json();
    assert_eq!(found["ok"], false);
    found["issues"].as_array().unwrap().iter().map(|issue| issue.as_str().unwrap().to_owned()).collect()
}

/// Changes a JSON file of the run as a person with an editor would.
fn edit(scene: &Scene, file: &str, change: impl FnOnce(&mut Value)) {
    let path = format!("runs/r1/{file}");
    let mut value = scene.json(&path);
    change(&mut value);
    scene.write(&path, serde_json::to_string_pretty(&value).unwrap() + "\n");
}

#[test]
fn a_sound_run_is_counted() {
    let scene = run_of(DEMO);
    let before = scene.journal("r1");
    assert_eq!(
        helper(&scene, &["validate", "r1"]).ok().stdout,
        r#"{
  "ok": true,
  "issues": [],
  "runId": "r1",
  "runStatus": "running",
  "statusCounts": {
    "pending": 3,
    "ready": 1,
    "running": 0,
    "waiting": 0,
    "completed": 0,
    "failed": 0,
    "skipped": 0
  },
  "eventCount": 2
}
"#
    );
    assert_eq!(scene.journal("r1"), before);
}

#[test]
fn missing_files_are_named_and_nothing_else() {
    let scene = run_of(DEMO);
    for file in ["workflow.lock.md", "refs.json", "control.jsonl"] {
        fs::remove_file(scene.path(&format!("runs/r1/{file}"))).unwrap();
    }
    assert_eq!(
        helper(&scene, &["validate", "r1"]).exits(1).stdout,
        r#"{
  "ok": false,
  "issues": [
    "missing required file: workflow.lock.md",
    "missing required file: refs.json",
    "missing required file: control.jsonl"
  ]
}
"#
    );
    refuses(&scene, &["validate", "r2"], "run not found: r2");
}

#[test]
fn a_state_without_its_events_is_found() {
    for (status, expected) in [
        ("running", &["is running in state but missing node.started"][..]),
        (
            "completed",
            &["is completed in state but missing node.started", "is completed in state but missing node.completed"],
        ),
        ("failed", &["is failed in state but missing node.failed"]),
        ("waiting", &["is waiting in state but missing node.waiting"]),
        ("skipped", &["is skipped in state but missing node.skipped"]),
        ("ready", &["is ready in state but missing node.ready"]),
    ] {
        let scene = run_of(DEMO);
        edit(&scene, "state.json", |state| state["nodes"][1]["status"] = json!(status));
        let expected: Vec<String> = expected.iter().map(|issue| format!("node sub {issue}")).collect();
        assert_eq!(issues(&scene), expected, "{status}");
    }
}

#[test]
fn a_run_that_ended_and_did_not_is_found() {
    let scene = run_of(DEMO);
    edit(&scene, "state.json", |state| state["status"] = json!("completed"));
    assert_eq!(issues(&scene), ["run.state is completed but some nodes are not terminal"]);
}

#[test]
fn references_that_lead_nowhere_are_found() {
    let scene = run_of(DEMO);
    edit(&scene, "refs.json", |refs| {
        refs["nodeSessions"] = json!({"ghost": "x", "gather": "y"});
        refs["childSessions"] = json!({"sub": "c"});
        refs["nodeRunIds"] = json!({"sub": "c", "q": "z"});
    });
    assert_eq!(
        issues(&scene),
        [
            "refs.nodeSessions points to missing node ghost",
            "state/refs mismatch for node session gather",
            "state/refs mismatch for child session sub",
            "state/refs mismatch for node run id sub",
            "refs.nodeRunIds points to missing node q",
        ]
    );
}

#[test]
fn a_handoff_that_is_gone_is_found() {
    let scene = run_of(DEMO);
    fs::remove_file(scene.path("runs/r1/nodes/sub/handoff.md")).unwrap();
    assert_eq!(issues(&scene), ["missing handoff file for sub: nodes/sub/handoff.md"]);
}

#[test]
fn times_that_cannot_be_are_found() {
    let scene = run_of(DEMO);
    let more = "{\"event\": \"x\", \"timestamp\": \"nope\"}\n{\"event\": \"x\"}\n\
                {\"event\": \"y\", \"timestamp\": \"2020-01-01T00:00:00+00:00\"}\n\
                {\"event\": \"y\", \"timestamp\": \"2020-01-01T00:00:00Z\"}\n\
                {\"event\": \"y\", \"timestamp\": \"2019-01-01T00:00:00\"}\n";
    scene.write("runs/r1/events.jsonl", scene.read("runs/r1/events.jsonl") + more);
    let monotonic = "events.jsonl timestamps are not monotonic";
    assert_eq!(
        issues(&scene),
        ["invalid event timestamp: nope", "invalid event timestamp: None", monotonic, monotonic]
    );
}

#[test]
fn files_that_cannot_be_read_are_issues_and_no_traceback() {
    let scene = run_of(DEMO);
    scene.write("runs/r1/control.jsonl", "{\"id\": \"a\"}\n{torn");
    assert!(issues(&scene)[0].starts_with("control.jsonl contains invalid JSONL: line 2: "), "{:?}", issues(&scene));
    let scene = run_of(DEMO);
    scene.write("runs/r1/events.jsonl", scene.read("runs/r1/events.jsonl") + "{\"event\": \"run.pro");
    assert!(issues(&scene)[0].starts_with("events.jsonl contains invalid JSONL: line 3: "), "{:?}", issues(&scene));
    for (text, said) in [("{", "state.json contains invalid JSON: "), ("[]", "state.json is not a JSON object")] {
        let scene = run_of(DEMO);
        scene.write("runs/r1/state.json", text);
        let found = helper(&scene, &["validate", "r1"]).exits(1).json();
        assert!(found["issues"][0].as_str().unwrap().starts_with(said), "{found}");
        assert_eq!(found.get("runId"), None);
    }
}

#[test]
fn a_journal_that_somebody_changed_is_found() {
    let scene = run_of(DEMO);
    to(&scene, "gather", "running");
    let journal = scene.read("runs/r1/events.jsonl");
    scene.write("runs/r1/events.jsonl", journal.replace("Created run scaffold", "Created a scaffold"));
    let found = issues(&scene);
    assert!(found.iter().any(|issue| issue.starts_with("events.jsonl line 3 does not continue")), "{found:?}");
}

#[test]
fn a_run_of_opentask_s_service_is_sound() {
    let scene = bare();
    let key = "agent:main:root";
    let node = |id: &str, kind: &str, status: &str, needs: Value| json!({"id": id, "title": id, "kind": kind, "status": status, "needs": needs, "outputsMode": "notify", "artifactPaths": [], "notes": []});
    let state = json!({
        "runId": "r1", "workflowId": "w", "title": "W", "status": "running", "rootSessionKey": key,
        "plannerSessionKey": key, "driverSessionKey": key, "updatedAt": "2026-03-19T10:00:00+00:00",
        "createdAt": "2026-03-19T10:00:00+00:00",
        "nodes": [node("a", "session_turn", "ready", json!([])), node("s", "summary", "pending", json!(["a"]))],
        "lastEvent": "run.created",
    });
    let refs = json!({"runId": "r1", "rootSessionKey": key, "plannerSessionKey": key, "driverSessionKey": key,
        "nodeSessions": {}, "childSessions": {}, "nodeRunIds": {}, "appliedControlIds": []});
    let created = "{\"event\": \"run.created\", \"runId\": \"r1\", \"timestamp\": \"2026-03-19T10:00:00+00:00\", \"message\": \
                   \"Created run directory and initialized state projection.\", \"payload\": {}}\n";
    scene.write("runs/r1/state.json", state.to_string()).write("runs/r1/refs.json", refs.to_string());
    scene
        .write("runs/r1/events.jsonl", created)
        .write("runs/r1/control.jsonl", "")
        .write("runs/r1/workflow.lock.md", DEMO);
    let before = scene.read("runs/r1/events.jsonl");
    assert_eq!(helper(&scene, &["validate", "r1"]).ok().json()["issues"], json!([]));
    assert_eq!(scene.read("runs/r1/events.jsonl"), before);
    // And goes on.
    to(&scene, "a", "running");
    to(&scene, "a", "completed").says("Node s is ready for dispatch.");
    assert_eq!(helper(&scene, &["validate", "r1"]).ok().json()["issues"], json!([]));
}
