//! `helper next`: a session that knows nothing but this can do a whole run.

use serde_json::{Value, json};

use super::{DEMO, bare, helper, names, ours, refuses, run_of, to};
use crate::scene::{Scene, text};

fn next(scene: &Scene) -> Value {
    helper(scene, &["next", "r1"]).ok().json()
}

/// The words of a command as a shell would split them; none of ours holds a quote.
fn words(command: &Value) -> Vec<String> {
    let words: Vec<String> =
        command.as_str().unwrap().split(' ').map(|word| word.trim_matches('\'').to_owned()).collect();
    assert_eq!(words[..2], ["taskforge", "helper"], "an allowlist permits `helper` first and nothing else");
    words
}

/// Runs a command as `next` gave it, from anywhere.
fn follow(scene: &Scene, command: &Value) {
    let words = words(command);
    let words: Vec<&str> = words[1..].iter().map(String::as_str).collect();
    scene.tf(&words).cwd(&scene.outside("home")).ok();
}

#[test]
fn a_session_that_follows_it_does_the_whole_run() {
    let scene = run_of(DEMO);
    let mut done = Vec::new();
    for _ in 0..20 {
        let told = next(&scene);
        if told["done"] == true {
            break;
        }
        for brief in told["dispatch"].as_array().unwrap() {
            done.push(text(&brief["nodeId"]));
            for step in ["bind", "started"] {
                follow(&scene, &brief["commands"][step]);
            }
            for file in brief["write"].as_array().unwrap() {
                std::fs::write(text(&file["file"]), "report").unwrap();
            }
            for step in ["result", "completed"] {
                follow(&scene, &brief["commands"][step]);
            }
        }
        for waiting in told["waiting"].as_array().unwrap() {
            let commands = waiting["commands"].as_object().unwrap();
            follow(&scene, commands.get("completed").or(commands.get("waiting")).unwrap());
        }
        follow(&scene, &told["continue"]);
    }
    assert_eq!(done, ["gather", "sub", "summary"]);
    let told = next(&scene);
    assert_eq!((&told["done"], &told["continue"]), (&json!(true), &json!(null)));
    assert_eq!(told["say"], "Run r1 is completed: there is nothing more to do.");
    assert_eq!(scene.json("runs/r1/nodes/summary/result.json")["artifacts"], json!(["nodes/summary/report.md"]));
    assert_eq!(scene.json("runs/r1/nodes/sub/result.json")["childSessionKey"], "CHILD_SESSION_KEY");
    assert_eq!(names(&scene, "r1").last().unwrap(), "run.completed");
    helper(&scene, &["validate", "r1"]).ok();
}

#[test]
fn a_brief_holds_all_that_is_needed() {
    let scene =
        run_of(&DEMO.replace("prompt: Do sub.", "sessionKey: mine\n    prompt: |\n      Do sub\n      --- with care."));
    let told = next(&scene);
    assert_eq!(told["say"], "Run r1: dispatch 1 node now.");
    to(&scene, "gather", "running");
    assert_eq!(next(&scene)["running"][0]["nodeId"], "gather");
    scene.write("runs/r1/nodes/gather/report.md", "found it");
    helper(&scene, &["result", "r1", "gather"]).ok();
    to(&scene, "gather", "completed");
    let root = scene.root().canonicalize().unwrap().display().to_string();
    let told = next(&scene);
    let brief = &told["dispatch"][0];
    assert_eq!((&brief["nodeId"], &brief["executor"]), (&json!("sub"), &json!("subagent")));
    assert_eq!(brief["prompt"], "Do sub\n--- with care.\n");
    assert_eq!(brief["sessionKey"], "agent:main:mine");
    assert_eq!(
        brief["needs"],
        json!([{"nodeId": "gather", "title": "Gather", "status": "completed", "files": [
            format!("{root}/runs/r1/nodes/gather/report.md"), format!("{root}/runs/r1/nodes/gather/result.json")]}])
    );
    let memory = brief["workingMemory"].as_object().unwrap();
    assert_eq!(memory.keys().collect::<Vec<_>>(), ["plan", "findings", "progress", "handoff"]);
    assert_eq!(memory["handoff"], format!("{root}/runs/r1/nodes/sub/handoff.md"));
    assert_eq!(
        words(&brief["commands"]["failed"]),
        ["taskforge", "helper", "transition-node", "r1", "sub", "failed", "--message", "WHY", "--registry-root", &root]
    );
}

