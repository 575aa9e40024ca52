//! `helper transition-node`.

use serde_json::json;

use super::{DEMO, events, helper, names, node_of, normal, one_node, refuses, run_of, state, to};

#[test]
fn a_whole_run_is_opentask_s_byte_for_byte() {
    let scene = run_of(DEMO);
    to(&scene, "gather", "running");
    let payload = r#"{"a": [1, 2.5, 1e22, null, true, {}, []], "é": "ü"}"#;
    let call = ["transition-node", "r1", "gather", "completed", "--message", "done – ü", "--payload-json", payload];
    insta::assert_snapshot!(normal(&helper(&scene, &call).ok().stdout), @r#"
    {
      "ok": true,
      "events": [
        {
          "event": "node.completed",
          "timestamp": "[TIME]",
          "runId": "r1",
          "payload": {
            "a": [
              1,
              2.5,
              1e+22,
              null,
              true,
              {},
              []
            ],
            "é": "ü"
          },
          "nodeId": "gather",
          "message": "done – ü"
        },
        {
          "event": "node.ready",
          "timestamp": "[TIME]",
          "runId": "r1",
          "payload": {},
          "nodeId": "sub",
          "message": "Node sub is ready for dispatch."
        }
      ],
      "statusCounts": {
        "pending": 2,
        "ready": 1,
        "running": 0,
        "waiting": 0,
        "completed": 1,
        "failed": 0,
        "skipped": 0
      },
      "runStatus": "running"
    }
    "#);
    for (node, status) in [
        ("sub", "running"),
        ("sub", "waiting"),
        ("sub", "running"),
        ("sub", "completed"),
        ("ask", "running"),
        ("ask", "completed"),
        ("summary", "running"),
        ("summary", "completed"),
    ] {
        to(&scene, node, status);
    }
    insta::assert_snapshot!("opentask_whole_run_events", events(&scene, "r1"));
    insta::assert_snapshot!("opentask_whole_run_state", normal(&scene.read("runs/r1/state.json")));
    helper(&scene, &["validate", "r1"]).ok();
}

#[test]
fn the_same_status_writes_nothing() {
    let scene = run_of(DEMO);
    let before = scene.read("runs/r1/events.jsonl");
    let answer = "{\n  \"ok\": true,\n  \"noop\": true,\n  \"nodeId\": \"gather\",\n  \"status\": \"ready\"\n}\n";
    assert_eq!(to(&scene, "gather", "ready").stdout, answer);
    // Nor is a payload looked at that nobody needs.
    assert_eq!(
        helper(&scene, &["transition-node", "r1", "gather", "ready", "--payload-json", "{"]).ok().stdout,
        answer
    );
    assert_eq!(scene.read("runs/r1/events.jsonl"), before);
}

#[test]
fn the_table_is_opentask_s_and_waiting_to_completed() {
    const ALL: [&str; 7] = ["pending", "ready", "running", "waiting", "completed", "failed", "skipped"];
    let legal = |from: &str| match from {
        "pending" => &["ready", "failed", "skipped"][..],
        "ready" => &["running", "waiting", "failed", "skipped"],
        "running" => &["waiting", "completed", "failed", "skipped"],
        "waiting" => &["ready", "running", "completed", "failed", "skipped"],
        "failed" | "skipped" => &["ready"],
        _ => &[],
    };
    let way = |from: &str| match from {
        "pending" => &[][..],
        "completed" => &["ready", "running", "completed"],
        "running" => &["ready", "running"],
        "waiting" => &["ready", "waiting"],
        "ready" => &["ready"],
        "failed" => &["failed"],
        _ => &["skipped"],
    };
    // A node that waits for one which never ends, and one that keeps the run open.
    let text = "---\nworkflowId: w\ntitle: W\nnodes:\n  - {id: a, title: A, kind: summary, outputs: {mode: notify}}\n  - {id: b, title: B, kind: summary, needs: [a], outputs: {mode: notify}}\n---\n";
    for from in ALL {
        for target in &ALL[1..] {
            let scene = run_of(text);
            way(from).iter().for_each(|status| drop(to(&scene, "b", status)));
            assert_eq!(node_of(&scene, "b")["status"], from);
            if from == *target {
                to(&scene, "b", target).says("\"noop\": true");
            } else if legal(from).contains(target) {
                to(&scene, "b", target);
                assert_eq!(node_of(&scene, "b")["status"], *target);
                assert_eq!(helper(&scene, &["validate", "r1"]).ok().json()["issues"], json!([]), "{from} -> {target}");
            } else {
                let sentence = format!("illegal transition for node b: {from} -> {target}");
                refuses(&scene, &["transition-node", "r1", "b", target], &sentence);
            }
        }
    }
}

#[test]
fn times_are_those_of_the_steps() {
    let scene = run_of(&one_node("    outputs: {mode: notify}\n"));
    let times = || (node_of(&scene, "a")["startedAt"].clone(), node_of(&scene, "a")["completedAt"].clone());
    let last = || scene.journal("r1").iter().rev().find(|line| line["nodeId"] == "a").unwrap()["timestamp"].clone();
    assert_eq!(times(), (json!(null), json!(null)));
    to(&scene, "a", "waiting");
    let waiting = last();
    assert_eq!(times(), (waiting.clone(), json!(null)));
    to(&scene, "a", "completed");
    assert_eq!(times(), (waiting, last()));
    let scene = run_of(&one_node("    outputs: {mode: notify}\n"));
    let times = || (node_of(&scene, "a")["startedAt"].clone(), node_of(&scene, "a")["completedAt"].clone());
    let last = || scene.journal("r1").iter().rev().find(|line| line["nodeId"] == "a").unwrap()["timestamp"].clone();
    to(&scene, "a", "failed");
    assert_eq!(times(), (json!(null), last()));
    to(&scene, "a", "ready");
    assert_eq!(times(), (json!(null), json!(null)));
    to(&scene, "a", "running");
    let started = last();
    to(&scene, "a", "waiting");
    to(&scene, "a", "running");
    assert_eq!(times(), (last(), json!(null)));
    assert_ne!(started, last());
}

#[test]
fn needs_that_are_skipped_count_as_met() {
    let scene = run_of(DEMO);
    for node in ["gather", "sub", "ask"] {
        to(&scene, node, "skipped");
    }
    assert_eq!(node_of(&scene, "summary")["status"], "ready");
    to(&scene, "summary", "skipped").says("\"message\": \"Run r1 is completed.\"");
    assert_eq!(
        (&state(&scene)["status"], names(&scene, "r1").last().unwrap().as_str()),
        (&json!("completed"), "run.completed")
    );
}

#[test]
fn what_is_not_there_is_named() {
    let scene = run_of(DEMO);
    refuses(&scene, &["transition-node", "r1", "zz", "ready"], "node not found: zz");
    refuses(&scene, &["transition-node", "r1", "zz", "ready", "--payload-json", "{"], "node not found: zz");
    refuses(&scene, &["transition-node", "r2", "gather", "ready"], "run not found: r2");
    refuses(
        &scene,
        &["transition-node", "r1", "summary", "running"],
        "illegal transition for node summary: pending -> running",
    );
}
