//! How many tasks at once, for how long, and that an agent's end is one.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{agent, agent_journal, hire};
use crate::docker_api;
use crate::scene::{Scene, ends, node, text};

/// A workflow whose one node the agent does: until somebody puts `go` into its workspace.
fn waits(scene: &Scene, name: &str) {
    let script = "touch begun; while [ ! -e go ]; do sleep 0.02; done; echo done > out";
    let container = format!("command: {}\nagent: {name}", json!(["sh", "-c", script]));
    scene.commands(&format!("for-{name}"), &[("work", &container, &["out"])]);
}

fn go(scene: &Scene, run: &str) {
    scene.write(&format!("runs/{run}/nodes/work/workspace/go"), "");
}

fn begun(scene: &Scene, run: &str) {
    let file = scene.path(&format!("runs/{run}/nodes/work/workspace/begun"));
    let since = Instant::now();
    while !file.exists() {
        assert!(since.elapsed() < Duration::from_secs(120), "run {run} does not begin");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_second_task_waits_says_so_and_is_done_in_turn() {
    let scene = Scene::new();
    hire(&scene, "ada", "");
    waits(&scene, "ada");
    scene.start("for-ada", "one");
    begun(&scene, "one");
    scene.start("for-ada", "two");
    let ticked = scene.tf(&["tick", "two", "--json"]).ok().json();
    let said = ticked.to_string();
    assert!(said.contains("agent `ada` works on one/work, and on 1 at once at most"), "{said}");
    let progress = scene.events("two", "run.progress");
    assert_eq!(progress.len(), 1, "said once: {progress:#?}");
    assert!(text(&progress[0]["message"]).contains("queued: agent `ada` works on one/work"), "{progress:#?}");
    scene.start("for-ada", "three");
    scene.tf(&["tick", "three"]).ok();
    assert_eq!(agent(&scene, "ada")["queue"], json!([["two", "work"], ["three", "work"]]));
    assert_eq!(node(&scene.show("two"), "work")["status"], "ready");
    go(&scene, "one");
    scene.drive("one", 0);
    // The last does not overtake.
    let ticked = scene.tf(&["tick", "three", "--json"]).ok().json().to_string();
    assert!(ticked.contains("two/work is before it in the queue of agent `ada`"), "{ticked}");
    scene.tf(&["tick", "two"]).ok();
    begun(&scene, "two");
    assert_eq!(agent(&scene, "ada")["queue"], json!([["three", "work"]]));
    // One that is cancelled is in nobody's way.
    scene.tf(&["run", "cancel", "two", "--reason", "x"]).ok();
    scene.tick_until("two", |shown| {
        shown["status"] == "cancelled" && shown["nodes"][0]["attempts"][0]["outcome"] == "cancelled"
    });
    scene.tf(&["tick", "three"]).ok();
    begun(&scene, "three");
    go(&scene, "three");
    scene.drive("three", 0);
    assert_eq!((agent(&scene, "ada")["tasks"].clone(), agent(&scene, "ada")["active"].clone()), (json!(3), json!([])));
    for run in ["one", "three"] {
        scene.is_sound(run);
    }
}

#[test]
fn whoever_follows_the_second_drives_the_first() {
    let scene = Scene::new();
    hire(&scene, "ada", "");
    scene.commands("short", &[("work", "command: [sh, -c, 'sleep 1; echo x > out']\nagent: ada", &["out"])]);
    scene.start("short", "one");
    // Nobody ticks the first by itself.
    scene
        .tf(&["run", "start", "short", "--run-id", "two", "--follow"])
        .ok()
        .says("queued: agent `ada` works on one/work");
    assert_eq!(scene.show("one")["status"], "completed");
}

#[test]
fn two_at_once_where_the_role_says_so_and_a_place_that_a_crash_left_is_found() {
    let scene = Scene::new();
    hire(&scene, "ada", "tasks: {maxConcurrent: 2}");
    waits(&scene, "ada");
    for run in ["one", "two"] {
        scene.start("for-ada", run);
        begun(&scene, run);
    }
    scene.start("for-ada", "three");
    assert_eq!(node(&scene.show("three"), "work")["status"], "ready");
    // As if its host had died between the end of the attempt and the note that its place is free.
    go(&scene, "one");
    scene.drive("one", 0);
    let journal = scene.read("agents/ada/events.jsonl");
    let lines: Vec<&str> = journal.lines().collect();
    assert!(lines.last().unwrap().contains("task.ended"), "{journal}");
    scene.write("agents/ada/events.jsonl", lines[..lines.len() - 1].join("\n") + "\n");
    std::fs::remove_file(scene.path(".taskforge/heads/@ada")).unwrap();
    scene.tf(&["tick", "three"]).ok();
    begun(&scene, "three");
    let active = agent(&scene, "ada")["active"].clone();
    assert_eq!(active.as_array().unwrap().len(), 2, "{active}");
    for run in ["two", "three"] {
        go(&scene, run);
        scene.drive(run, 0);
    }
}

#[test]
fn time_is_over_when_the_role_says_so() {
    let scene = Scene::new();
    hire(&scene, "ada", "tasks: {timeout: 2s}");
    scene.commands("slow", &[("work", "command: [sleep, '600']\nagent: ada", &[])]);
    scene.start("slow", "s");
    scene.drive("s", 1);
    assert_eq!(ends(&scene.show("s"), "work")[0].0, "timeout");
}

#[test]
fn an_offboarded_agent_does_nothing_from_that_moment() {
    let scene = Scene::new();
    hire(&scene, "ada", "allowedActions: [memory.set]");
    waits(&scene, "ada");
    scene.tf(&["memory", "set", "ada", "kept", "for the archive"]).ok();
    scene.start("for-ada", "one");
    begun(&scene, "one");
    scene.start("for-ada", "two");
    scene.tf(&["tick", "two"]).ok();
    let done = scene.tf(&["agent", "offboard", "ada", "--reason", "moved on", "--json"]).ok().json();
    assert_eq!((&done["ended"], &done["dropped"]), (&json!(["one/work/1"]), &json!(["two/work"])));
    assert_eq!(docker_api::containers(&scene.id()), Vec::<Value>::new(), "nothing of it runs");
    let shown = scene.show("one");
    assert_eq!(ends(&shown, "work"), [("offboarded".to_owned(), "agent `ada` was offboarded".to_owned())]);
    assert_eq!(shown["status"], "failed");
    let two = scene.show("two");
    assert!(two.to_string().contains("agent `ada` was offboarded"), "{two:#}");
    scene.tf(&["agent", "run", "ada", "x", "--detach"]).exits(4).complains("was offboarded");
    scene.tf(&["memory", "set", "ada", "a", "b"]).exits(4);
    // Its archive can be read.
    assert_eq!(scene.tf(&["memory", "get", "ada", "kept"]).ok().stdout, "for the archive\n");
    scene.tf(&["agent", "show", "ada"]).ok().says("offboarded").says("moved on");
    assert!(agent_journal(&scene, "ada").iter().any(|line| line["event"] == "agent.offboarded"));
    for run in ["one", "two"] {
        scene.is_sound(run);
    }
}