#[test]
fn who_is_waited_for_is_named() {
    let scene = ours();
    let wait = "  - {id: nap, title: Nap, kind: wait, waitFor: {type: file_exists, path: nodes/go}, outputs: {mode: notify}}\n";
    scene.write("workflows/demo.task.md", DEMO.replace("---\nBody", &format!("{wait}---\nBody")));
    helper(&scene, &super::SCAFFOLD).ok();
    for node in ["gather", "sub"] {
        to(&scene, node, "running");
        to(&scene, node, "completed");
    }
    let told = next(&scene);
    assert_eq!(told["dispatch"], json!([]));
    let waiting = told["waiting"].as_array().unwrap();
    let ask = waiting.iter().find(|node| node["nodeId"] == "ask").unwrap();
    assert_eq!((&ask["executor"], &ask["for"]), (&json!("person"), &json!("a person's decision")));
    assert_eq!(ask["person"], format!("taskforge approve {} --show", text(&ask["requests"][0])));
    assert_eq!(ask.get("commands"), None);
    let nap = waiting.iter().find(|node| node["nodeId"] == "nap").unwrap();
    assert_eq!((&nap["executor"], &nap["for"]), (&json!("engine"), &json!("the file nodes/go")));
}

#[test]
fn what_failed_can_be_tried_again() {
    let scene = run_of(DEMO);
    helper(&scene, &["transition-node", "r1", "gather", "failed", "--message", "no network"]).ok();
    let told = next(&scene);
    assert_eq!((&told["done"], &told["failed"][0]["why"]), (&json!(true), &json!("no network")));
    follow(&scene, &told["failed"][0]["commands"]["again"]);
    let told = next(&scene);
    assert_eq!(
        (&told["done"], &told["failed"], &told["dispatch"][0]["nodeId"]),
        (&json!(false), &json!([]), &json!("gather"))
    );
    assert_eq!(super::node_of(&scene, "summary")["status"], "pending");
}

#[test]
fn nothing_is_dispatched_while_a_person_holds_the_run() {
    let scene = ours();
    helper(&scene, &super::SCAFFOLD).ok();
    scene.tf(&["control", "pause", "r1"]).ok();
    let told = next(&scene);
    assert_eq!((&told["dispatch"], &told["runStatus"]), (&json!([]), &json!("paused")));
    assert!(text(&told["say"]).contains("only a person resumes it"), "{told}");
    scene.tf(&["control", "resume", "r1"]).ok();
    assert_eq!(next(&scene)["dispatch"].as_array().unwrap().len(), 1);
}

#[test]
fn nothing_is_dispatched_while_the_kill_switch_is_on() {
    let scene = ours();
    helper(&scene, &super::SCAFFOLD).ok();
    scene.tf(&["kill", "--reason", "too much"]).ok();
    let told = next(&scene);
    assert_eq!(told["dispatch"], json!([]));
    assert!(text(&told["say"]).contains("too much. Dispatch nothing; only a person lifts it."), "{told}");
    let mut again = super::SCAFFOLD;
    again[4] = "r2";
    helper(&scene, &again).exits(1).complains("the kill switch is on");
    assert!(!scene.path("runs/r2").exists());
}

#[test]
fn reading_writes_nothing() {
    let scene = run_of(DEMO);
    let before = super::all_files(&scene);
    next(&scene);
    helper(&scene, &["status", "r1"]).ok();
    assert_eq!(super::all_files(&scene), before);
    refuses(&bare(), &["next", "r1"], "run not found: r1");
}
