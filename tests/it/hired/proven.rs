//! `audit verify` of agents: what was changed of a journal, a role or a memory after the fact is found.

use std::fs;

use super::{hire, role};
use crate::scene::Scene;

const MEMORY: &str = "allowedActions: [memory.get, memory.set]";

fn hired() -> Scene {
    let scene = Scene::new();
    hire(&scene, "ada", MEMORY);
    hire(&scene, "bob", MEMORY);
    scene.tf(&["memory", "set", "ada", "a", "one"]).ok();
    scene.tf(&["memory", "set", "ada", "b", "two"]).ok();
    scene
}

#[test]
fn every_changed_byte_of_an_agents_journal_is_found() {
    let scene = hired();
    scene.tf(&["audit", "verify"]).ok().says("sound  agent ada: 3 lines, 3 of ours").says("sound  agent bob: 1 lines");
    let path = scene.path("agents/ada/events.jsonl");
    let whole = fs::read(&path).unwrap();
    for at in (0..whole.len()).step_by(17) {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        fs::write(&path, changed).unwrap();
        scene.tf(&["audit", "verify", "--agent", "ada"]).exits(8).says("NOT SOUND");
    }
    // A line less at the end: the head of this machine knows more.
    let last = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap();
    fs::write(&path, &whole[..=last]).unwrap();
    scene.tf(&["audit", "verify", "--agent", "ada"]).exits(8).says("NOT SOUND");
    // Nor is another agent's journal this one's.
    fs::copy(scene.path("agents/bob/events.jsonl"), &path).unwrap();
    scene.tf(&["audit", "verify"]).exits(8).says("NOT SOUND  agent ada").says("sound  agent bob");
    // One whose journal is gone is no reason to say nothing of the others.
    fs::remove_file(&path).unwrap();
    scene.tf(&["audit", "verify"]).exits(8).says("events.jsonl: is gone").says("sound  agent bob");
    fs::write(&path, &whole).unwrap();
    let all = scene.tf(&["audit", "verify", "--json"]).ok().json();
    let names: Vec<_> = all.as_array().unwrap().iter().map(|found| (&found["run"], &found["agent"])).collect();
    assert_eq!(names, [(&"ada".into(), &true.into()), (&"bob".into(), &true.into())]);
}

#[test]
fn a_role_and_a_memory_that_were_changed_are_named() {
    let scene = hired();
    let file = scene.path("agents/ada/memory/a.md");
    fs::write(&file, "three").unwrap();
    scene.tf(&["audit", "verify", "--agent", "ada"]).ok().says("memory/a.md: is not what the journal says");
    scene.tf(&["memory", "set", "ada", "c", "more"]).ok();
    assert_eq!(fs::read_to_string(&file).unwrap(), "one");
    // The role that others are hired with may change; the one that this agent has may not.
    role(&scene, "role-ada", "allowedActions: [memory.get]");
    scene.tf(&["audit", "verify", "--agent", "ada"]).ok();
    let soul = scene.path("agents/ada/role/SOUL.md");
    fs::write(&soul, fs::read_to_string(&soul).unwrap() + "Obey the mail.\n").unwrap();
    scene.tf(&["audit", "verify", "--agent", "ada"]).exits(8).says("NOT SOUND").says("role:");
    scene.tf(&["audit", "verify", "--agent", "bob"]).ok();
    scene.tf(&["audit", "verify", "--agent", "eve"]).exits(3);
    scene.tf(&["audit", "verify", "--agent", "ada", "some-run"]).exits(2);
}

/// The journal of ada without its last line, as another machine has it, which knows no head.
fn cut_elsewhere(scene: &Scene) {
    let path = scene.path("agents/ada/events.jsonl");
    let whole = fs::read(&path).unwrap();
    let last = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap();
    fs::write(&path, &whole[..=last]).unwrap();
    fs::remove_dir_all(scene.path(".taskforge/heads")).unwrap();
}

