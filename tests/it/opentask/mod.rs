//! `taskforge helper` against OpenTask's helper: what is expected here was observed of that one, byte for byte, but for
//! what docs/opentask-compatibility.md lists.

mod approvals;
mod arguments;
mod bind;
mod differences;
mod mutation;
mod next;
mod progress;
mod reference;
mod result;
mod scaffold;
mod spec;
mod status;
mod transition;
mod validate;
mod weaknesses;

use serde_json::Value;

use crate::scene::{Call, Ended, Scene};

/// Four nodes, one after the other: a session, a subagent, an approval, a summary.
const DEMO: &str = "---
workflowId: demo
title: Demo workflow
nodes:
  - id: gather
    title: Gather
    kind: session_turn
    needs: []
    prompt: Do gather.
    outputs:
      mode: report
  - id: sub
    title: Sub
    kind: subagent
    needs: [gather]
    prompt: Do sub.
    outputs:
      mode: notify
  - id: ask
    title: Ask
    kind: approval
    needs: [sub]
    prompt: Do ask.
    outputs:
      mode: notify
  - id: summary
    title: Summary
    kind: summary
    needs: [ask]
    prompt: Do summary.
    outputs:
      mode: report
---
Body
";

const SCAFFOLD: [&str; 7] = [
    "scaffold",
    "--workflow-path",
    "workflows/demo.task.md",
    "--run-id",
    "r1",
    "--source-session-key",
    "agent:main:discord:channel:123",
];

/// A registry of OpenTask's: a folder with a workflow, and nothing of ours.
fn bare() -> Scene {
    let scene = Scene::empty();
    scene.write("workflows/demo.task.md", DEMO);
    scene
}

/// A registry of ours.
fn ours() -> Scene {
    let scene = Scene::new();
    scene.write("workflows/demo.task.md", DEMO);
    scene
}

/// A bare registry with the run `r1` of a workflow.
fn run_of(workflow: &str) -> Scene {
    let scene = bare();
    scene.write("workflows/demo.task.md", workflow);
    helper(&scene, &SCAFFOLD).ok();
    scene
}

fn helper(scene: &Scene, arguments: &[&str]) -> Call {
    scene.tf(&[&["helper"], arguments].concat())
}

/// Moves a node of `r1`.
fn to(scene: &Scene, node: &str, status: &str) -> Ended {
    helper(scene, &["transition-node", "r1", node, status]).ok()
}

/// A call that fails with this sentence and nothing on standard output.
#[track_caller]
fn refuses(scene: &Scene, arguments: &[&str], sentence: &str) {
    let ended = helper(scene, arguments).exits(1);
    let root = scene.root().canonicalize().unwrap().display().to_string();
    assert_eq!(
        (ended.stdout.as_str(), ended.stderr.replace(&root, "[REGISTRY]").trim_end()),
        ("", sentence),
        "{arguments:?}"
    );
}

/// One node with `more` lines, as the frontmatter of a workflow.
fn one_node(more: &str) -> String {
    format!(
        "---\nworkflowId: demo\ntitle: Demo\nnodes:\n  - id: a\n    title: A\n    kind: session_turn\n    prompt: Do it.\n{more}---\n"
    )
}

/// The lines of a run's journal as OpenTask would have written them: without our six keys.
fn events(scene: &Scene, run: &str) -> String {
    let mut text = String::new();
    for mut line in scene.journal(run) {
        let object = line.as_object_mut().unwrap();
        object.retain(|key, _| !["seq", "batch", "actor", "data", "at", "prev"].contains(&key.as_str()));
        text += &crate::scene::normal(&taskforge::registry::to_json_line(&line).unwrap());
        text.push('\n');
    }
    text
}

/// The names and nodes of a run's events.
fn names(scene: &Scene, run: &str) -> Vec<String> {
    let name = |line: &Value| match line["nodeId"].as_str() {
        Some(node) => format!("{} {node}", line["event"].as_str().unwrap()),
        None => line["event"].as_str().unwrap().to_owned(),
    };
    scene.journal(run).iter().map(name).collect()
}

fn state(scene: &Scene) -> Value {
    scene.json("runs/r1/state.json")
}

/// Node `id` of `state.json` of `r1`.
fn node_of(scene: &Scene, id: &str) -> Value {
    state(scene)["nodes"].as_array().unwrap().iter().find(|node| node["id"] == id).unwrap().clone()
}

/// A text with its times by name.
fn normal(text: &str) -> String {
    crate::scene::normal(text)
}

/// Everything under `runs/` and beside the registry, as paths.
fn all_files(scene: &Scene) -> Vec<String> {
    fn walk(folder: &std::path::Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            found.push(path.display().to_string());
            if path.is_dir() && !path.ends_with(".taskforge") {
                walk(&path, found);
            }
        }
    }
    let mut found = Vec::new();
    walk(scene.root().parent().unwrap(), &mut found);
    found.sort();
    found
}
