//! Runs that OpenClaw sessions do: made, bound and reported on as with OpenTask's command line, taken on by ticks, and never
//! waiting for somebody without saying for whom.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use crate::scene::{Scene, node};

const FIVE: &str = "---
workflowId: five
title: Five kinds
nodes:
  - {id: turn, title: Turn, kind: session_turn, prompt: do it, outputs: {mode: report}}
  - {id: child, title: Child, kind: subagent, prompt: do it, outputs: {mode: notify}}
  - {id: pause, title: Pause, kind: wait, waitFor: {type: manual}, outputs: {mode: notify}}
  - {id: gate, title: Gate, kind: approval, outputs: {mode: notify}}
  - {id: end, title: End, kind: summary, needs: [turn, child, pause, gate], outputs: {mode: report}}
---
";

/// A folder that only OpenTask has worked in: no `taskforge.toml`.
fn bare() -> Scene {
    let scene = Scene::empty();
    scene.write("workflows/five.task.md", FIVE).write("runs/.keep", "");
    scene
}

fn ours() -> Scene {
    let scene = Scene::new();
    scene.write("workflows/five.task.md", FIVE);
    scene
}

fn create(scene: &Scene, run: &str) -> Value {
    let arguments = ["--json", "run", "create", "--workflow-path", "five", "--run-id", run];
    scene.tf(&[&arguments[..], &["--source-session-key", "agent:main:main"]].concat()).ok().json()
}

/// An `openclaw` that answers like a gateway, and notes what it was asked.
fn stand_in(scene: &Scene, answer: &str) {
    let program = scene.outside("openclaw");
    let asked = scene.outside("asked");
    fs::write(&program, format!("#!/bin/sh\nprintf '%s\\n' \"$*\" >>{}\n{answer}\n", asked.display())).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let line = format!("\n[openclaw]\ncli = \"{}\"\n", program.display());
    let config = scene.read("taskforge.toml");
    scene.write("taskforge.toml", config + &line);
}

fn asked(scene: &Scene) -> Vec<String> {
    fs::read_to_string(scene.outside("asked")).unwrap_or_default().lines().map(str::to_owned).collect()
}

#[test]
fn a_run_is_made_from_a_file_from_text_and_from_a_task() {
    let scene = ours();
    let made = create(&scene, "file");
    let keys: Vec<&String> = made.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "runId",
            "workflowId",
            "title",
            "status",
            "sourceSessionKey",
            "sourceAgentId",
            "rootSessionKey",
            "plannerSessionKey",
            "driverSessionKey",
            "updatedAt",
            "createdAt",
            "nodes",
            "lastEvent"
        ],
        "OpenTask's order, and nothing that is null"
    );
    let keys: Vec<&String> = made["nodes"][0].as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        ["id", "title", "kind", "status", "needs", "outputsMode", "artifactPaths", "workingMemory", "notes"]
    );
    let text = FIVE.replace("workflowId: five", "workflowId: text");
    let made = scene.tf(&["--json", "run", "create", "--workflow-markdown", &text, "--title", "Mine"]).ok().json();
    assert_eq!((&made["runId"], &made["title"]), (&json!("text-1"), &json!("Mine")));
    let task = "Look: --- at \"this\"\n{{ params.x }} and: that";
    let made = scene.tf(&["--json", "run", "create", "--task-text", task]).ok().json();
    assert_eq!((&made["runId"], &made["nodes"][0]["status"]), (&json!("task-1"), &json!("ready")));
    scene.tf(&["run", "create"]).exits(2);
    scene.tf(&["run", "create", "--task-text", "x", "--workflow-path", "five"]).exits(2);
    scene.tf(&["run", "create", "--workflow-path", "nothing"]).exits(3);
    scene.tf(&["run", "create", "--workflow-path", "five", "--run-id", "file"]).exits(7).complains("exists");
    let contained = scene.tf(&["run", "create", "--workflow-path", "review", "--run-id", "boxed"]).exits(2);
    contained.complains("`taskforge run start`");
    assert!(!scene.path("runs/boxed").exists());
    for broken in ["{", "[]", "3"] {
        scene.tf(&["run", "create", "--task-text", "x", "--delivery-context-json", broken]).exits(2);
    }
    for run in ["file", "text-1", "task-1"] {
        scene.tf(&["audit", "verify", run]).ok().says("sound");
    }
}

