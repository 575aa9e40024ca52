//! OpenTask's programs and ours on one run at a time.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use super::script;
use crate::scene::{Scene, node};

const MANY: &str = "---
workflowId: many
title: Many
nodes:
  - {id: a, title: A, kind: session_turn, prompt: do it, outputs: {mode: notify}}
  - {id: b, title: B, kind: session_turn, prompt: do it, outputs: {mode: notify}}
  - {id: c, title: C, kind: session_turn, prompt: do it, outputs: {mode: notify}}
---
";

fn scene() -> Scene {
    let scene = Scene::new();
    scene.write("workflows/many.task.md", MANY);
    let create = ["run", "create", "--workflow-path", "many", "--run-id", "r"];
    scene.tf(&[&create[..], &["--source-session-key", "agent:main:main"]].concat()).ok();
    scene
}

/// A program like their service, which stops in the middle of each tick, with the lock held, until told to go on.
struct Service {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Service {
    fn start(scene: &Scene, node: &str, ticks: u32) -> Self {
        let mut command = Command::new("python3");
        command.arg(script("opentask_service.py")).arg(scene.path("runs/r")).arg(node).arg(ticks.to_string());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        Self { child, said }
    }

    fn says(&mut self, word: &str) {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        assert_eq!(line.trim(), word);
    }

