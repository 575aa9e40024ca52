//! What is refused before anything happens is on record, and no agent fills the disk with it.

use serde_json::json;
use taskforge::gate::records::{Kind, Record};

use super::world::World;

fn world() -> World {
    World::new("http://127.0.0.1:1/v1").start()
}

fn said(record: &Record) -> [Option<&str>; 4] {
    ["method", "path", "code", "model"].map(|key| record.text(key))
}

#[test]
fn a_model_that_is_not_granted_is_on_record_with_what_to_ask_for() {
    let world = world();
    let got = world.chat(&json!({"model": "other", "messages": []}));
    assert_eq!((got.status, got.json()["error"]["capability"].as_str()), (403, Some("llm:other")));
    assert_eq!(got.json()["error"]["type"], "invalid_request_error");
    let refused = &world.records(&Kind::RequestRefused, 1)[0];
    assert_eq!(said(refused), ["POST", "/v1/chat/completions", "model_not_granted", "other"].map(Some));
    assert_eq!((refused.text("capability"), refused.fields["status"].as_u64()), (Some("llm:other"), Some(403)));
    assert_eq!((refused.node.as_deref(), refused.attempt), (Some("gather"), Some(1)));
    // What cannot stand in a capability is not named as one.
    let got = world.chat(&json!({"model": "no such\nmodel", "messages": []}));
    assert_eq!((got.status, got.json()["error"]["capability"].as_str()), (403, None));
}

#[test]
fn a_path_that_there_is_not_and_a_capability_that_is_none_are_on_record() {
    let world = world();
    assert_eq!(world.post("/taskforge/v1/approve", &json!({"id": "x"})).status, 404);
    assert_eq!(world.post("/taskforge/v1/capabilities", &json!({"capability": 7})).status, 400);
    assert_eq!(world.post("/taskforge/v1/capabilities", &json!({"capability": "sudo:all"})).status, 422);
    let refused = world.records(&Kind::RequestRefused, 3);
    let paths: Vec<_> = refused.iter().map(|record| (record.text("path"), record.text("code"))).collect();
    let asked = Some("/taskforge/v1/capabilities");
    let bad = Some("bad_request");
    assert_eq!(paths, [(Some("/taskforge/v1/approve"), Some("not_found")), (asked, bad), (asked, bad)]);
    assert!(refused[1].text("message").unwrap().contains("`capability` is not a text"), "{refused:?}");
}

#[test]
fn the_texts_of_a_record_are_bounded_and_so_is_their_number() {
    let world = world();
    assert_eq!(world.get(&format!("/taskforge/v1/{}", "x".repeat(5000))).status, 404);
    let first = &world.records(&Kind::RequestRefused, 1)[0];
    assert!(["path", "message"].iter().all(|key| first.text(key).unwrap().len() <= 300), "{first:?}");
    let mut client = world.client();
    for _ in 0..1050 {
        client.send("GET", "/taskforge/v1/nothing", "", b"");
        assert_eq!(client.answer().unwrap().status, 404);
    }
    let refused = world.records(&Kind::RequestRefused, 1001);
    assert_eq!(refused[999].text("code"), Some("not_found"));
    assert_eq!(refused[1000].text("code"), Some("no_longer_recorded"));
}
