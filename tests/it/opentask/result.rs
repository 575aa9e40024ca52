//! `helper result`.

use std::os::unix::fs::symlink;

use serde_json::json;

use super::{DEMO, helper, node_of, ours, refuses, run_of};

#[test]
fn it_is_opentask_s_result_json() {
    let scene = run_of(DEMO);
    scene.write("runs/r1/nodes/gather/report.md", "x").write("runs/r1/nodes/gather/plan.md", "x");
    helper(&scene, &["bind", "r1", "node-session", "--node-id", "gather", "--value", "agent:main:s"]).ok();
    let call = [
        "result",
        "r1",
        "gather",
        "--status",
        "completed",
        "--summary",
        "größer",
        "--artifact",
        "nodes/gather/report.md",
    ];
    let more = [
        "--artifact",
        "./nodes/gather/plan.md",
        "--working-memory",
        "plan=nodes/gather/plan.md",
        "--payload-json",
        r#"{"n": 1}"#,
    ];
    let said = helper(&scene, &[&call[..], &more].concat()).ok().json();
    let text = r#"{
  "runId": "r1",
  "nodeId": "gather",
  "status": "completed",
  "summary": "gr\u00f6\u00dfer",
  "artifacts": [
    "nodes/gather/report.md",
    "nodes/gather/plan.md"
  ],
  "sessionKey": "agent:main:s",
  "workingMemory": {
    "plan": "nodes/gather/plan.md"
  },
  "payload": {
    "n": 1
  }
}
"#;
    assert_eq!(scene.read("runs/r1/nodes/gather/result.json"), text);
    assert_eq!(
        (&said["path"], &said["result"]),
        (&json!("nodes/gather/result.json"), &scene.json("runs/r1/nodes/gather/result.json"))
    );
    assert_eq!(said["event"]["event"], "node.result");
    // It moves nothing.
    assert_eq!(node_of(&scene, "gather")["status"], "ready");
}

#[test]
fn declared_files_that_are_there_are_the_artifacts() {
    let scene = run_of(DEMO);
    assert_eq!(helper(&scene, &["result", "r1", "gather"]).ok().json()["result"]["artifacts"], json!([]));
    scene.write("runs/r1/nodes/gather/report.md", "x");
    let result = helper(&scene, &["result", "r1", "gather", "--status", "failed"]).ok().json()["result"].clone();
    assert_eq!((&result["artifacts"], &result["status"]), (&json!(["nodes/gather/report.md"]), &json!("failed")));
}

#[test]
fn what_is_no_file_of_the_run_is_refused() {
    let scene = run_of(DEMO);
    let root = "[REGISTRY]/runs/r1";
    symlink("/etc/passwd", scene.path("runs/r1/nodes/gather/link")).unwrap();
    for (artifact, sentence) in [
        ("nodes/gather/report.md", format!("artifact not found: nodes/gather/report.md is no file below {root}")),
        ("nodes/gather", format!("artifact not found: nodes/gather is no file below {root}")),
        ("nodes/gather/link", format!("artifact not found: nodes/gather/link is no file below {root}")),
        ("../r2/state.json", "--artifact \"../r2/state.json\" leaves the run's folder".to_owned()),
        ("/etc/passwd", "--artifact \"/etc/passwd\" is absolute; it must be relative to the run's folder".to_owned()),
    ] {
        refuses(&scene, &["result", "r1", "gather", "--artifact", artifact], &sentence);
    }
    for memory in ["plan", "diary=nodes/x.md", "plan=../x"] {
        helper(&scene, &["result", "r1", "gather", "--working-memory", memory]).exits(1).complains("--working-memory");
    }
    refuses(&scene, &["result", "r1", "zz"], "node not found: zz");
    helper(&scene, &["result", "r1", "gather", "--status", "pending"]).exits(2);
    assert!(!scene.path("runs/r1/nodes/gather/result.json").exists());
}

#[test]
fn nobody_reports_for_a_person() {
    let scene = ours();
    helper(&scene, &super::SCAFFOLD).ok();
    helper(&scene, &["result", "r1", "ask"]).exits(1).complains("node ask is an approval");
    assert!(!scene.path("runs/r1/nodes/ask/result.json").exists());
}
