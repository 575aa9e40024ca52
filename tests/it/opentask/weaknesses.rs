//! What was measured to go wrong with OpenTask, by its number: the helper's from 1 to 12, its service's from 13 on, each as
//! it would show here. Crashes and full disks are tested elsewhere, at every system call.

use std::fs;
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::{DEMO, SCAFFOLD, all_files, bare, helper, names, node_of, one_node, refuses, run_of, state, to};
use crate::scene::Scene;

/// Starts a verb in the registry and does not wait for it.
fn begin(scene: &Scene, arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_taskforge"));
    command.env_clear().current_dir(scene.root()).arg("helper").args(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Runs all of them, sixteen at a time; what each printed, by exit code.
fn all_at_once(scene: &Scene, calls: &[Vec<String>]) -> Vec<(i32, String, String)> {
    let mut ended = Vec::new();
    for some in calls.chunks(16) {
        let begun: Vec<Child> =
            some.iter().map(|call| begin(scene, &call.iter().map(String::as_str).collect::<Vec<_>>())).collect();
        for child in begun {
            let output = child.wait_with_output().unwrap();
            let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
            ended.push((output.status.code().unwrap(), text(output.stdout), text(output.stderr)));
        }
    }
    ended
}

fn words(call: &[&str]) -> Vec<String> {
    call.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn w01_required_files_take_effect() {
    let scene = run_of(&one_node("    outputs:\n      mode: report\n      requiredFiles:\n        - nodes/a/x.md\n"));
    assert_eq!(node_of(&scene, "a")["artifactPaths"], json!(["nodes/a/x.md"]));
}

#[test]
fn w02_no_need_is_lost() {
    let scene = run_of(&DEMO.replace("    needs: [gather]\n", "    needs:\n    - gather\n"));
    assert_eq!(helper(&scene, &["status", "r1"]).ok().json()["statusCounts"]["ready"], 1);
}

#[test]
fn w03_cycles_are_refused() {
    let scene = bare();
    scene.write("workflows/demo.task.md", DEMO.replace("needs: []", "needs: [summary]"));
    helper(&scene, &SCAFFOLD)
        .exits(1)
        .complains("workflow contains dependency cycles: gather -> summary -> ask -> sub -> gather");
}

#[test]
fn w04_ids_stay_in_the_registry() {
    let scene = bare();
    let before = all_files(&scene);
    let mut call = SCAFFOLD;
    call[4] = "../../x";
    helper(&scene, &call).exits(1);
    scene.write("workflows/demo.task.md", one_node("    outputs: {mode: notify}\n").replace("id: a", "id: ../../../x"));
    helper(&scene, &SCAFFOLD).exits(1);
    assert_eq!(all_files(&scene), before);
}

#[test]
fn w05_a_wait_node_can_be_read() {
    let wait = one_node("    waitFor: next_tick\n    outputs: {mode: notify}\n").replace("session_turn", "wait");
    assert_eq!(node_of(&run_of(&wait), "a")["waitFor"], json!({"type": "next_tick"}));
}

#[test]
fn w06_a_bad_argument_does_not_take_the_run_s_id() {
    let scene = bare();
    helper(&scene, &[&SCAFFOLD[..], &["--delivery-context-json", "{"]].concat()).exits(1);
    helper(&scene, &SCAFFOLD).ok();
}

#[test]
fn w07_validate_believes_what_the_verbs_did() {
    let scene = run_of(DEMO);
    to(&scene, "gather", "waiting");
    to(&scene, "sub", "skipped");
    helper(&scene, &["validate", "r1"]).ok();
}

#[test]
fn w08_no_update_is_lost() {
    let nodes: Vec<String> = (0..16).map(|number| format!("n{number}")).collect();
    let text: String = nodes
        .iter()
        .map(|id| format!("  - {{id: {id}, title: T, kind: summary, outputs: {{mode: notify}}}}\n"))
        .collect();
    let scene = run_of(&format!("---\nworkflowId: w\ntitle: W\nnodes:\n{text}---\n"));
    let calls: Vec<_> = nodes.iter().map(|id| words(&["transition-node", "r1", id, "running"])).collect();
    assert!(all_at_once(&scene, &calls).iter().all(|(code, ..)| *code == 0));
    let calls: Vec<_> =
        nodes.iter().map(|id| words(&["bind", "r1", "node-session", "--node-id", id, "--value", id])).collect();
    assert!(all_at_once(&scene, &calls).iter().all(|(code, ..)| *code == 0));
    for id in &nodes {
        let node = node_of(&scene, id);
        assert_eq!((&node["status"], &node["sessionKey"]), (&json!("running"), &json!(id)));
    }
    // Sixteen that make the same run: one does.
    let mut call = words(&SCAFFOLD);
    call[4] = "r2".to_owned();
    let ended = all_at_once(&scene, &vec![call; 16]);
    let lost = |(code, _, stderr): &&(i32, String, String)| *code == 1 && stderr == "run already exists: r2\n";
    assert_eq!((ended.iter().filter(|(code, ..)| *code == 0).count(), ended.iter().filter(lost).count()), (1, 15));
    helper(&scene, &["validate", "r2"]).ok();
    // Sixteen that want the same: one does it, and each of the others finds it done.
    let calls = vec![words(&["transition-node", "r1", "n0", "completed"]); 16];
    let ended = all_at_once(&scene, &calls);
    let done = ended.iter().filter(|(_, stdout, _)| !stdout.contains("\"noop\": true")).count();
    assert!(ended.iter().all(|(code, ..)| *code == 0) && done == 1, "{ended:?}");
    assert_eq!(names(&scene, "r1").iter().filter(|name| *name == "node.completed n0").count(), 1);
    helper(&scene, &["validate", "r1"]).ok();
}

#[test]
fn w09_nobody_is_in_the_way_of_another_s_temporary_file() {
    let scene = run_of(DEMO);
    let calls: Vec<_> = (0..64).map(|number| words(&["progress", "r1", &format!("step {number}")])).collect();
    let ended = all_at_once(&scene, &calls);
    assert!(ended.iter().all(|(code, _, stderr)| *code == 0 && stderr.is_empty()), "{ended:?}");
    let mut said: Vec<String> =
        scene.events("r1", "run.progress").iter().map(|line| crate::scene::text(&line["message"])).collect();
    said.sort();
    let mut all: Vec<String> = (0..64).map(|number| format!("step {number}")).collect();
    all.sort();
    assert_eq!(said, all);
}

#[test]
fn w10_long_lines_stay_whole() {
    let scene = run_of(DEMO);
    let calls: Vec<_> = (0..32).map(|number| words(&["progress", "r1", &number.to_string().repeat(6000)])).collect();
    assert!(all_at_once(&scene, &calls).iter().all(|(code, ..)| *code == 0));
    assert_eq!(scene.events("r1", "run.progress").len(), 32);
    helper(&scene, &["validate", "r1"]).ok();
}

#[test]
fn w11_a_torn_line_ends_nothing() {
    let scene = run_of(DEMO);
    let journal = scene.read("runs/r1/events.jsonl");
    scene.write("runs/r1/events.jsonl", journal + "{\"event\": \"run.progress\", \"timest");
    to(&scene, "gather", "running");
    assert_eq!(state(&scene)["status"], "running");
    helper(&scene, &["next", "r1"]).ok();
    scene.tf(&["audit", "verify", "r1"]).ok();
}

#[test]
fn w12_the_service_s_lock_is_waited_for() {
    let scene = run_of(DEMO);
    let path = scene.path("runs/r1/.run.lock");
    let lock = fs::OpenOptions::new().create(true).append(true).open(&path).unwrap();
    rustix::fs::flock(lock.as_fd(), rustix::fs::FlockOperation::LockExclusive).unwrap();
    let child = begin(&scene, &["progress", "r1", "from the helper"]);
    // It has come as far as the lock once it has the lock's file open.
    let fds = format!("/proc/{}/fd", child.id());
    let has_it_open = || {
        let links = fs::read_dir(&fds).into_iter().flatten().flatten();
        links.filter_map(|link| fs::read_link(link.path()).ok()).any(|target| target.ends_with("r1/.run.lock"))
    };
    while !has_it_open() {
        std::thread::yield_now();
    }
    // What the service does meanwhile: an event, and the state as its models write it.
    let mut journal = scene.read("runs/r1/events.jsonl");
    let at = now();
    journal += &format!(
        "{{\"event\": \"node.started\", \"runId\": \"r1\", \"timestamp\": \"{at}\", \"nodeId\": \"gather\", \"payload\": {{}}}}\n"
    );
    let mut changed = state(&scene);
    changed["nodes"][0]["status"] = json!("running");
    changed["nodes"][0]["startedAt"] = json!(at);
    scene.write("runs/r1/events.jsonl", journal).write("runs/r1/state.json", changed.to_string());
    drop(lock);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(state(&scene)["lastProgressMessage"], "from the helper");
    assert_eq!(node_of(&scene, "gather")["status"], "running");
    helper(&scene, &["validate", "r1"]).ok();
}

/// This moment, as OpenTask writes it.
fn now() -> String {
    let output = Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%S.%6N+00:00"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn w13_a_bad_control_wedges_nothing() {
    let scene = run_of(DEMO);
    let control = |id: &str, action: &str, node: &str| {
        format!(
            "{{\"id\": \"{id}\", \"action\": \"{action}\", \"runId\": \"r1\", \"timestamp\": \"2026-03-19T10:00:00+00:00\"{node}, \"patch\": {{}}}}\n"
        )
    };
    let text = control("c1", "skip", ", \"nodeId\": \"ghost\"")
        + "{torn\n"
        + &control("c2", "skip", ", \"nodeId\": \"gather\"");
    scene.write("runs/r1/control.jsonl", text);
    scene.tf(&["tick", "r1"]).ok();
    assert_eq!(node_of(&scene, "gather")["status"], "skipped");
    assert!(names(&scene, "r1").contains(&"control.rejected".to_owned()));
    to(&scene, "sub", "running");
}

#[test]
fn w14_what_is_dispatched_once_is_not_dispatched_again() {
    let scene = run_of(DEMO);
    to(&scene, "gather", "running");
    let told = helper(&scene, &["next", "r1"]).ok().json();
    assert_eq!((&told["dispatch"], told["running"].as_array().unwrap().len()), (&json!([]), 1));
}

#[test]
fn w15_nothing_is_dispatched_behind_a_failure_and_a_failed_run_says_so_once() {
    let scene = run_of(DEMO);
    to(&scene, "gather", "failed");
    let before = names(&scene, "r1");
    for _ in 0..3 {
        scene.tf(&["tick", "r1"]).exits(0);
    }
    assert_eq!(names(&scene, "r1"), before);
    let told = helper(&scene, &["next", "r1"]).ok().json();
    assert_eq!((&told["dispatch"], &told["done"]), (&json!([]), &json!(true)));
}

#[test]
fn w16_what_the_service_dispatched_is_not_dispatched_once_more() {
    let scene = run_of(DEMO);
    let mut changed = state(&scene);
    changed["nodes"][0]["status"] = json!("running");
    changed["nodes"][0]["sessionKey"] = json!("agent:main:theirs");
    let at = now();
    changed["nodes"][0]["startedAt"] = json!(at);
    scene.write("runs/r1/state.json", changed.to_string());
    let told = helper(&scene, &["next", "r1"]).ok().json();
    assert_eq!(told["dispatch"], json!([]));
    assert_eq!(
        (&told["running"][0]["sessionKey"], &told["running"][0]["since"]),
        (&json!("agent:main:theirs"), &json!(at))
    );
    // Reading takes nothing over; the next command does.
    assert_eq!(names(&scene, "r1").len(), 2);
    to(&scene, "gather", "completed");
    assert!(names(&scene, "r1").contains(&"registry.adopted".to_owned()));
    helper(&scene, &["validate", "r1"]).ok();
}

#[test]
fn w17_a_rejected_change_leaves_nothing() {
    let scene = run_of(DEMO);
    let before = all_files(&scene);
    let add = |id: &str, more: &[&str]| {
        let call = ["add-node", "r1", "--id", id, "--title", "T", "--kind", "subagent", "--prompt", "P"];
        helper(&scene, &[&call[..], more].concat()).exits(1);
    };
    add("../../../pwn", &[]);
    add("fresh", &["--needs", "ghost"]);
    add("gather", &[]);
    assert_eq!((all_files(&scene), names(&scene, "r1").len()), (before, 2));
}

#[test]
fn w18_asking_for_an_unknown_run_makes_nothing() {
    let scene = bare();
    let before = all_files(&scene);
    for call in [
        &["progress", "r1", "m"][..],
        &["transition-node", "r1", "a", "ready"],
        &["bind", "r1", "cron", "--value", "x"],
        &["validate", "r1"],
        &["next", "r1"],
        &["status", "r1"],
        &["result", "r1", "a"],
        &["rewire", "r1", "a", "--needs", ""],
    ] {
        refuses(&scene, call, "run not found: r1");
    }
    assert_eq!(all_files(&scene), before);
    helper(&scene, &SCAFFOLD).ok();
}

#[test]
fn w19_only_workflows_of_the_registry_are_read() {
    let scene = bare();
    let mut call = SCAFFOLD;
    call[2] = "/etc/passwd";
    helper(&scene, &call).exits(1).complains("workflow must lie in the registry");
    scene.write("workflows/demo.task.md", "");
    helper(&scene, &SCAFFOLD).exits(1).complains("workflow is missing YAML frontmatter");
}

#[test]
fn w20_no_alignment_of_letters_hides_a_text() {
    for pad in 0..3 {
        let prompt = "x".repeat(pad) + &"報告".repeat(700);
        let scene = run_of(&DEMO.replace("Do gather.", &prompt));
        assert_eq!(helper(&scene, &["next", "r1"]).ok().json()["dispatch"][0]["prompt"], prompt);
        assert_eq!(helper(&scene, &["progress", "r1", &prompt]).ok().json()["event"]["message"], prompt);
        assert_eq!(state(&scene)["lastProgressMessage"], prompt);
    }
}

#[test]
fn w21_looking_after_a_run_adds_nothing_to_its_journal() {
    let scene = run_of(DEMO);
    let before = names(&scene, "r1");
    for _ in 0..3 {
        scene.tf(&["tick", "--all"]).ok();
        scene.tf(&["tick", "r1"]).ok();
        helper(&scene, &["next", "r1"]).ok();
    }
    assert_eq!(names(&scene, "r1"), before);
}

#[test]
fn w22_a_failed_run_is_called_failed_and_an_ended_one_stays_ended() {
    let scene = run_of(&one_node("    outputs: {mode: notify}\n"));
    to(&scene, "a", "failed");
    let ended: Vec<Value> =
        scene.journal("r1").into_iter().filter(|line| crate::scene::text(&line["event"]).starts_with("run.")).collect();
    assert_eq!(ended.last().unwrap()["event"], "run.failed");
    let before = names(&scene, "r1").len();
    for action in ["pause", "resume"] {
        scene.tf(&["control", action, "r1"]).exits(7);
    }
    assert_eq!(state(&scene)["status"], "failed");
    assert!(names(&scene, "r1")[before..].iter().all(|name| name.starts_with("control.")));
}
