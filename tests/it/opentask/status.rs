//! `helper status`.

use serde_json::json;

use super::{DEMO, helper, run_of, to};

#[test]
fn every_node_says_where_it_stands_and_why() {
    let scene = run_of(DEMO);
    to(&scene, "gather", "running");
    helper(&scene, &["transition-node", "r1", "gather", "failed", "--message", "no network"]).ok();
    let status = helper(&scene, &["status", "r1"]).ok().json();
    assert_eq!((&status["runStatus"], &status["statusCounts"]["skipped"]), (&json!("failed"), &json!(3)));
    let nodes = status["nodes"].as_array().unwrap();
    assert_eq!((&nodes[0]["status"], &nodes[0]["failure"]), (&json!("failed"), &json!("no network")));
    assert_eq!(nodes[1]["skipped"], "node gather, which it needs, failed");
    assert_eq!(
        nodes.iter().map(|node| &node["executor"]).collect::<Vec<_>>(),
        ["session", "subagent", "driver", "session"]
    );
    helper(&scene, &["status", "r2"]).exits(1).complains("run not found: r2");
}
