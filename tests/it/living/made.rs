//! Runs that OpenTask's helper and its service made. `fixtures/helper-made` is what its helper wrote; `service-made` is the
//! same run in the form in which its service writes.

use std::fs;

use serde_json::{Value, json};

use super::{copy, theirs};
use crate::scene::{Scene, node, text};

fn status(scene: &Scene, run: &str, id: &str) -> String {
    text(&node(&scene.show(run), id)["status"])
}

/// Looking at a run of theirs changes none of its bytes.
fn is_only_looked_at(scene: &Scene, run: &str) {
    let names = ["state.json", "refs.json", "events.jsonl", "control.jsonl", "workflow.lock.md"];
    let read = || names.map(|name| fs::read(scene.path(&format!("runs/{run}/{name}"))).ok());
    let before = read();
    scene.tf(&["run", "list"]).ok().says(run);
    scene.tf(&["run", "show", run]).ok().says("gather");
    scene.tf(&["helper", "status", run]).ok();
    scene.tf(&["audit", "verify", run]).ok().says("sound");
    scene.tf(&["repair", run]).ok();
    assert_eq!(read(), before);
    assert!(!scene.path(&format!("runs/{run}/taskforge.json")).exists());
}

/// What they wrote stands in the journal as they wrote it, before and between what is ours.
fn keeps_their_lines(scene: &Scene, run: &str, theirs: &str) {
    let journal = scene.read(&format!("runs/{run}/events.jsonl"));
    assert!(journal.starts_with(theirs));
    scene.tf(&["audit", "verify", run]).ok().says("sound");
    scene.tf(&["repair", run]).ok().says("whole");
}

#[test]
fn a_run_of_their_helper_is_opened_taken_on_and_ended() {
    let scene = theirs("helper-made");
    is_only_looked_at(&scene, "helper-made");
    let before = scene.read("runs/helper-made/events.jsonl");
    let run = "helper-made";
    assert_eq!(status(&scene, run, "gather"), "completed");
    assert_eq!(status(&scene, run, "draft"), "ready");
    let bind = ["helper", "bind", run, "child-session", "--node-id", "draft", "--value", "agent:main:subagent:y"];
    scene.tf(&bind).ok();
    scene.tf(&["run", "bind", run, "--root-session-key", "agent:main:root"]).ok();
    for to in ["running", "completed"] {
        scene.tf(&["helper", "transition-node", run, "draft", to]).ok();
    }
    scene.tf(&["node", "result", run, "draft", "completed", "--summary", "drafted"]).ok();
    scene.tf(&["control", "pause", run]).ok();
    scene.tf(&["tick", run]).ok();
    assert_eq!(scene.show(run)["status"], "paused");
    scene.tf(&["control", "resume", run]).ok();
    scene.tf(&["tick", run]).ok();
    // A bare registry is OpenTask's, with its rules: the session that drives the run answers an approval.
    for (id, steps) in [("sign", ["running", "completed"]), ("sum", ["running", "completed"])] {
        for to in steps {
            scene.tf(&["helper", "transition-node", run, id, to]).ok();
        }
    }
    assert_eq!(scene.show(run)["status"], "completed");
    let state = scene.json("runs/helper-made/state.json");
    assert_eq!(state["cronJobId"], "job-7");
    assert_eq!(state["rootSessionKey"], "agent:main:root");
    assert_eq!(state["deliveryContext"], json!({"channel": "mail", "to": "ada"}));
    assert_eq!(state["title"], "Plan für später");
    keeps_their_lines(&scene, run, &before);
}

#[test]
fn a_run_of_their_service_is_opened_and_taken_on() {
    let scene = theirs("service-made");
    is_only_looked_at(&scene, "service-made");
    let before = scene.read("runs/service-made/events.jsonl");
    let run = "service-made";
    assert_eq!(status(&scene, run, "draft"), "running");
    scene.tf(&["helper", "transition-node", run, "draft", "completed"]).ok();
    scene.write("runs/service-made/nodes/pause/go", "");
    scene.tf(&["tick", run]).ok();
    assert_eq!(status(&scene, run, "pause"), "completed");
    let refs = scene.json("runs/service-made/refs.json");
    // What they applied is not applied again, and what they count is kept.
    assert_eq!(refs["appliedControlIds"].as_array().unwrap().len(), 2);
    assert_eq!(scene.show(run)["status"], "running");
    assert_eq!((&refs["driverRequestedEventCount"], &refs["lastProgressEventCount"]), (&json!(4), &json!(3)));
    assert_eq!(refs["nodeRunIds"]["draft"], "oc-run-1");
    assert_eq!(scene.json("runs/service-made/state.json")["nodes"][4]["notes"], json!(["waits"]));
    keeps_their_lines(&scene, run, &before);
}

#[test]
fn references_under_their_older_name_are_read() {
    let scene = theirs("service-made");
    let file = |name: &str| scene.path(&format!("runs/service-made/{name}"));
    fs::rename(file("refs.json"), file("openclaw.json")).unwrap();
    is_only_looked_at(&scene, "service-made");
    scene.tf(&["helper", "progress", "service-made", "on it"]).ok();
    let refs = scene.json("runs/service-made/refs.json");
    assert_eq!(refs["childSessions"]["draft"], "agent:main:subagent:x");
    assert_eq!(refs["appliedControlIds"].as_array().unwrap().len(), 2);
    scene.tf(&["repair", "service-made"]).ok().says("whole");
}

#[test]
fn a_run_of_theirs_in_a_registry_of_ours_keeps_its_approval_for_a_person() {
    let scene = Scene::new();
    copy(&crate::model_server::repository("tests/it/living/fixtures/helper-made"), &scene.path("runs/helper-made"));
    for to in ["running", "completed"] {
        scene.tf(&["helper", "transition-node", "helper-made", "draft", to]).ok();
    }
    scene.tf(&["tick", "helper-made"]).ok();
    let mut state = scene.json("runs/helper-made/state.json");
    assert_eq!(state["nodes"][2]["status"], "waiting");
    state["nodes"][2]["status"] = json!("completed");
    scene.write("runs/helper-made/state.json", state.to_string());
    scene.tf(&["helper", "progress", "helper-made", "on it"]).ok();
    let journal = scene.read("runs/helper-made/events.jsonl");
    let mut adopted = journal.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let adopted = adopted.rfind(|line| line["event"] == "registry.adopted").unwrap();
    assert_eq!(adopted["data"]["refused"][0]["what"], "node sign", "{adopted:#}");
    assert_eq!(status(&scene, "helper-made", "sign"), "waiting");
    scene.tf(&["audit", "verify", "helper-made"]).ok().says("sound");
}
