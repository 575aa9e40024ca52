//! The replay provider through the gate, and the way a transcript is made.

use serde_json::{Value, json};
use taskforge::gate::export;
use taskforge::gate::records::Kind;

use super::upstream::Upstream;
use super::world::{World, completion};

fn ask(model: &str, said: &str, stream: bool) -> Value {
    json!({"model": model, "stream": stream, "messages": [{"role": "user", "content": said}]})
}

/// A transcript of two answers, made by going through a live upstream.
fn transcript() -> String {
    let upstream = Upstream::start(|got, wire| {
        let body: Value = serde_json::from_slice(&got.body).unwrap();
        let said = body["messages"][0]["content"].as_str().unwrap();
        if body["stream"] == true {
            wire.stream_head();
            for piece in ["re: ", said] {
                let chunk = json!({"id": "s", "created": 1, "model": "m", "choices": [{"index": 0, "delta": {"content": piece}}]});
                wire.chunk(format!("data: {chunk}\n\n"));
            }
            wire.chunk(
                "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
            );
            wire.end_chunks();
        } else {
            wire.json(completion(&format!("re: {said}")).to_string());
        }
    });
    let world = World::new(&upstream.base()).start();
    for (said, stream) in [("one at 0x7f00deadbeef", false), ("two", true), ("two", false)] {
        assert_eq!(world.chat(&ask("m", said, stream)).status, 200);
    }
    world.records(&Kind::LlmResponse, 3);
    export(&world.traffic(), &world.bodies()).unwrap()
}

#[test]
fn a_recorded_conversation_is_answered_and_another_is_not() {
    let transcript = transcript();
    assert_eq!(transcript.lines().count(), 3, "{transcript}");
    let world = World::new("http://127.0.0.1:1/v1");
    std::fs::write(world.dir().join("replay/recorded.jsonl"), &transcript).unwrap();
    let world = world.start();

    // The address differs from the recorded one, as it would in another run.
    let one = world.chat(&ask("recorded", "one at 0x7fffffff0000", false));
    assert_eq!((one.status, one.json()), (200, completion("re: one at 0x7f00deadbeef")));
    let two = world.chat(&ask("recorded", "two", false)).json();
    assert_eq!(two["choices"][0]["message"]["content"], "re: two");
    assert_eq!(two["choices"][0]["finish_reason"], "stop");

    let streamed = world.chat(&ask("recorded", "two", true));
    assert_eq!(streamed.header("content-type").as_deref(), Some("text/event-stream"));
    assert!(streamed.whole && streamed.body.ends_with(b"data: [DONE]\n\n"));
    assert_eq!(streamed.body, world.chat(&ask("recorded", "two", true)).body);

    let other = world.chat(&ask("recorded", "three", false));
    assert_eq!((other.status, other.code().as_str()), (422, "replay_mismatch"));
    let error = &other.json()["error"];
    assert!(error["nearest"].as_str().unwrap().contains("node gather, turn 1"), "{error}");
    assert!(other.json().get("choices").is_none());
    let request = world.traffic().of(&Kind::LlmRequest).last().cloned().unwrap();
    assert_eq!(error["digest"].as_str(), request.text("messagesDigest"));
    assert_eq!(request.text("provider"), Some("recorded"));
    let failed = &world.records(&Kind::LlmError, 1)[0];
    assert_eq!(failed.text("code"), Some("replay_mismatch"));
}

#[test]
fn a_transcript_that_is_not_there_is_an_error_and_no_answer() {
    let world = World::new("http://127.0.0.1:1/v1").start();
    let got = world.chat(&ask("recorded", "one", false));
    assert_eq!((got.status, got.code().as_str()), (502, "upstream_error"));
    assert!(got.json()["error"]["message"].as_str().unwrap().contains("recorded.jsonl"));
}

#[test]
fn the_same_run_exports_the_same_transcript() {
    assert_eq!(transcript(), transcript());
}
