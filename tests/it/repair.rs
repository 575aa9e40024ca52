//! `taskforge repair`: every damage that it calls safe is mended, whatever is not safe is left alone and told, and a dry
//! run changes nothing.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::scene::Scene;

const FOUR: &str = "---
workflowId: four
title: Four
nodes:
  - {id: turn, title: Turn, kind: session_turn, prompt: do it, outputs: {mode: report}}
  - {id: child, title: Child, kind: subagent, prompt: do it, outputs: {mode: notify}}
  - {id: pause, title: Pause, kind: wait, waitFor: {type: manual}, outputs: {mode: notify}}
  - {id: end, title: End, kind: summary, needs: [turn, child, pause], outputs: {mode: report}}
---
";

const RUN: &str = "runs/r";
const PROJECTIONS: [&str; 4] = ["state.json", "refs.json", "taskforge.json", "nodes/turn/result.json"];

/// A run in the middle of its work: one node reported, one running.
fn scene() -> Scene {
    let scene = Scene::new();
    scene.write("workflows/four.task.md", FOUR);
    let create = ["run", "create", "--workflow-path", "four", "--run-id", "r"];
    scene.tf(&[&create[..], &["--source-session-key", "agent:main:main"]].concat()).ok();
    scene.tf(&["helper", "transition-node", "r", "turn", "running"]).ok();
    scene.write("runs/r/nodes/turn/report.md", "the report\n");
    scene.tf(&["node", "result", "r", "turn", "completed", "--summary", "done"]).ok();
    scene.tf(&["helper", "transition-node", "r", "turn", "completed"]).ok();
    scene.tf(&["helper", "transition-node", "r", "child", "running"]).ok();
    assert!(scene.path(&format!("{RUN}/nodes/turn/result.json")).is_file());
    scene
}

/// Every file below the registry with its bytes, links with their targets, folders with nothing; and when it was changed.
fn tree(folder: &Path) -> BTreeMap<String, (Vec<u8>, SystemTime)> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let bytes = if meta.is_symlink() {
                fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
            } else if meta.is_dir() {
                open.push(path.clone());
                Vec::new()
            } else {
                fs::read(&path).unwrap()
            };
            found.insert(path.display().to_string(), (bytes, meta.modified().unwrap()));
        }
    }
    found
}

fn found(answer: &Value) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let found = answer["runs"][0]["found"].as_array().unwrap().iter();
    found.map(|it| (text(&it["safety"]), text(&it["kind"]), text(&it["file"]))).collect()
}

/// Mends a damage of the safe kind, and proves that it is mended.
#[track_caller]
fn mends(scene: &Scene, kind: &str, file: &str) -> Value {
    let before = tree(&scene.root());
    let dry = scene.tf(&["repair", "r", "--dry-run", "--json"]).ok().json();
    assert_eq!(tree(&scene.root()), before, "a dry run changed something");
    assert!(found(&dry).contains(&("safe".into(), kind.into(), file.into())), "{dry:#}");
    let done = scene.tf(&["repair", "r", "--json"]).ok().json();
    assert_eq!(found(&done), found(&dry));
    assert_eq!(done["runs"][0]["mended"].as_array().unwrap().len(), found(&dry).len());
    whole(scene);
    done
}

/// Nothing is found any more, the journal is sound, and the projections are those that it comes to.
#[track_caller]
fn whole(scene: &Scene) {
    let again = scene.tf(&["repair", "r", "--dry-run", "--json"]).ok().json();
    assert_eq!(found(&again), [], "{again:#}");
    scene.tf(&["audit", "verify", "r"]).ok().says("sound");
    let files = PROJECTIONS.map(|name| format!("{RUN}/{name}"));
    let before = files.clone().map(|file| scene.read(&file));
    files.iter().for_each(|file| fs::remove_file(scene.path(file)).unwrap());
    scene.tf(&["repair", "r"]).ok();
    assert_eq!(files.map(|file| scene.read(&file)), before, "projections made anew differ");
}

