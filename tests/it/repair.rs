//! Damage that can be mended is, with what was replaced kept; damage that cannot is named and left alone.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::scene::Scene;

const WORKFLOW: &str = "---
workflowId: w
title: W
nodes:
  - {id: a, title: A, kind: session_turn, prompt: do, outputs: {mode: notify}}
  - {id: b, title: B, kind: subagent, needs: [a], prompt: do, outputs: {mode: notify}}
---
";

/// The file that is damaged, and how.
type Damage = (&'static str, fn(&Scene));

fn scene() -> Scene {
    let scene = Scene::new();
    scene.write("workflows/w.task.md", WORKFLOW);
    scene.tf(&["run", "create", "--workflow-path", "w", "--run-id", "r"]).ok();
    scene.tf(&["helper", "transition-node", "r", "a", "running"]).ok();
    scene
}

/// Everything below the registry, byte for byte.
fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        if entry.file_type().unwrap().is_dir() {
            found.insert(format!("{}/", entry.path().display()), Vec::new());
            found.extend(tree(&entry.path()));
        } else {
            found.insert(entry.path().display().to_string(), fs::read(entry.path()).unwrap());
        }
    }
    found
}

#[test]
fn a_run_with_nothing_wrong_is_left_alone() {
    let scene = scene();
    let before = tree(&scene.root());
    for arguments in [&["repair"][..], &["repair", "--dry-run"], &["repair", "r"], &["doctor", "--runs"]] {
        let said = scene.tf(arguments);
        if arguments[0] == "repair" {
            said.ok().says("Nothing is wrong");
        }
    }
    assert_eq!(tree(&scene.root()), before);
}

#[test]
fn what_is_safe_is_mended_and_what_was_replaced_is_kept() {
    let damages: [Damage; 9] = [
        ("state.json", |scene| {
            scene.write("runs/r/state.json", "{");
        }),
        ("refs.json", |scene| fs::remove_file(scene.path("runs/r/refs.json")).unwrap()),
        ("taskforge.json", |scene| {
            scene.write("runs/r/taskforge.json", "[]");
        }),
        ("control.jsonl", |scene| fs::remove_file(scene.path("runs/r/control.jsonl")).unwrap()),
        ("nodes/a", |scene| fs::remove_dir_all(scene.path("runs/r/nodes/a")).unwrap()),
        ("nodes/b/handoff.md", |scene| fs::remove_file(scene.path("runs/r/nodes/b/handoff.md")).unwrap()),
        ("events.jsonl", |scene| {
            let journal = scene.read("runs/r/events.jsonl");
            let half = journal.lines().last().unwrap()[..200].to_owned();
            scene.write("runs/r/events.jsonl", journal + &half);
        }),
        (".tmp-01ABC-0", |scene| {
            scene.write("runs/r/.tmp-01ABC-0", "half");
            let old = fs::FileTimes::new().set_modified(SystemTime::now() - Duration::from_secs(7200));
            fs::File::options().write(true).open(scene.path("runs/r/.tmp-01ABC-0")).unwrap().set_times(old).unwrap();
        }),
        ("state.json", |scene| {
            let state = scene.read("runs/r/state.json").replacen(
                "\"running\",\n      \"sessionKey\"",
                "\"completed\",\n      \"sessionKey\"",
                1,
            );
            scene.write("runs/r/state.json", state);
        }),
    ];
    for (file, damage) in damages {
        let scene = scene();
        damage(&scene);
        let before = tree(&scene.root());
        let found = scene.tf(&["--json", "repair", "--dry-run"]).ok().json();
        let findings = found["findings"].as_array().unwrap();
        assert!(
            findings.iter().any(|finding| finding["file"] == file && finding["safe"] == json!(true)),
            "{file}: {findings:?}"
        );
        assert_eq!(tree(&scene.root()), before, "a look at {file} wrote something");
        let mended = scene.tf(&["--json", "repair", "r"]).ok().json();
        if let Some(kept) = mended["kept"].as_array().unwrap().first() {
            let kept = Path::new(kept.as_str().unwrap()).join(file);
            assert_eq!(
                fs::read(&kept).ok().as_ref(),
                before.get(&scene.path("runs/r").join(file).display().to_string()),
                "{file}"
            );
        }
        scene.tf(&["repair"]).ok().says("Nothing is wrong");
        scene.is_sound_so_far("r");
    }
}

#[test]
fn what_is_not_safe_is_named_and_not_touched() {
    let damages: [Damage; 3] = [
        ("events.jsonl", |scene| {
            let journal =
                scene.read("runs/r/events.jsonl").replace("do the work", "x").replacen("session", "SESSION", 1);
            scene.write("runs/r/events.jsonl", journal);
        }),
        ("events.jsonl", |scene| {
            let journal = scene.read("runs/r/events.jsonl");
            let short: Vec<&str> = journal.lines().take(2).collect();
            scene.write("runs/r/events.jsonl", short.join("\n") + "\n");
        }),
        ("workflow.lock.md", |scene| {
            scene.write("runs/r/workflow.lock.md", WORKFLOW.replace("do,", "do more,"));
        }),
    ];
    for (file, damage) in damages {
        let scene = scene();
        damage(&scene);
        let journal = scene.read("runs/r/events.jsonl");
        let found = scene.tf(&["--json", "repair"]).exits(8).json();
        let findings = found["findings"].as_array().unwrap();
        assert!(
            findings.iter().any(|finding| finding["file"] == file && finding["safe"] == json!(false)),
            "{file}: {findings:?}"
        );
        assert_eq!(scene.read("runs/r/events.jsonl"), journal);
        scene.tf(&["repair", "--dry-run"]).exits(8).says("not mended");
    }
}