    fn go_on(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn status<'a>(shown: &'a Value, id: &str) -> &'a Value {
    &node(shown, id)["status"]
}

fn readable(scene: &Scene) -> Vec<Value> {
    let journal = scene.read("runs/r/events.jsonl");
    let lines = journal.lines().filter(|line| !line.trim().is_empty());
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn what_the_service_writes_in_a_long_tick_and_what_waits_for_it_are_both_kept() {
    let scene = scene();
    let mut service = Service::start(&scene, "a", 3);
    let steps: [&[&str]; 3] = [
        &["helper", "transition-node", "r", "b", "running"],
        &["helper", "bind", "r", "node-session", "--node-id", "b", "--value", "agent:main:b"],
        &["helper", "transition-node", "r", "b", "completed"],
    ];
    for (tick, step) in steps.into_iter().enumerate() {
        if tick > 0 {
            service.go_on();
        }
        service.says("loaded");
        std::thread::scope(|scope| {
            let ours = scope.spawn(|| scene.tf(step).ok());
            // Readers are not kept waiting.
            scene.tf(&["run", "show", "r"]).ok();
            service.go_on();
            service.says("done");
            ours.join().unwrap();
        });
        let refs = scene.json("runs/r/refs.json");
        assert_eq!(refs["nodeRunIds"]["a"], format!("oc-run-{tick}"), "the service's binding is kept");
    }
    assert!(service.child.wait().unwrap().success());
    let shown = scene.show("r");
    assert_eq!((status(&shown, "a"), status(&shown, "b")), (&json!("running"), &json!("completed")));
    let refs = scene.json("runs/r/refs.json");
    assert_eq!(refs["nodeSessions"]["b"], "agent:main:b");
    assert_eq!(refs["driverRequestedEventCount"], 3);
    scene.tf(&["audit", "verify", "r"]).ok().says("sound");
    scene.tf(&["repair", "r"]).ok().says("whole");
}

#[test]
fn a_command_waits_for_the_service_only_so_long_and_has_then_changed_nothing() {
    let scene = scene();
    let mut service = Service::start(&scene, "a", 1);
    service.says("loaded");
    let error = scene.tf(&["--json", "run", "bind", "r", "--root-session-key", "agent:main:other"]).exits(5).error();
    assert_eq!(error["code"], "locked");
    scene.tf(&["repair", "r", "--dry-run"]).ok();
    service.go_on();
    service.says("done");
    assert!(service.child.wait().unwrap().success());
    assert_eq!(scene.json("runs/r/refs.json")["rootSessionKey"], "agent:main:main");
    scene.tf(&["run", "bind", "r", "--root-session-key", "agent:main:other"]).ok();
    let refs = scene.json("runs/r/refs.json");
    assert_eq!((&refs["rootSessionKey"], &refs["nodeRunIds"]["a"]), (&json!("agent:main:other"), &json!("oc-run-0")));
    assert_eq!(status(&scene.show("r"), "a"), "running");
    scene.tf(&["audit", "verify", "r"]).ok().says("sound");
}

#[test]
fn a_writer_without_the_lock_undoes_nothing_and_is_reported() {
    const THEIRS: usize = 60;
    let scene = scene();
    let mut writer = Command::new("python3");
    writer.arg(script("opentask_writer.py")).arg(scene.path("runs/r")).arg(THEIRS.to_string());
    let mut writer = writer.spawn().unwrap();
    let mut ours = 0;
    for id in ["a", "b", "c"] {
        for to in ["running", "completed"] {
            scene.tf(&["helper", "transition-node", "r", id, to]).ok();
        }
    }
    while writer.try_wait().unwrap().is_none() {
        scene.tf(&["helper", "progress", "r", &format!("ours {ours}")]).ok();
        ours += 1;
    }
    assert!(writer.wait().unwrap().success());
    scene.tf(&["helper", "progress", "r", "the last"]).ok();
    let shown = scene.show("r");
    for id in ["a", "b", "c"] {
        assert_eq!(status(&shown, id), "completed", "an old copy undid what was acknowledged");
    }
    let lines = readable(&scene);
    let of = |who: &str| {
        let message = |line: &&Value| line["message"].as_str().is_some_and(|text| text.starts_with(who));
        lines.iter().filter(message).count()
    };
    assert_eq!((of("theirs "), of("ours ")), (THEIRS, ours));
    reports_unlocked(&scene);
    scene.tf(&["repair", "r"]).ok().says("whole");
}

/// `audit verify` names each line of others that our next line did not know of when it was written, and no other.
fn reports_unlocked(scene: &Scene) {
    let journal = scene.read("runs/r/events.jsonl");
    let mut starts = Vec::new();
    let mut at = 0;
    for line in journal.split_inclusive('\n') {
        if !line.trim().is_empty() {
            starts.push((at, serde_json::from_str::<Value>(line).unwrap()));
        }
        at += line.len();
    }
    let expected: Vec<usize> = starts
        .iter()
        .enumerate()
        .filter(|(_, (_, line))| line["seq"].is_null())
        .filter_map(|(index, (start, _))| {
            let (_, next) = starts[index..].iter().find(|(_, line)| line["seq"].is_u64())?;
            (usize::try_from(next["at"].as_u64().unwrap()).unwrap() <= *start).then_some(*start)
        })
        .collect();
    let reports = scene.tf(&["audit", "verify", "r", "--json"]).ok().json();
    assert_eq!(reports[0]["problems"], json!([]));
    let warnings = reports[0]["warnings"].as_array().unwrap().iter();
    let named = warnings.filter(|warning| warning["what"].as_str().unwrap().contains("without the lock"));
    let named: Vec<usize> = named.map(|warning| usize::try_from(warning["byte"].as_u64().unwrap()).unwrap()).collect();
    assert_eq!(named, expected);
}

#[test]
fn an_old_copy_that_is_written_back_is_refused_by_name() {
    let scene = scene();
    let mut old = scene.json("runs/r/state.json");
    scene.tf(&["helper", "transition-node", "r", "a", "running"]).ok();
    scene.tf(&["helper", "transition-node", "r", "a", "completed"]).ok();
    old["nodes"][0]["status"] = json!("running");
    old["nodes"][1]["status"] = json!("running");
    scene.write("runs/r/state.json", serde_json::to_string_pretty(&old).unwrap());
    scene.tf(&["helper", "progress", "r", "on it"]).ok();
    let lines = readable(&scene);
    let adopted = lines.iter().find(|line| line["event"] == "registry.adopted").unwrap();
    assert_eq!(adopted["data"]["refused"][0]["what"], "node a", "{adopted:#}");
    let shown = scene.show("r");
    assert_eq!((status(&shown, "a"), status(&shown, "b")), (&json!("completed"), &json!("running")));
    assert_eq!(scene.json("runs/r/state.json")["nodes"][0]["status"], "completed");
    scene.tf(&["audit", "verify", "r"]).ok().says("sound");
}
