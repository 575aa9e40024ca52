//! Approval nodes: a person's in a registry of ours, as OpenTask has them in one of its own.

use serde_json::json;

use super::{DEMO, helper, node_of, ours, refuses, run_of, to};

#[test]
fn in_our_registry_no_verb_moves_one() {
    let scene = ours();
    helper(&scene, &super::SCAFFOLD).ok();
    let refusal = "node ask is an approval: it takes a decision, nothing else completes or skips it";
    for status in ["ready", "failed", "skipped"] {
        refuses(&scene, &["transition-node", "r1", "ask", status], refusal);
    }
    for node in ["gather", "sub"] {
        to(&scene, node, "running");
        to(&scene, node, "completed");
    }
    assert_eq!(node_of(&scene, "ask")["status"], "waiting");
    for status in ["ready", "running", "completed", "failed", "skipped"] {
        refuses(&scene, &["transition-node", "r1", "ask", status], refusal);
    }
    // Nor does what stands behind it begin.
    let behind = "node summary waits for the approval ask, and only a person's decision ends that";
    refuses(&scene, &["transition-node", "r1", "summary", "ready"], behind);
    let (_, digest) = scene.the_one("r1");
    let id = scene.the_one("r1").0;
    scene.tf(&["approve", &id, "--digest", &digest]).ok();
    assert_eq!(node_of(&scene, "summary")["status"], "ready");
    helper(&scene, &["validate", "r1"]).ok();
}

#[test]
fn in_opentask_s_registry_the_session_says_what_the_person_said() {
    let scene = run_of(DEMO);
    for node in ["gather", "sub", "ask"] {
        to(&scene, node, "running");
        to(&scene, node, "completed");
    }
    assert_eq!(node_of(&scene, "summary")["status"], json!("ready"));
    scene.tf(&["audit", "verify", "r1"]).ok().says("approval node ask went by without a decision");
}