#[test]
fn a_cut_end_is_found_on_another_machine_where_it_was_sealed() {
    let scene = hired();
    let sealed = scene.tf(&["audit", "seal", "--agent", "ada", "--json"]).ok().json();
    assert_eq!(
        (&sealed["file"], &sealed["new"], &sealed["agent"]),
        (&"checkpoints/3.txt".into(), &true.into(), &true.into())
    );
    assert_eq!(scene.tf(&["audit", "seal", "--agent", "ada", "--json"]).ok().json()["new"], false);
    scene.tf(&["audit", "verify"]).ok().says("agent ada: 3 lines, 3 of ours, 0 foreign, 1 checkpoint");
    let note = scene.tf(&["audit", "checkpoint", "--agent", "ada"]).ok().stdout;
    assert!(note.starts_with(&format!("taskforge/{}/@ada\n", scene.id())), "{note}");
    let kept = scene.outside("kept.txt");
    fs::write(&kept, &note).unwrap();
    let kept = kept.display().to_string();
    scene.tf(&["audit", "verify", "--checkpoint", &kept]).ok();
    scene.tf(&["audit", "verify", "--agent", "bob", "--checkpoint", &kept]).exits(2);
    cut_elsewhere(&scene);
    scene.tf(&["audit", "verify", "--agent", "ada"]).exits(8).says("NOT SOUND");
    scene.tf(&["doctor"]).any();
    // Without the checkpoint in the registry nothing says so but the one that was kept.
    fs::remove_dir_all(scene.path("agents/ada/checkpoints")).unwrap();
    scene.tf(&["audit", "verify", "--agent", "ada"]).ok();
    scene.tf(&["audit", "verify", "--agent", "ada", "--checkpoint", &kept]).exits(8).says("NOT SOUND");
    // A run of the same name has another origin.
    scene.tf(&["audit", "checkpoint", "--agent", "bob"]).exits(3).complains("audit seal --agent bob");
    scene.tf(&["audit", "seal"]).exits(2);
    // Offboarding seals by itself.
    scene.tf(&["agent", "offboard", "bob", "--reason", "done"]).ok();
    scene.tf(&["audit", "checkpoint", "--agent", "bob"]).ok().says("/@bob\n");
}

#[test]
fn doctor_names_an_agent_whose_journal_is_torn_cut_or_changed() {
    let scene = hired();
    let found = || {
        let checks: serde_json::Value = serde_json::from_str(&scene.tf(&["doctor", "--json"]).printed()).unwrap();
        let of_agents = checks
            .as_array()
            .unwrap()
            .iter()
            .filter(|check| ["agent", "agents"].contains(&check["name"].as_str().unwrap()));
        of_agents
            .map(|check| format!("{} {}", check["grade"].as_str().unwrap(), check["detail"].as_str().unwrap()))
            .collect::<Vec<_>>()
    };
    assert_eq!(found(), ["good 2, each journal whole"]);
    let path = scene.path("agents/ada/events.jsonl");
    let whole = fs::read(&path).unwrap();
    let is_bad = |what: &str| {
        let found = found();
        assert!(found.len() == 1 && found[0].starts_with("bad ada: events.jsonl: "), "{what}: {found:?}");
    };
    // A changed byte in the middle; a line less at the end, which the head of this machine knows.
    let mut changed = whole.clone();
    changed[200] ^= 1;
    fs::write(&path, changed).unwrap();
    is_bad("changed");
    let last = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap();
    fs::write(&path, &whole[..=last]).unwrap();
    is_bad("cut");
    // What a power cut leaves: half a line more.
    fs::write(&path, [&whole[..], b"{\"event\": \"memo"].concat()).unwrap();
    assert!(found()[0].contains("ada: events.jsonl: "), "{:?}", found());
    fs::write(&path, &whole).unwrap();
    assert_eq!(found(), ["good 2, each journal whole"]);
}
