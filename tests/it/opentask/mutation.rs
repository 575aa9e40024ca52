//! `helper add-node` and `helper rewire`.

use serde_json::json;

use super::{DEMO, all_files, helper, names, node_of, ours, refuses, run_of, state, to};

const ADD: [&str; 10] =
    ["add-node", "r1", "--id", "more", "--title", "More", "--kind", "session_turn", "--prompt", "Do more."];

#[test]
fn a_node_is_added_before_the_summary_and_journaled() {
    let scene = run_of(DEMO);
    let said = helper(&scene, &[&ADD[..], &["--needs", "gather,sub", "--needs", "ask"]].concat()).ok().json();
    assert_eq!((&said["nodeId"], &said["status"]), (&json!("more"), &json!("pending")));
    assert_eq!(said["events"][0]["event"], "node.added");
    let ids: Vec<_> = state(&scene)["nodes"].as_array().unwrap().iter().map(|node| node["id"].clone()).collect();
    assert_eq!(ids, ["gather", "sub", "ask", "more", "summary"]);
    let node = node_of(&scene, "more");
    assert_eq!((&node["needs"], &node["outputsMode"]), (&json!(["gather", "sub", "ask"]), &json!("report")));
    assert_eq!(node["artifactPaths"], json!(["nodes/more/report.md"]));
    assert!(scene.path("runs/r1/nodes/more").is_dir());
    helper(&scene, &["validate", "r1"]).ok();
    // What it is to do is told like that of any other.
    for node in ["gather", "sub", "ask"] {
        to(&scene, node, "skipped");
    }
    let told = helper(&scene, &["next", "r1"]).ok().json();
    assert_eq!(told["dispatch"][0]["prompt"], "Do more.");
}

#[test]
fn a_node_without_needs_is_ready_at_once() {
    let scene = run_of(DEMO);
    let more = ["--kind", "subagent", "--outputs-mode", "notify", "--before", "gather"];
    let said = helper(&scene, &[&ADD[..], &more].concat()).ok().json();
    assert_eq!(said["status"], "ready");
    assert_eq!(names(&scene, "r1")[2..], ["node.added more", "node.ready more"]);
    assert_eq!(state(&scene)["nodes"][0]["id"], "more");
    assert!(scene.read("runs/r1/nodes/more/handoff.md").starts_with("# More handoff\n"));
    helper(&scene, &["add-node", "r1", "--id", "nap", "--title", "Nap", "--kind", "wait", "--wait-for", "next_tick"])
        .ok();
    assert_eq!(node_of(&scene, "nap")["waitFor"], json!({"type": "next_tick"}));
}

#[test]
fn other_needs_take_a_ready_node_back() {
    let scene = run_of(DEMO);
    helper(&scene, &ADD).ok();
    let said = helper(&scene, &["rewire", "r1", "more", "--needs", "sub"]).ok().json();
    assert_eq!((&said["needs"], &said["status"]), (&json!(["sub"]), &json!("pending")));
    assert_eq!(node_of(&scene, "more")["status"], "pending");
    let said = helper(&scene, &["rewire", "r1", "more", "--needs", ""]).ok().json();
    assert_eq!((&said["needs"], &said["status"]), (&json!([]), &json!("ready")));
    helper(&scene, &["validate", "r1"]).ok();
}

#[test]
fn what_is_refused_leaves_nothing() {
    let scene = run_of(DEMO);
    to(&scene, "gather", "running");
    let (before, journal) = (all_files(&scene), scene.read("runs/r1/events.jsonl"));
    let add = |more: &[&'static str]| [&ADD[..], more].concat();
    for (call, sentence) in [
        (add(&["--id", "gather"]), "the run has a node gather already"),
        (add(&["--needs", "nope"]), "node more needs nope, which the run does not have"),
        (add(&["--before", "nope"]), "node not found: nope"),
        (add(&["--prompt", " "]), "node more requires prompt for kind=session_turn"),
        (add(&["--title", ""]), "node more requires title"),
        (add(&["--required-file", "../x"]), "--required-file \"../x\" leaves the run's folder"),
        (
            add(&["--kind", "wait", "--wait-for", "file_exists"]),
            "--wait-path is required for --wait-for file_exists of node more",
        ),
        (add(&["--wait-for", "manual"]), "node more is no wait node: --wait-for and --wait-path are of those"),
        (vec!["rewire", "r1", "sub", "--needs", "summary"], "the needs summary would close a cycle"),
        (vec!["rewire", "r1", "sub", "--needs", "nope"], "node sub needs nope, which the run does not have"),
        (vec!["rewire", "r1", "gather", "--needs", ""], "node gather is running: it cannot be given other needs"),
        (vec!["rewire", "r1", "zz", "--needs", ""], "node not found: zz"),
    ] {
        refuses(&scene, &call, sentence);
    }
    helper(&scene, &add(&["--id", "../../../pwn"])).exits(1).complains("node id");
    helper(&scene, &["rewire", "r1", "sub"]).exits(2).complains("required: --needs");
    assert_eq!((all_files(&scene), scene.read("runs/r1/events.jsonl")), (before, journal));
}

#[test]
fn no_change_passes_by_an_approval() {
    let scene = ours();
    helper(&scene, &super::SCAFFOLD).ok();
    let said = "node summary would no longer wait for the approval ask: only a person takes that away, in the workflow";
    refuses(&scene, &["rewire", "r1", "summary", "--needs", "gather"], said);
    refuses(
        &scene,
        &["rewire", "r1", "ask", "--needs", ""],
        "node ask is an approval: it takes a decision, nothing else completes or skips it",
    );
}