#[test]
fn each_kind_has_somebody_who_is_named() {
    for scene in [bare(), ours()] {
        create(&scene, "r");
        let said = scene.tf(&["tick", "r"]).ok();
        for waited in [
            "for node turn: `taskforge helper next r`",
            "for node child: `taskforge helper next r`",
            "for node pause: `taskforge control approve r pause`",
        ] {
            said.says(waited);
        }
        scene.tf(&["run", "show", "r"]).ok().says("a person: `taskforge approve ap-");
        // And again, when there is nothing new to be done.
        scene.tf(&["tick", "r"]).ok().says("for node turn");
        let shown = scene.show("r");
        assert_eq!(shown["waitsFor"].as_array().unwrap().len(), 4);
        for waiting in ["pause", "gate"] {
            assert_eq!(node(&shown, waiting)["status"], "waiting");
        }
        scene.tf(&["control", "approve", "r", "pause"]).ok();
        scene.tf(&["control", "skip", "r", "turn"]).ok();
        scene.tf(&["control", "skip", "r", "child"]).ok();
        scene.approve("r");
        scene.tf(&["tick", "r"]).ok().says("for node end");
        scene.tf(&["control", "skip", "r", "end"]).ok();
        assert_eq!(scene.show("r")["status"], "completed");
        scene.tf(&["audit", "verify", "r"]).ok().says("sound");
    }
}

#[test]
fn only_in_opentask_s_own_registry_an_approval_goes_by_without_a_decision() {
    let scene = bare();
    create(&scene, "r");
    scene.tf(&["control", "approve", "r", "--node-id", "gate"]).ok();
    assert_eq!(node(&scene.show("r"), "gate")["status"], "completed");
    scene.tf(&["audit", "verify", "r"]).ok().says("approval node gate went by without a decision");
    let scene = ours();
    create(&scene, "r");
    for action in ["approve", "skip"] {
        scene.tf(&["control", action, "r", "gate"]).exits(7).complains("takes a decision");
    }
    assert_eq!(node(&scene.show("r"), "gate")["status"], "waiting");
}

#[test]
fn a_ready_node_s_session_is_woken_once() {
    let scene = ours();
    stand_in(&scene, "echo '{\"status\": \"started\"}'");
    create(&scene, "r");
    scene.tf(&["tick", "r"]).ok().says("wake the session for turn, child");
    let calls = asked(&scene);
    assert_eq!(calls.len(), 1, "{calls:?}");
    for part in ["gateway call chat.send", "agent:main:main", "r/wake/1", "taskforge helper next r", "turn, child"] {
        assert!(calls[0].contains(part), "{part}: {calls:?}");
    }
    scene.tf(&["tick", "r"]).ok().says("it was woken at");
    assert_eq!(asked(&scene).len(), 1);
    assert_eq!(scene.events("r", "openclaw.delivered").len(), 1);
    // What becomes ready later is another reason to wake it.
    for control in
        [["control", "skip", "r", "turn"], ["control", "skip", "r", "child"], ["control", "approve", "r", "pause"]]
    {
        scene.tf(&control).ok();
    }
    scene.approve("r");
    scene.tf(&["tick", "r"]).ok();
    assert_eq!(asked(&scene).len(), 2);
    scene.is_sound_so_far("r");
}

#[test]
fn a_session_that_cannot_be_woken_is_tried_three_times_and_named() {
    let scene = ours();
    stand_in(&scene, "echo 'the gateway sleeps' >&2; exit 1");
    create(&scene, "r");
    scene.tf(&["tick", "r"]).ok();
    for _ in 0..3 {
        scene.tf(&["tick", "r"]).ok();
    }
    assert_eq!(asked(&scene).len(), 3);
    assert_eq!(scene.events("r", "openclaw.failed").len(), 3);
    scene.tf(&["run", "show", "r"]).ok().says("the gateway sleeps");
}

