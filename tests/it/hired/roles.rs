//! Roles and hiring, without a container.

use std::fs;

use serde_json::json;

use super::{agent, agent_journal, hire, role};
use crate::scene::Scene;

#[test]
fn what_ships_is_a_role_after_one_command() {
    let scene = Scene::new();
    for name in ["code-review-engineer", "customer-support", "secretary"] {
        scene.tf(&["role", "new", name, "--from", name]).ok().says(&format!("Made roles/{name}.role.md"));
    }
    scene.tf(&["role", "validate"]).ok().says("secretary: valid");
    scene.tf(&["role", "new", "reviewer", "--from", "code-review-engineer"]).ok();
    let shown = scene.tf(&["role", "show", "reviewer", "--json"]).ok().json();
    assert_eq!(shown["role"]["allowedActions"][4], "github.review.submit");
    assert_eq!(shown["role"]["config"]["github"]["verdicts"], json!(["COMMENT", "REQUEST_CHANGES"]));
    assert_eq!(shown["skills"][0]["name"], "review-pull-requests");
    let listed = scene.tf(&["role", "list", "--json"]).ok().json();
    let names: Vec<&str> = listed.as_array().unwrap().iter().map(|role| role["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["code-review-engineer", "customer-support", "reviewer", "secretary"]);
    scene.tf(&["role", "new", "reviewer", "--from", "secretary"]).exits(7).complains("is there already");
    scene.tf(&["role", "new", "x", "--from", "nobody"]).exits(3).complains("there is no role `nobody`");
    scene.tf(&["role", "new", "../x", "--from", "secretary"]).exits(2);
    // A skill that somebody changed is theirs, and is not replaced.
    let own = scene.read("skills/keep-memory/SKILL.md") + "\nOurs.\n";
    scene.write("skills/keep-memory/SKILL.md", &own);
    scene.tf(&["role", "new", "another", "--from", "secretary"]).ok();
    assert_eq!(scene.read("skills/keep-memory/SKILL.md"), own);
}

#[test]
fn what_is_wrong_with_a_role_is_said_and_nobody_is_hired() {
    let scene = Scene::new();
    role(&scene, "typo", "alowedActions: []");
    scene
        .tf(&["role", "validate", "typo"])
        .exits(2)
        .says("roles/typo.role.md:5:1")
        .says("did you mean `allowedActions`?");
    scene.tf(&["agent", "hire", "typo", "--name", "ada"]).exits(2).complains("unknown key `alowedActions`");
    role(&scene, "large", &format!("# {}", "x".repeat(1 << 20)));
    scene.tf(&["agent", "hire", "large", "--name", "ada"]).exits(2).complains("at most 131072");
    role(&scene, "skilled", "skills: [nothing]");
    let said = scene.tf(&["agent", "hire", "skilled", "--name", "ada"]).exits(2);
    said.complains("there is no skills/nothing/SKILL.md");
    scene.write("roles/other.role.md", scene.read("roles/typo.role.md"));
    scene.tf(&["role", "validate", "other"]).exits(2).says("`role` is `typo`, and the file is that of `other`");
    role(&scene, "worker", "");
    role(&scene, "idle", "allowedActions: [email.send]\nconfig: {delegation: {roles: [worke, worker, nobody-here]}}");
    let warned = scene.tf(&["role", "validate", "idle"]).ok();
    warned.says("idle: valid\n").says("idle: warning: may email.send, but `config.email.recipients` is empty");
    warned.says("names `worke`, and there is no such role (did you mean `worker`?)\n");
    warned.says("names `nobody-here`, and there is no such role\n");
    let listed = scene.tf(&["role", "validate", "idle", "--json"]).ok().json();
    assert_eq!(listed[0]["warnings"].as_array().unwrap().len(), 3, "{listed:#}");
    scene.tf(&["agent", "hire", "nope", "--name", "ada"]).exits(3).complains("there is no role `nope`");
    scene.tf(&["agent", "hire", "../../etc/x", "--name", "ada"]).exits(2);
    role(&scene, "plain", "");
    scene.tf(&["agent", "hire", "plain", "--name", "../ada"]).exits(2);
    role(&scene, "mute", "model: nobody-serves-this");
    scene.set("match = \"*\"", "match = \"llama*\"");
    scene.tf(&["agent", "hire", "mute", "--name", "ada"]).exits(2).complains("no line under [[llm.models]]");
    fs::write(scene.path("roles/bytes.role.md"), b"---\nrole: bytes\n\xff\n---\n").unwrap();
    scene.tf(&["role", "show", "bytes"]).exits(2).complains("is not UTF-8 (line 3)");
    std::os::unix::fs::symlink("/etc/passwd", scene.path("roles/link.role.md")).unwrap();
    scene.tf(&["role", "show", "link"]).exits(1);
    assert!(!scene.path("agents").exists(), "nobody was hired");
}

#[test]
fn a_node_speaks_to_no_other_model_than_its_role() {
    let scene = Scene::new();
    role(&scene, "spoken", "model: recorded");
    scene.commands("other", &[("work", "command: [sh]\nrole: spoken\nmodel: another", &[])]);
    let said = scene.tf(&["run", "start", "other", "--detach"]).exits(2);
    said.complains("`model` is `another`, and its role speaks to `recorded`");
    assert!(!scene.path("runs").exists() || fs::read_dir(scene.path("runs")).unwrap().next().is_none());
}

#[test]
fn what_a_rule_denies_a_role_cannot_declare() {
    let scene = Scene::new();
    scene.write(
        "policies/rules.yaml",
        "format: 1\nrules:\n  - {effect: deny, kind: net, name: 'evil.example:*', role: agent-x, because: no way out}\n",
    );
    role(&scene, "agent-x", "capabilities: ['net:evil.example:443', 'pip:six']");
    let said = scene.tf(&["agent", "hire", "agent-x", "--name", "ada"]).exits(4);
    said.complains("role `agent-x` declares net:evil.example:443, which the policies deny").complains("rules.yaml");
    scene.tf(&["role", "validate", "agent-x"]).exits(2).says("is denied by the policies");
    // The rule is about that role only.
    role(&scene, "agent-y", "capabilities: ['net:evil.example:443']");
    let hired = scene.tf(&["agent", "hire", "agent-y", "--name", "ada", "--json"]).ok().json();
    assert_eq!(hired["capabilities"][0]["ruling"]["effect"], "ask");
}

#[test]
fn a_name_is_given_once_and_a_role_is_pinned() {
    let scene = Scene::new();
    let hired = hire(&scene, "ada", "");
    assert_eq!(hired["id"].as_str().unwrap().len(), 26);
    scene.tf(&["agent", "hire", "role-ada", "--name", "ada"]).exits(7).complains("a name is given once");
    let digest = agent(&scene, "ada")["digest"].clone();
    role(&scene, "role-ada", "allowedActions: [memory.get]");
    let shown = scene.tf(&["agent", "show", "ada", "--json"]).ok().json();
    assert_eq!((&shown["agent"]["digest"], &shown["roleIsCurrent"]), (&digest, &json!(false)));
    assert_eq!(shown["role"]["allowedActions"], json!([]), "what it was hired with");
    // Nor is it changed where it was pinned.
    let pinned = scene.read("agents/ada/role/role.md").replace("allowed", "");
    scene.write("agents/ada/role/role.md", pinned.replace("You are", "Obey"));
    scene.tf(&["agent", "run", "ada", "x", "--detach"]).exits(8).complains("is not what it was when it was pinned");
    scene.tf(&["agent", "offboard", "ada", "--reason", "moved on"]).ok().says("ada was offboarded");
    scene.tf(&["agent", "offboard", "ada", "--reason", "again"]).exits(4).complains("by operator:ada: moved on");
    scene.tf(&["agent", "hire", "role-ada", "--name", "ada"]).exits(7);
    assert_eq!(scene.tf(&["agent", "list", "--json"]).ok().json(), json!([]));
    let all = scene.tf(&["agent", "list", "--all", "--json"]).ok().json();
    let only = |more: &[&str]| {
        let found = scene.tf(&[&["agent", "list", "--json"], more].concat()).ok().json();
        found.as_array().unwrap().len()
    };
    assert_eq!((only(&["--status", "offboarded"]), only(&["--status", "idle,working"])), (1, 0));
    assert_eq!(only(&["--status", "offboarded", "--role", "nobody"]), 0);
    scene.tf(&["agent", "list", "--status", "gone"]).exits(2).complains("there are idle, working, offboarded");
    assert_eq!(all[0]["agent"]["offboarded"]["reason"], "moved on");
    scene.tf(&["agent", "logs", "ada"]).ok().says("offboarded: moved on");
    assert_eq!(agent_journal(&scene, "ada").len(), 2);
}

#[test]
fn many_at_once_hire_one() {
    let scene = Scene::new();
    role(&scene, "plain", "");
    let codes: Vec<i32> = std::thread::scope(|scope| {
        let hire = || {
            let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_taskforge"));
            command.args(["agent", "hire", "plain", "--name", "ada"]).current_dir(scene.root());
            command.env_clear().env("HOME", scene.outside("home")).env("TASKFORGE_OPERATOR", "ada");
            command.output().unwrap().status.code().unwrap()
        };
        let all: Vec<_> = (0..8).map(|_| scope.spawn(hire)).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(codes.iter().filter(|code| **code == 0).count(), 1, "{codes:?}");
    assert_eq!(codes.iter().filter(|code| **code == 7).count(), 7, "{codes:?}");
    assert_eq!(agent_journal(&scene, "ada").len(), 1);
    assert_eq!(fs::read_dir(scene.path(".taskforge/tmp")).unwrap().count(), 0, "nothing is left aside");
}

#[test]
fn a_journal_that_was_changed_is_not_believed() {
    let scene = Scene::new();
    hire(&scene, "ada", "");
    scene.tf(&["memory", "set", "ada", "a", "one"]).ok();
    let text = scene.read("agents/ada/events.jsonl");
    scene.write("agents/ada/events.jsonl", text.replace("\"one\"", "\"two\""));
    scene.tf(&["memory", "set", "ada", "b", "x"]).exits(8);
    scene.write("agents/ada/events.jsonl", &text);
    scene.tf(&["memory", "set", "ada", "b", "x"]).ok();
    // Another agent's journal is not this one's.
    hire(&scene, "eve", "");
    scene.write("agents/eve/events.jsonl", scene.read("agents/ada/events.jsonl"));
    scene.tf(&["memory", "list", "eve"]).exits(8);
}

#[test]
fn people_read_and_correct_a_memory() {
    let scene = Scene::new();
    hire(&scene, "ada", "");
    scene.tf(&["memory", "list", "ada"]).ok().says("Nothing is remembered.");
    scene
        .tf(&["memory", "set", "ada", "team.style", "short\nand plain"])
        .ok()
        .says("ada remembers team.style (15 bytes)");
    assert_eq!(scene.read("agents/ada/memory/team.style.md"), "short\nand plain");
    scene.tf(&["memory", "set", "ada", "team.style", "-x"]).ok();
    assert_eq!(scene.tf(&["memory", "get", "ada", "team.style", "--json"]).ok().json()["value"], "-x");
    scene.tf(&["memory", "rm", "ada", "team.style"]).ok();
    scene.tf(&["memory", "rm", "ada", "team.style"]).exits(3).complains("remembers nothing under `team.style`");
    scene.tf(&["memory", "get", "ada", "team.style"]).exits(3);
    assert!(!scene.path("agents/ada/memory/team.style.md").exists());
    let history = scene.tf(&["memory", "history", "ada", "team.style", "--json"]).ok().json();
    let last = scene.tf(&["memory", "history", "ada", "team.style", "--last", "1", "--json"]).ok().json();
    assert_eq!(
        last.as_array().unwrap().as_slice(),
        history.as_array().unwrap().last().map_or(&[][..], std::slice::from_ref)
    );
    let values: Vec<_> = history.as_array().unwrap().iter().map(|version| version["value"].clone()).collect();
    assert_eq!(values, [json!("short\nand plain"), json!("-x"), json!(null)]);
    assert_eq!(history[0]["actor"], "operator:ada");
    for key in ["../x", "a/b", "", "A", ".x", &"a".repeat(101)] {
        scene.tf(&["memory", "set", "ada", key, "x"]).exits(2).complains("is not the key of a memory");
    }
    scene.tf(&["memory", "set", "ada", "large", &"x".repeat(16 * 1024 + 1)]).exits(2).complains("16384 are the most");
    scene.tf(&["memory", "set", "ada", "esc", "a\u{1b}[2J"]).exits(2).complains("U+001B");
    scene.tf(&["memory", "set", "nobody", "a", "x"]).exits(3).complains("there is no agent `nobody`");
    // A file that somebody put there is no memory.
    scene.write("agents/ada/memory/planted.md", "trust me");
    scene.tf(&["memory", "set", "ada", "b", "x"]).ok();
    assert!(!scene.path("agents/ada/memory/planted.md").exists());
    assert_eq!(scene.tf(&["memory", "get", "ada", "planted"]).exits(3).stdout, "");
}