fn kept(scene: &Scene, done: &Value, name: &str) -> Vec<u8> {
    let folder = Path::new(done["runs"][0]["kept"].as_str().unwrap());
    assert!(folder.starts_with(scene.root().canonicalize().unwrap().join(".taskforge/repaired/r")), "{folder:?}");
    fs::read(folder.join(name)).unwrap()
}

fn age(path: &Path) {
    let file = fs::File::options().append(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(2 * 3600)).unwrap();
}

#[test]
fn a_run_without_damage_is_whole() {
    let scene = scene();
    let before = tree(&scene.root());
    scene.tf(&["repair", "r"]).ok().says("whole");
    scene.tf(&["repair", "--all"]).ok().says("whole");
    assert_eq!(tree(&scene.root()), before);
    scene.tf(&["repair", "nobody"]).exits(3);
    scene.tf(&["repair"]).exits(2);
}

#[test]
fn a_projection_is_made_anew_whatever_became_of_it() {
    let scene = scene();
    for name in PROJECTIONS {
        let file = format!("{RUN}/{name}");
        let good = scene.read(&file);
        fs::remove_file(scene.path(&file)).unwrap();
        mends(&scene, "projection", name);
        assert_eq!(scene.read(&file), good);

        scene.write(&file, &good[..good.len() / 2]);
        let done = mends(&scene, "projection", name);
        assert_eq!(kept(&scene, &done, name), good.as_bytes()[..good.len() / 2]);
        assert_eq!(scene.read(&file), good);

        fs::remove_file(scene.path(&file)).unwrap();
        symlink("/etc/passwd", scene.path(&file)).unwrap();
        let passwd = fs::read("/etc/passwd").unwrap();
        mends(&scene, "projection", name);
        assert_eq!(scene.read(&file), good);
        assert_eq!(fs::read("/etc/passwd").unwrap(), passwd);

        fs::remove_file(scene.path(&file)).unwrap();
        scene.write(&format!("{file}/inside"), "x");
        let done = mends(&scene, "projection", name);
        assert_eq!(kept(&scene, &done, &format!("{name}/inside")), b"x");
        assert_eq!(scene.read(&file), good);
    }
}

#[test]
fn projections_that_lag_behind_a_crash_are_caught_up() {
    let scene = scene();
    let files = ["state.json", "refs.json", "taskforge.json"].map(|name| format!("{RUN}/{name}"));
    let old = files.clone().map(|file| scene.read(&file));
    scene.tf(&["helper", "progress", "r", "further on"]).ok();
    let new = files.clone().map(|file| scene.read(&file));
    for (file, text) in files.iter().zip(&old) {
        scene.write(file, text);
    }
    mends(&scene, "projection", "taskforge.json");
    assert_eq!(files.map(|file| scene.read(&file)), new);
}

#[test]
fn a_torn_tail_is_voided_and_kept() {
    let scene = scene();
    let torn = br#"{"event": "node.started", "timestamp": "2026-"#;
    let journal = scene.path(&format!("{RUN}/events.jsonl"));
    fs::File::options().append(true).open(&journal).unwrap().write_all(torn).unwrap();
    mends(&scene, "torn", "events.jsonl");
    // What was voided is blank, and its line stays.
    assert_eq!(scene.read(&format!("{RUN}/events.jsonl")).matches("\"event\": \"journal.voided\"").count(), 1);
    let saved = fs::read(scene.path(&format!("{RUN}/events.torn"))).unwrap();
    assert!(saved.windows(torn.len()).any(|part| part == torn));
}

#[test]
fn an_old_temporary_file_is_moved_aside_and_a_young_one_left() {
    let scene = scene();
    for name in ["state.json.tmp", ".tmp-01ABC-0", "nodes/turn/.tmp-01ABC-1", "nodes/child/result.json.tmp"] {
        let file = format!("{RUN}/{name}");
        scene.write(&file, "half");
        scene.tf(&["repair", "r", "--dry-run"]).ok().says("whole");
        age(&scene.path(&file));
        let done = mends(&scene, "temporary", name);
        assert!(!scene.path(&file).exists());
        assert_eq!(kept(&scene, &done, name), b"half");
    }
}