#[test]
fn messages_and_patches_go_out_once_and_wrong_ones_hold_up_nothing() {
    let scene = ours();
    create(&scene, "r");
    let without = scene.tf(&["control", "send_message", "r", "--message", "hello"]).exits(7);
    without.complains("[openclaw] cli");
    stand_in(&scene, "echo '{\"status\": \"started\"}'");
    scene.tf(&["tick", "r"]).ok();
    let before = asked(&scene).len();
    scene.tf(&["control", "patch_cron", "r", "--patch-json", "{\"enabled\": false}"]).exits(7).complains("no cron job");
    scene.tf(&["control", "send_message", "r", "--message", "hello; $(touch /tmp/x) \"there\""]).ok();
    let sent = asked(&scene);
    assert_eq!(sent.len(), before + 1);
    assert!(sent[before].contains("hello; $(touch /tmp/x)"), "{sent:?}");
    scene.tf(&["helper", "bind", "r", "cron", "--value", "job-1"]).ok();
    let state = scene.tf(&["--json", "control", "patch_cron", "r", "--patch-json", "{\"enabled\": false}"]).ok().json();
    assert_eq!((&state["runId"], &state["cronJobId"]), (&json!("r"), &json!("job-1")));
    let sent = asked(&scene);
    assert_eq!(sent.len(), before + 2);
    assert!(sent[before + 1].contains("cron.update") && sent[before + 1].contains("job-1"), "{sent:?}");
    scene.tf(&["control", "patch_cron", "r", "--patch-json", "{}"]).exits(2);
    scene.tf(&["control", "send_message", "r", "--message", " "]).exits(7);
    let rejected = scene.events("r", "control.rejected");
    assert_eq!(rejected.len(), 3, "{rejected:?}");
    scene.tf(&["tick", "r"]).ok();
    assert_eq!(asked(&scene).len(), before + 2, "nothing is sent twice");
}

#[test]
fn events_and_results_are_noted_as_opentask_prints_them() {
    let scene = ours();
    create(&scene, "r");
    let payload = "{\"a\": [1, 2.5, \"\\u2028\"]}";
    let line = scene
        .tf(&[
            "--json",
            "event",
            "append",
            "r",
            "note.made",
            "--node-id",
            "turn",
            "--message",
            " é ",
            "--payload-json",
            payload,
        ])
        .ok()
        .json();
    let keys: Vec<&String> = line.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["event", "runId", "timestamp", "nodeId", "message", "payload"]);
    assert_eq!(scene.events("r", "note.made"), [line]);
    assert!(scene.read("runs/r/events.jsonl").is_ascii());
    for own in ["node.completed", "capability.approved", "run.created", ""] {
        scene.tf(&["event", "append", "r", own]).exits(2);
    }
    scene.tf(&["event", "append", "r", "note.made", "--node-id", "nobody"]).exits(3);
    scene.tf(&["event", "append", "r", "note.made", "--payload-json", "[1]"]).exits(2);

    let call = [
        "--json",
        "node",
        "result",
        "r",
        "turn",
        "completed",
        "--summary",
        "done",
        "--artifacts-json",
        "[\"nodes/turn/report.md\"]",
    ];
    let said = scene.tf(&[&call[..], &["--payload-json", "{\"rows\": 3}", "--session-key", "k"]].concat()).ok().json();
    assert_eq!(said["path"], "nodes/turn/result.json");
    assert_eq!(said["result"], scene.json("runs/r/nodes/turn/result.json"));
    let keys: Vec<&String> = said["result"].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["runId", "nodeId", "status", "summary", "artifacts", "sessionKey", "payload"]);
    assert_eq!(node(&scene.show("r"), "turn")["status"], "ready", "a result moves nothing");
    for wrong in [
        &["node", "result", "r", "turn", "done"][..],
        &["node", "result", "r", "turn", "completed", "--artifacts-json", "[\"../../x\"]"],
        &["node", "result", "r", "turn", "completed", "--artifacts-json", "{}"],
    ] {
        scene.tf(wrong).exits(2);
    }
    scene.tf(&["node", "result", "r", "nobody", "completed"]).exits(3);
    scene.tf(&["node", "result", "r", "gate", "completed"]).exits(4).complains("takes a decision");
    let bound = scene
        .tf(&[
            "--json",
            "run",
            "bind",
            "r",
            "--root-session-key",
            "agent:main:other",
            "--delivery-context-json",
            "{\"to\": \"x\"}",
        ])
        .ok()
        .json();
    assert_eq!(bound["driverSessionKey"], "agent:main:other");
    assert_eq!(scene.json("runs/r/refs.json")["deliveryContext"], json!({"to": "x"}));
    scene.is_sound_so_far("r");
}

#[test]
fn a_definition_is_printed_with_opentask_s_defaults() {
    let scene = ours();
    let printed = scene.tf(&["workflow", "validate", "five", "--definition"]).ok().json();
    assert_eq!(printed["defaults"], json!({"agentId": "opentask", "timeoutMs": 30000}));
    assert_eq!(printed["nodes"][2]["waitFor"], json!({"type": "manual"}));
    assert_eq!(printed["nodes"][0]["outputs"], json!({"mode": "report", "requiredFiles": ["nodes/turn/report.md"]}));
    scene.tf(&["workflow", "validate", "five", "review", "--definition"]).exits(2);
}
