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
