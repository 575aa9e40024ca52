//! `helper progress`.

use serde_json::json;

use super::{DEMO, helper, normal, refuses, run_of, state};

#[test]
fn it_is_journaled_and_shown() {
    let scene = run_of(DEMO);
    let said = helper(&scene, &["progress", "r1", "half – way", "--payload-json", r#"{"p": 0.5}"#]).ok();
    insta::assert_snapshot!(normal(&said.stdout), @r#"
    {
      "ok": true,
      "event": {
        "event": "run.progress",
        "timestamp": "[TIME]",
        "runId": "r1",
        "payload": {
          "p": 0.5
        },
        "message": "half – way"
      }
    }
    "#);
    let (state, event) = (state(&scene), said.json()["event"].clone());
    assert_eq!((&state["lastProgressMessage"], &state["lastEvent"]), (&json!("half – way"), &json!("run.progress")));
    assert_eq!((&state["lastProgressMessageAt"], &state["updatedAt"]), (&event["timestamp"], &event["timestamp"]));
}

#[test]
fn an_empty_message_is_no_message() {
    let scene = run_of(DEMO);
    let event = helper(&scene, &["progress", "r1", ""]).ok().json()["event"].clone();
    assert_eq!(event.get("message"), None);
    assert_eq!(state(&scene)["lastProgressMessage"], "");
}

#[test]
fn a_payload_is_an_object_or_nothing() {
    let scene = run_of(DEMO);
    for nothing in ["", "null", "[]", "0", "false", "\"\"", "{}"] {
        let event = helper(&scene, &["progress", "r1", "m", "--payload-json", nothing]).ok().json()["event"].clone();
        assert_eq!(event["payload"], json!({}), "{nothing}");
    }
    let before = scene.read("runs/r1/events.jsonl");
    for wrong in ["[1]", "1", "\"x\"", "true"] {
        refuses(&scene, &["progress", "r1", "m", "--payload-json", wrong], "--payload-json must be a JSON object");
    }
    assert_eq!(scene.read("runs/r1/events.jsonl"), before);
}
