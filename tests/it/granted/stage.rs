//! A run with one agent that is a Python script.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::scene::Scene;

/// What every script can use: `ask(capability, wait)` gives the exit code and what the verb printed; `get(url)` a body
/// or the refusal's code; `say` leaves a line.
pub const PRELUDE: &str = r#"
import json, subprocess, sys, urllib.error, urllib.request
out = open("/workspace/said.txt", "a")
def say(*words):
    print(*words, file=out, flush=True)
def ask(capability, wait=100):
    verb = ["/taskforge/bin/taskforge", "agent", "request", capability, "--reason", "for the test", "--wait", str(wait)]
    done = subprocess.run(verb, capture_output=True, text=True)
    return done.returncode, json.loads(done.stdout or "{}")
def get(url):
    try:
        return urllib.request.urlopen(url, timeout=60).read().decode()
    except urllib.error.HTTPError as error:
        return json.load(error)["error"]["code"]
"#;

pub const RUN: &str = "r1";

/// A registry whose workflow runs `script` as node `work`.
pub fn stage(script: &str) -> Scene {
    stage_with(script, "")
}

/// [`stage`] with more lines for the container.
pub fn stage_with(script: &str, more: &str) -> Scene {
    let scene = Scene::new();
    let command = json!(["python3", "-c", format!("{PRELUDE}\n{script}")]);
    scene.commands("granted", &[("work", &format!("command: {command}\n{more}"), &["said.txt"])]);
    scene
}

/// Waits until `there` gives something; ticks the run meanwhile.
pub fn tick_until<T>(scene: &Scene, what: &str, mut there: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = there() {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(300), "waited in vain for {what}: {:#}", scene.show(RUN));
        scene.tf(&["tick", RUN]).ok();
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Starts the run and waits until something is asked for.
pub fn start(scene: &Scene) {
    scene.start("granted", RUN);
    wait_for_request(scene);
}

pub fn wait_for_request(scene: &Scene) {
    tick_until(scene, "a request", || (!scene.waiting(RUN).is_empty()).then_some(()));
}

/// What the script has said so far.
pub fn said(scene: &Scene) -> Vec<String> {
    let path = scene.path(&format!("runs/{RUN}/nodes/work/workspace/said.txt"));
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Waits until the script has said `line`.
pub fn hear(scene: &Scene, line: &str) {
    tick_until(scene, line, || said(scene).iter().any(|said| said == line).then_some(()));
}

/// Waits until the run is completed.
pub fn complete(scene: &Scene) {
    scene.tick_until(RUN, |shown| shown["status"] == "completed");
}

/// The gate's records of a kind.
pub fn records(scene: &Scene, kind: &str) -> Vec<Value> {
    let text = scene.read(&format!("runs/{RUN}/gate/traffic.jsonl"));
    let all = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    all.filter(|record| record["kind"] == kind).collect()
}