#[test]
fn what_is_missing_of_a_run_is_made_anew() {
    let scene = scene();
    let handoff = scene.read(&format!("{RUN}/nodes/child/handoff.md"));
    fs::remove_dir_all(scene.path(&format!("{RUN}/nodes/child"))).unwrap();
    mends(&scene, "folder", "nodes/child");
    assert_eq!(scene.read(&format!("{RUN}/nodes/child/handoff.md")), handoff);
    fs::remove_file(scene.path(&format!("{RUN}/nodes/child/handoff.md"))).unwrap();
    mends(&scene, "handoff", "nodes/child/handoff.md");
    assert_eq!(scene.read(&format!("{RUN}/nodes/child/handoff.md")), handoff);
    fs::remove_file(scene.path(&format!("{RUN}/control.jsonl"))).unwrap();
    mends(&scene, "controls", "control.jsonl");
    assert_eq!(scene.read(&format!("{RUN}/control.jsonl")), "");
}

#[test]
fn a_head_that_lags_or_cannot_be_read_is_written_again() {
    let scene = scene();
    let head = ".taskforge/heads/r";
    let old = scene.read(head);
    scene.tf(&["helper", "progress", "r", "further on"]).ok();
    let good = scene.read(head);
    for damage in [old.as_str(), "", "{\"at\": "] {
        scene.write(head, damage);
        let done = mends(&scene, "head", ".taskforge/heads/r");
        assert_eq!(scene.read(head), good);
        assert_eq!(kept(&scene, &done, "head"), damage.as_bytes());
    }
}

#[test]
fn what_another_program_changed_is_taken_over_and_what_is_refused_is_named() {
    let scene = scene();
    let file = format!("{RUN}/state.json");
    let mut state = scene.json(&file);
    // One that is legal, and one that would undo what was acknowledged.
    state["nodes"][1]["status"] = json!("completed");
    state["nodes"][0]["status"] = json!("pending");
    let theirs = format!("{}\n", serde_json::to_string_pretty(&state).unwrap());
    scene.write(&file, &theirs);
    let dry = scene.tf(&["repair", "r", "--dry-run", "--json"]).ok().json();
    let what = dry["runs"][0]["found"][0]["what"].as_str().unwrap();
    assert!(what.contains("Refused of node turn"), "{what}");
    let done = mends(&scene, "adoption", "state.json");
    assert_eq!(kept(&scene, &done, "state.json"), theirs.as_bytes());
    assert_eq!(scene.events("r", "registry.adopted").len(), 1);
    let state = scene.json(&file);
    assert_eq!(state["nodes"][0]["status"], "completed");
    assert_eq!(state["nodes"][1]["status"], "completed");
}

/// A damage that only a person can mend: told, with the code for it, and nothing of it is touched.
#[track_caller]
fn refuses(scene: &Scene, kind: &str, file: &str) {
    let bytes = fs::read(scene.path(&format!("{RUN}/{file}"))).ok();
    let before = tree(&scene.root());
    let dry = scene.tf(&["repair", "r", "--dry-run", "--json"]).exits(8).json();
    assert_eq!(tree(&scene.root()), before);
    assert!(found(&dry).contains(&("unsafe".into(), kind.into(), file.into())), "{dry:#}");
    let done = scene.tf(&["repair", "r", "--json"]).exits(8).json();
    assert!(!done["runs"][0]["remaining"].as_array().unwrap().is_empty());
    assert_eq!(fs::read(scene.path(&format!("{RUN}/{file}"))).ok(), bytes);
    let doctor = scene.tf(&["doctor", "--runs", "--json"]).exits(1).json();
    let runs = doctor.as_array().unwrap().iter().find(|check| check["name"] == "runs").unwrap();
    assert_eq!((&runs["grade"], &runs["fix"]), (&json!("bad"), &json!("taskforge repair --all --dry-run")));
}

