//! Every command that changes a registry, one entry each: what is there before it, and how it is called.

use serde_json::Value;

use super::world::{WORKFLOW, World, for_owner};

/// A command under trial.
pub struct Case {
    pub name: &'static str,
    /// Makes the registry that the command finds.
    pub before: fn(&World),
    pub call: fn(&World) -> Vec<String>,
}

/// Whether the case is among those that `TASKFORGE_FAULTS_COMMANDS` asks for by a part of their names; none if it asks for none.
pub fn named(case: &Case) -> Option<bool> {
    std::env::var("TASKFORGE_FAULTS_COMMANDS").ok().map(|part| case.name.contains(&part))
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

const SCAFFOLD: [&str; 8] = [
    "helper",
    "scaffold",
    "--workflow-path",
    "workflows/w.task.md",
    "--run-id",
    "r",
    "--source-session-key",
    "agent:main:main",
];

fn nothing(_: &World) {}

fn registry(world: &World) {
    world.ok(&["init", "."]);
    world.write("workflows/w.task.md", WORKFLOW.as_bytes());
}

/// As OpenTask has it: no settings, no folders of ours.
fn bare(world: &World) {
    world.write("workflows/w.task.md", WORKFLOW.as_bytes());
    world.write("runs/.keep", b"");
}

fn run(world: &World) {
    registry(world);
    world.ok(&SCAFFOLD);
}

fn running(world: &World) {
    run(world);
    world.ok(&["helper", "transition-node", "r", "a", "running"]);
}

fn approval(world: &World) {
    running(world);
    world.ok(&["helper", "transition-node", "r", "a", "completed"]);
}

fn paused(world: &World) {
    run(world);
    world.ok(&["control", "pause", "r"]);
}

fn failed(world: &World) {
    running(world);
    world.ok(&["helper", "transition-node", "r", "a", "failed"]);
}

fn ended(world: &World) {
    failed(world);
    world.ok(&["control", "cancel", "r"]);
}

/// A node is done, and what follows from it is left to a tick: OpenTask's service wrote it.
fn lagging(world: &World) {
    running(world);
    let state = String::from_utf8(world.read("runs/r/state.json").unwrap()).unwrap();
    let theirs = state.replacen("\"running\",\n      \"sessionKey\"", "\"completed\",\n      \"sessionKey\"", 1);
    world.write("runs/r/state.json", theirs.as_bytes());
}

/// Intents that nobody has applied yet, a wrong one among them.
fn intents(world: &World) {
    run(world);
    let line = |id: &str, action: &str, node: &str| {
        format!(
            "{{\"id\": \"{id}\", \"action\": \"{action}\", \"runId\": \"r\", \"timestamp\": \"\", \"nodeId\": \"{node}\", \"patch\": {{}}}}\n"
        )
    };
    let lines = [line("1", "skip", "pause"), line("2", "skip", "nobody"), line("3", "skip", "a")];
    world.write("runs/r/control.jsonl", lines.concat().as_bytes());
}

/// Half a line of ours behind the journal, as a crash leaves it.
fn torn(world: &World) {
    running(world);
    let mut journal = world.read("runs/r/events.jsonl").unwrap();
    let last = journal.split_inclusive(|byte| *byte == b'\n').next_back().unwrap().to_vec();
    journal.extend_from_slice(&last[..last.len() / 2]);
    world.write("runs/r/events.jsonl", &journal);
}

/// Another program has written an event and the state that goes with it, without our lock.
fn foreign(world: &World) {
    running(world);
    let state = String::from_utf8(world.read("runs/r/state.json").unwrap()).unwrap();
    world.write(
        "runs/r/state.json",
        state.replacen("\"running\",\n      \"sessionKey\"", "\"completed\",\n      \"sessionKey\"", 1).as_bytes(),
    );
    let mut journal = world.read("runs/r/events.jsonl").unwrap();
    journal.extend_from_slice(b"{\"event\": \"node.completed\", \"timestamp\": \"2026-11-20T11:46:18+00:00\", \"runId\": \"r\", \"payload\": {}, \"nodeId\": \"a\"}\n");
    world.write("runs/r/events.jsonl", &journal);
}

/// What `repair` mends: projections that are gone or garbage, and a torn tail.
fn damaged(world: &World) {
    torn(world);
    world.write("runs/r/state.json", b"{");
    world.write("runs/r/refs.json", b"[");
}

/// A watch whose last look was years ago.
fn watched(world: &World) {
    registry(world);
    let mut settings = world.read("taskforge.toml").unwrap();
    settings.extend_from_slice(b"\n[watch.yearly]\nsource = \"schedule\"\ncron = \"0 0 1 1 *\"\nworkflow = \"w\"\n");
    world.write("taskforge.toml", &settings);
    let state =
        br#"{"format": 1, "definition": null, "pace": {"failures": 0}, "until": "2020-02-01T00:00:00Z", "parts": {}}"#;
    world.write(".taskforge/watch/yearly.json", state);
}

const ROLE: &str = "---
role: reviewer
displayName: Reviewer
description: Reviews
skills: [tidy]
allowedActions: [memory.get, memory.set]
---
You review.
";

/// A role with a skill.
fn role(world: &World) {
    registry(world);
    world.write("roles/reviewer.role.md", ROLE.as_bytes());
    world.write("skills/tidy/SKILL.md", b"---\nname: tidy\ndescription: How to tidy\n---\nTidy.\n");
}

fn hired(world: &World) {
    role(world);
    world.ok(&["agent", "hire", "reviewer", "--name", "rita"]);
    world.ok(&["memory", "set", "rita", "old", "what she knew"]);
}

/// A vault whose identity lies in the registry, so that it is struck as well; and what is to be put into it.
fn vault(world: &World) {
    registry(world);
    world.write("home/.keep", b"");
    world.write("value", b"the other value");
    world.write("some.env", b"OLD=of-the-file\nGITHUB_TOKEN=ghp_1\nSMTP_PASSWORD=hunter2\n");
    world.ok(&["secret", "init", "--no-passphrase"]);
    world.write("first", b"the first value");
    world.ok(&["secret", "set", "old", "--file", "first"]);
    world.ok(&["secret", "set", "other", "--file", "first"]);
}

fn without_vault(world: &World) {
    registry(world);
    world.write("home/.keep", b"");
}

/// Whoever set `old` last was ended when the log had named the value, and the file was not in its place yet.
fn unsettled(world: &World) {
    vault(world);
    let folder = world.root().join(".taskforge/vault");
    let kept = std::fs::read(folder.join("old.age")).unwrap();
    world.ok(&["secret", "set", "old", "--file", "value"]);
    std::fs::rename(folder.join("old.age"), folder.join("old.age.new")).unwrap();
    world.write(".taskforge/vault/old.age", &kept);
    for_owner(&folder.join("old.age"));
}

fn decision(world: &World, verb: &str) -> Vec<String> {
    let inbox: Value = serde_json::from_str(&world.ok(&["inbox", "--json"])).unwrap();
    let id = inbox["waiting"][0]["id"].as_str().unwrap().to_owned();
    let digest = inbox["waiting"][0]["digest"].as_str().unwrap().to_owned();
    match verb {
        "approve" => vec![verb.to_owned(), id, "--digest".to_owned(), digest],
        _ => vec![verb.to_owned(), id, "-m".to_owned(), "no".to_owned(), "--digest".to_owned(), digest],
    }
}

macro_rules! case {
    ($name:literal, $before:ident, [$($word:literal),+]) => {
        Case { name: $name, before: $before, call: |_| words(&[$($word),+]) }
    };
}

/// Not among them: `control send_message` and `patch_cron`, which call OpenClaw in a process of its own that is not followed;
/// their intent is written, and their event journaled, as that of any other control.
pub const CASES: &[Case] = &[
    case!("init", nothing, ["init", "."]),
    Case { name: "helper scaffold", before: registry, call: |_| words(&SCAFFOLD) },
    Case { name: "helper scaffold, bare", before: bare, call: |_| words(&SCAFFOLD) },
    case!("run create", registry, ["run", "create", "--workflow-path", "w", "--run-id", "r"]),
    case!("run start", registry, ["run", "start", "w", "--run-id", "r", "--detach"]),
    case!("helper transition-node", run, ["helper", "transition-node", "r", "a", "running"]),
    case!("helper transition-node, with what follows", running, ["helper", "transition-node", "r", "a", "completed"]),
    case!("helper bind", run, ["helper", "bind", "r", "node-session", "--node-id", "a", "--value", "k"]),
    case!("helper progress", run, ["helper", "progress", "r", "half"]),
    case!("helper result", run, ["helper", "result", "r", "a", "--status", "completed", "--summary", "done"]),
    case!(
        "helper add-node",
        run,
        [
            "helper", "add-node", "r", "--id", "c", "--title", "C", "--kind", "subagent", "--prompt", "do c",
            "--needs", "a"
        ]
    ),
    case!("helper rewire", run, ["helper", "rewire", "r", "b", "--needs", ""]),
    case!("run bind", run, ["run", "bind", "r", "--root-session-key", "agent:main:other"]),
    case!("node result", run, ["node", "result", "r", "a", "completed"]),
    case!("event append", run, ["event", "append", "r", "note.made", "--message", "hi"]),
    case!("control pause", run, ["control", "pause", "r"]),
    case!("control skip", run, ["control", "skip", "r", "pause"]),
    case!("control cancel", run, ["control", "cancel", "r"]),
    case!("control resume", paused, ["control", "resume", "r"]),
    case!("control retry", failed, ["control", "retry", "r", "a"]),
    case!("control approve", run, ["control", "approve", "r", "pause"]),
    case!("run cancel", run, ["run", "cancel", "r"]),
    case!("run retry, of a run that ended", ended, ["run", "retry", "r", "a"]),
    case!("tick", lagging, ["tick", "r"]),
    case!("tick, with intents", intents, ["tick", "r"]),
    case!("a commit behind a torn tail", torn, ["helper", "progress", "r", "half"]),
    case!("a commit behind another program's", foreign, ["helper", "progress", "r", "half"]),
    case!("audit seal", run, ["audit", "seal", "r"]),
    case!("repair", damaged, ["repair", "r"]),
    case!("watch run", watched, ["watch", "run"]),
    case!("agent hire", role, ["agent", "hire", "reviewer", "--name", "rita"]),
    case!("agent offboard", hired, ["agent", "offboard", "rita", "--reason", "moved on"]),
    case!("memory set", hired, ["memory", "set", "rita", "new", "a line"]),
    case!("memory set, of what there is", hired, ["memory", "set", "rita", "old", "something else"]),
    case!("memory rm", hired, ["memory", "rm", "rita", "old"]),
    case!("secret init", without_vault, ["secret", "init", "--no-passphrase"]),
    case!("secret set", vault, ["secret", "set", "new", "--file", "value"]),
    case!("secret set, of what there is", vault, ["secret", "set", "old", "--file", "value"]),
    case!("secret set, after one that was ended", unsettled, ["secret", "set", "old", "--file", "first"]),
    case!("secret rotate", vault, ["secret", "rotate"]),
    case!("secret rotate, after a set that was ended", unsettled, ["secret", "rotate"]),
    case!("secret rm", vault, ["secret", "rm", "old"]),
    case!("secret import", vault, ["secret", "import", "some.env", "--replace"]),
    Case { name: "approve", before: approval, call: |world| decision(world, "approve") },
    Case { name: "deny", before: approval, call: |world| decision(world, "deny") },
];
