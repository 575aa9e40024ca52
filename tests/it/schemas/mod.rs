//! The committed JSON Schemas against real files: every file of the runs that the tests make and of the recorded
//! registry fits its schema, and a file that was changed does not.

mod fit;
mod mutated;

use std::path::Path;

use crate::scene::Scene;
pub use fit::{count_by_schema, misfits};

/// A registry as an earlier version and this one left it.
pub fn recorded() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/registry-v1")
}

#[test]
fn the_recorded_registry_fits() {
    assert_eq!(misfits(&recorded()), Vec::<String>::new());
    let counted = count_by_schema(&recorded());
    for name in fit::NAMES {
        // The gate's messages are gone once they are journaled, and what is of one machine is not recorded.
        let absent = [
            "inbox-message.json",
            "kill-lock.json",
            "tick.json",
            "vault-log.jsonl",
            "agent-events.jsonl",
            "agent.json",
            "memory.json",
            "role.md",
            "schedule.json",
            "watch.json",
        ]
        .contains(&name);
        assert!(absent || counted.contains_key(name), "no {name} in the recorded registry");
    }
}

#[test]
fn a_run_of_sessions_fits_at_every_step() {
    let scene = Scene::new();
    scene.write("workflows/talk.task.md", fit::read(&recorded().join("workflows/talk.task.md")));
    let fits = |step: &str| assert_eq!(misfits(&scene.root()), Vec::<String>::new(), "{step}");
    let key = ["--source-session-key", "agent:main:main"];
    scene.tf(&[&["run", "create", "--workflow-path", "talk", "--run-id", "talk"], &key[..]].concat()).ok();
    fits("created");
    scene.tf(&["event", "append", "talk", "note.taken", "--message", "\u{e9}", "--payload-json", "{\"a\":[1]}"]).ok();
    fits("noted");
    scene.tf(&["control", "pause", "talk"]).ok();
    scene.tf(&["control", "resume", "talk"]).ok();
    fits("paused and resumed");
    let payload = ["--summary", "Planned.", "--payload-json", "{\"steps\": 2}", "--session-key", "agent:main:plan"];
    scene.tf(&[&["node", "result", "talk", "plan", "completed"], &payload[..]].concat()).ok();
    fits("with a result");
    let state = scene.read("runs/talk/state.json");
    scene.write("runs/talk/state.json", state.replacen("\"status\": \"ready\"", "\"status\": \"skipped\"", 1));
    scene.tf(&["tick", "talk"]).ok();
    fits("with what another program changed");
    scene.tf(&["control", "cancel", "talk"]).ok();
    scene.tf(&["kill", "--reason", "enough"]).ok();
    fits("cancelled and killed");
    assert!(count_by_schema(&scene.root()).contains_key("kill-lock.json"));
}

/// One line of each event, and the workflows and recordings that are shipped.
#[test]
fn recorded_events_and_shipped_workflows_fit() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec![("events.jsonl", repository.join("tests/fixtures/events-v1.jsonl"))];
    for entry in std::fs::read_dir(repository.join("workflows")).unwrap() {
        let path = entry.unwrap().path();
        files.push((if path.extension().unwrap() == "jsonl" { "replay.jsonl" } else { "task.md" }, path));
    }
    assert!(files.len() > 3);
    for (name, path) in files {
        for (place, value) in fit::values(name, &fit::read(&path)) {
            assert_eq!(fit::problem(name, &value), None, "{}{place}", path.display());
        }
    }
}

/// A message as the gate writes it, by the kinds that there are.
#[test]
fn messages_of_the_gate_fit() {
    let folder = tempfile::tempdir().unwrap();
    let inbox = folder.path().join("runs/r/gate/inbox");
    std::fs::create_dir_all(&inbox).unwrap();
    for (id, kind, body) in [
        ("01JD2Z3V5Q8M4K7N9P1R2S3T4A", "capability", "{\"capability\":\"pip:pygal\",\"reason\":\"x\"}"),
        ("01JD2Z3V5Q8M4K7N9P1R2S3T4B", "progress", "{\"message\":\"x\"}"),
        ("01JD2Z3V5Q8M4K7N9P1R2S3T4C", "result", "{\"result\":[]}"),
        ("01JD2Z3V5Q8M4K7N9P1R2S3T4D", "order", "{}"),
    ] {
        let text = format!(
            "{{\"format\":1,\"id\":\"{id}\",\"kind\":\"{kind}\",\"at\":\"2026-11-20T11:46:18Z\",\"node\":\"a\",\"attempt\":1,\"body\":{body}}}"
        );
        std::fs::write(inbox.join(format!("{id}.json")), text).unwrap();
    }
    let found = misfits(folder.path());
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].contains("T4D.json") && found[0].contains("order"), "{found:#?}");
}
