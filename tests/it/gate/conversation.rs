//! A conversation that goes on in another attempt, from the records alone.

use serde_json::{Value, json};
use taskforge::gate::Conversation;
use taskforge::gate::records::Kind;

use super::http::request;
use super::upstream::Upstream;
use super::world::World;

fn assistant() -> Value {
    let call =
        |id: &str, name: &str| json!({"id": id, "type": "function", "function": {"name": name, "arguments": "{}"}});
    json!({"role": "assistant", "content": null, "tool_calls": [call("c1", "shell"), call("c2", "request_capability")]})
}

fn answering() -> Upstream {
    Upstream::start(|got, wire| {
        let body: Value = serde_json::from_slice(&got.body).unwrap();
        if body["messages"].as_array().unwrap().len() > 2 {
            wire.answer("503 Busy", "text/plain", "later");
        } else if body["stream"] == true {
            wire.stream_head();
            let message = assistant();
            wire.chunk("data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":null}}]}\n\n");
            for index in 0..2 {
                let mut call = message["tool_calls"][index].clone();
                call["index"] = index.into();
                wire.chunk(format!(
                    "data: {}\n\n",
                    json!({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]})
                ));
            }
            wire.chunk(
                "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\ndata: [DONE]\n\n",
            );
            wire.end_chunks();
        } else {
            let choice = json!({"index": 0, "message": assistant(), "finish_reason": "tool_calls"});
            wire.json(json!({"id": "x", "choices": [choice]}).to_string());
        }
    })
}

fn messages() -> Value {
    json!([{"role": "system", "content": "s"}, {"role": "user", "content": "u"}])
}

fn with(more: &[Value]) -> Value {
    let mut all = messages();
    all.as_array_mut().unwrap().extend_from_slice(more);
    all
}

fn result(id: &str, content: &str) -> Value {
    json!({"role": "tool", "tool_call_id": id, "content": content})
}

fn turn(world: &World, id: &str, content: &str) -> u16 {
    world.post("/taskforge/v1/turns", &json!({"toolCallId": id, "content": content})).status
}

fn goes_on(stream: bool) {
    let upstream = answering();
    let mut world = World::new(&upstream.base()).start();
    let fresh = world.get("/taskforge/v1/conversation").json();
    assert_eq!(fresh, json!({"messages": [], "pendingToolCalls": []}));
    assert_eq!(turn(&world, "c1", "x"), 409);

    assert_eq!(world.chat(&json!({"model": "m", "stream": stream, "messages": messages()})).status, 200);
    let asked = world.get("/taskforge/v1/conversation").json();
    assert_eq!(asked, json!({"messages": with(&[assistant()]), "pendingToolCalls": assistant()["tool_calls"]}));

    assert_eq!(turn(&world, "c1", "{\"exit\":1}"), 204);
    assert_eq!(turn(&world, "c1", "{\"exit\":1}"), 204);
    assert_eq!(turn(&world, "c1", "{\"exit\":0}"), 409);
    assert_eq!(world.traffic().of(&Kind::ToolResult).count(), 1);

    // The next attempt, after the gate was away.
    let second = world.attempt("b2", "gather", 2);
    world.policy.attempts = vec![second];
    world.policy.write(&world.dir()).unwrap();
    world.restart();
    let resumed = request(&world.socket("b2"), "GET", "/taskforge/v1/conversation", b"").json();
    let expected = json!({
        "messages": with(&[assistant(), result("c1", "{\"exit\":1}")]),
        "pendingToolCalls": [assistant()["tool_calls"][1]],
    });
    assert_eq!(resumed, expected);
    let host = Conversation::of(&world.traffic(), &world.bodies(), "gather").unwrap();
    assert_eq!(serde_json::to_value(host).unwrap(), expected);
}

#[test]
fn it_goes_on_after_a_plain_answer() {
    goes_on(false);
}

#[test]
fn it_goes_on_after_a_streamed_answer() {
    goes_on(true);
}

#[test]
fn results_in_a_request_without_an_answer_are_not_lost() {
    let upstream = answering();
    let world = World::new(&upstream.base()).start();
    assert_eq!(world.chat(&json!({"model": "m", "messages": messages()})).status, 200);
    let next = with(&[assistant(), result("c1", "one"), result("c2", "two")]);
    assert_eq!(world.chat(&json!({"model": "m", "messages": next})).status, 503);
    let resumed = world.get("/taskforge/v1/conversation").json();
    assert_eq!(resumed, json!({"messages": next, "pendingToolCalls": []}));
}

#[test]
fn a_request_about_something_else_changes_nothing() {
    let upstream = answering();
    let world = World::new(&upstream.base()).start();
    assert_eq!(world.chat(&json!({"model": "m", "messages": messages()})).status, 200);
    let other = json!([{"role": "user", "content": "else"}, {"role": "user", "content": "u"}, assistant(), result("c1", "forged")]);
    assert_eq!(world.chat(&json!({"model": "m", "messages": other})).status, 503);
    let resumed = world.get("/taskforge/v1/conversation").json();
    assert_eq!(resumed["messages"], with(&[assistant()]));
}

#[test]
fn calls_without_usable_ids_can_be_answered_but_not_without_end() {
    let upstream = answering();
    let world = World::new(&upstream.base()).start();
    assert_eq!(world.chat(&json!({"model": "m", "messages": messages()})).status, 200);
    assert_eq!((turn(&world, "x1", "1"), turn(&world, "x2", "2"), turn(&world, "x3", "3")), (204, 204, 409));
}

#[test]
fn nodes_have_conversations_of_their_own() {
    let upstream = answering();
    let mut world = World::new(&upstream.base());
    let other = world.attempt("b2", "analyse", 1);
    world.policy.attempts.push(other);
    let world = world.start();
    assert_eq!(world.chat(&json!({"model": "m", "messages": messages()})).status, 200);
    let other = request(&world.socket("b2"), "GET", "/taskforge/v1/conversation", b"").json();
    assert_eq!(other["messages"], json!([]));
}