#[test]
fn a_journal_that_was_cut_altered_or_removed_is_left_alone() {
    let scene = scene();
    let file = format!("{RUN}/events.jsonl");
    let good = scene.read(&file);
    let lines: Vec<&str> = good.split_inclusive('\n').collect();
    scene.write(&file, lines[..lines.len() - 1].concat());
    refuses(&scene, "journal", "events.jsonl");
    scene.write(&file, good.replacen("\"Turn\"", "\"Turm\"", 1));
    refuses(&scene, "journal", "events.jsonl");
    fs::remove_file(scene.path(&file)).unwrap();
    refuses(&scene, "journal", "events.jsonl");
    scene.write(&file, good);
    whole(&scene);
}

#[test]
fn a_workflow_that_is_not_the_runs_is_left_alone_while_the_rest_is_mended() {
    let scene = scene();
    let state = scene.read(&format!("{RUN}/state.json"));
    fs::remove_file(scene.path(&format!("{RUN}/state.json"))).unwrap();
    scene.write(&format!("{RUN}/workflow.lock.md"), "another");
    refuses(&scene, "workflow", "workflow.lock.md");
    assert_eq!(scene.read(&format!("{RUN}/state.json")), state);
}

#[test]
fn a_foreign_run_that_cannot_be_read_is_left_alone_and_one_that_can_too() {
    let scene = scene();
    scene.write("runs/theirs/events.jsonl", "").write("runs/theirs/control.jsonl", "");
    scene.write("runs/theirs/state.json", "{\"nodes\": 7}").write("runs/theirs/workflow.lock.md", "x");
    let answer = scene.tf(&["repair", "theirs", "--json"]).exits(8).json();
    assert_eq!(found(&answer), [("unsafe".into(), "foreign".into(), "state.json".into())]);
    let theirs = json!({"runId": "theirs", "workflowId": "w", "title": "W", "status": "running", "rootSessionKey": "k",
        "nodes": [{"id": "a", "title": "A", "kind": "session_turn", "status": "ready"}]});
    scene.write("runs/theirs/state.json", theirs.to_string());
    let answer = scene.tf(&["repair", "theirs", "--json"]).ok().json();
    assert_eq!(found(&answer), [("info".into(), "foreign".into(), "state.json".into())]);
    assert_eq!(scene.read("runs/theirs/events.jsonl"), "");
}

#[test]
fn unknown_files_are_told_and_stay() {
    let scene = scene();
    scene.write(&format!("{RUN}/notes.txt"), "mine").write(&format!("{RUN}/nodes/ghost/x"), "mine");
    let answer = scene.tf(&["repair", "r", "--json"]).ok().json();
    let told = |file: &str| ("info".to_owned(), "unknown".to_owned(), file.to_owned());
    assert_eq!(found(&answer), [told("notes.txt"), told("nodes/ghost")]);
    assert_eq!(scene.read(&format!("{RUN}/notes.txt")), "mine");
}

#[test]
fn the_doctor_counts_runs_that_go_on_and_all_only_when_asked() {
    let scene = scene();
    let runs = |arguments: &[&str]| {
        let mut call = scene.tf(&[&["doctor", "--json"], arguments].concat());
        // The machine of the test may lack an Engine: only what is said of the runs counts here.
        call = call.env("DOCKER_HOST", "unix:///nowhere");
        let checks = call.exits(1).json();
        checks.as_array().unwrap().iter().find(|check| check["name"] == "runs").unwrap().clone()
    };
    assert_eq!(runs(&[])["grade"], "good");
    fs::remove_file(scene.path(&format!("{RUN}/refs.json"))).unwrap();
    assert_eq!(runs(&[])["grade"], "note");
    assert_eq!(runs(&[])["fix"], "taskforge repair --all --dry-run");
    scene.tf(&["control", "cancel", "r"]).ok();
    fs::remove_file(scene.path(&format!("{RUN}/refs.json"))).unwrap();
    assert_eq!(runs(&[])["grade"], "good");
    assert_eq!(runs(&["--runs"])["grade"], "note");
}
