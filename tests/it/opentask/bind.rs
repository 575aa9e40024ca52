//! `helper bind`.

use serde_json::json;

use super::{DEMO, helper, node_of, normal, refuses, run_of};

#[test]
fn each_kind_sets_its_keys_and_says_so() {
    let scene = run_of(DEMO);
    let said = helper(&scene, &["bind", "r1", "node-session", "--node-id", "gather", "--value", "agent:main:s"]).ok();
    insta::assert_snapshot!(normal(&said.stdout), @r#"
    {
      "ok": true,
      "event": {
        "event": "node.session_bound",
        "timestamp": "[TIME]",
        "runId": "r1",
        "payload": {},
        "nodeId": "gather",
        "message": "Bound node session agent:main:s."
      },
      "refs": {
        "runId": "r1",
        "sourceSessionKey": "agent:main:discord:channel:123",
        "sourceAgentId": "main",
        "deliveryContext": null,
        "rootSessionKey": "agent:main:discord:channel:123",
        "plannerSessionKey": "agent:main:discord:channel:123",
        "driverSessionKey": "agent:main:discord:channel:123",
        "cronJobId": null,
        "driverRunId": null,
        "driverRequestedEventCount": 0,
        "driverRequestedActivityCount": 0,
        "nodeSessions": {
          "gather": "agent:main:s"
        },
        "childSessions": {},
        "nodeRunIds": {},
        "appliedControlIds": [],
        "lastProgressEventCount": 0
      }
    }
    "#);
    for (call, event, message) in [
        (
            &["child-session", "--node-id", "sub", "--value", "c"][..],
            "node.child_session_bound",
            "Bound child session c.",
        ),
        (&["node-run", "--node-id", "sub", "--value", "n"], "node.run_bound", "Bound node run id n."),
        (&["cron", "--value", "j"], "run.cron_bound", "Bound cron j."),
        (&["driver-run", "--value", "d"], "run.driver_bound", "Bound driver run id d."),
    ] {
        let said = helper(&scene, &[&["bind", "r1"], call].concat()).ok().json();
        assert_eq!((&said["event"]["event"], &said["event"]["message"]), (&json!(event), &json!(message)));
    }
    let (gather, sub) = (node_of(&scene, "gather"), node_of(&scene, "sub"));
    assert_eq!(
        (&gather["sessionKey"], &sub["childSessionKey"], &sub["runId"]),
        (&json!("agent:main:s"), &json!("c"), &json!("n"))
    );
    let refs = scene.json("runs/r1/refs.json");
    assert_eq!((&refs["childSessions"], &refs["nodeRunIds"]), (&json!({"sub": "c"}), &json!({"sub": "n"})));
    assert_eq!((&refs["cronJobId"], &refs["driverRunId"]), (&json!("j"), &json!("d")));
    let state = scene.json("runs/r1/state.json");
    assert_eq!((&state["cronJobId"], &state["lastEvent"]), (&json!("j"), &json!("run.driver_bound")));
    helper(&scene, &["validate", "r1"]).ok();
}

#[test]
fn a_message_and_a_payload_of_the_caller_s_are_journaled() {
    let scene = run_of(DEMO);
    let call = [
        "bind",
        "r1",
        "cron",
        "--value",
        "j",
        "--node-id",
        "sub",
        "--message",
        "mine",
        "--payload-json",
        r#"{"a": 1}"#,
    ];
    let event = helper(&scene, &call).ok().json()["event"].clone();
    assert_eq!(
        (&event["message"], &event["payload"], &event["nodeId"]),
        (&json!("mine"), &json!({"a": 1}), &json!("sub"))
    );
    // The node of a driver's run is dropped.
    let call = ["bind", "r1", "driver-run", "--value", "d", "--node-id", "sub"];
    assert_eq!(helper(&scene, &call).ok().json()["event"].get("nodeId"), None);
}

#[test]
fn what_is_missing_is_named() {
    let scene = run_of(DEMO);
    let before = scene.read("runs/r1/events.jsonl");
    for (call, sentence) in [
        (&["node-session"][..], "--node-id is required for bind kind node-session"),
        (&["child-session", "--node-id", "gather"], "--value is required for bind kind child-session"),
        (&["node-run", "--node-id", "", "--value", "x"], "--node-id is required for bind kind node-run"),
        (&["cron"], "--value is required for bind kind cron"),
        (&["cron", "--value", ""], "--value is required for bind kind cron"),
        (&["node-run", "--node-id", "zz", "--value", "x"], "node not found: zz"),
    ] {
        refuses(&scene, &[&["bind", "r1"], call].concat(), sentence);
    }
    refuses(&scene, &["bind", "r2", "cron", "--value", "x"], "run not found: r2");
    assert_eq!(scene.read("runs/r1/events.jsonl"), before);
}
