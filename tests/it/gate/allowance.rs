//! Models that were granted beyond the node's own, and what of them may be used.

use std::sync::Arc;

use serde_json::{Value, json};
use taskforge::gate::Grant;
use taskforge::gate::records::Kind;
use taskforge::run::capability::Capability;
use taskforge::run::id::RequestId;

use super::http::{Answer, request};
use super::upstream::Upstream;
use super::world::{World, completion};

const FIRST: &str = "01JD2Z3V5Q8M4K7N9P1R2S3T4V";
const SECOND: &str = "01JD2Z3V5Q8M4K7N9P1R2S3T4W";

fn grant(request: &str, capability: &str) -> Grant {
    Grant { request: RequestId::parse(request).unwrap(), capability: Capability::parse(capability).unwrap() }
}

/// A gate over an upstream that answers with `usage`.
fn granting(usage: Value, grants: &[Grant]) -> (Upstream, World) {
    let upstream = Upstream::start(move |_, wire| {
        let mut answer = completion("hi");
        answer["usage"] = usage.clone();
        wire.json(answer.to_string());
    });
    let mut world = World::new(&upstream.base());
    world.policy.attempts[0].grants = grants.to_vec();
    (upstream, world.start())
}

fn ask(world: &World, model: &str) -> Answer {
    world.chat(&json!({"model": model, "messages": [{"role": "user", "content": "hi"}]}))
}

fn seven() -> Value {
    json!({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7})
}

#[test]
fn requests_are_counted_over_a_restart_and_charged_on_record() {
    let (upstream, mut world) = granting(seven(), &[grant(FIRST, "llm:big-*,requests=2")]);
    assert_eq!(ask(&world, "big-1").status, 200);
    assert_eq!(ask(&world, "m-own").status, 200);
    world.restart();
    assert_eq!(ask(&world, "big-2").status, 200);
    for _ in 0..2 {
        let got = ask(&world, "big-1");
        assert_eq!((got.status, got.code().as_str()), (429, "budget_exhausted"));
        world.restart();
    }
    assert_eq!(ask(&world, "huge").code(), "model_not_granted");
    assert_eq!(ask(&world, "m-own").status, 200, "the node's own model is charged to nobody");
    assert_eq!(upstream.got().len(), 4);
    let traffic = world.traffic();
    let charged: Vec<Option<&str>> = traffic.of(&Kind::LlmRequest).map(|record| record.text("grant")).collect();
    assert_eq!(charged, [Some(FIRST), None, Some(FIRST), None]);
}

#[test]
fn tokens_are_counted_as_the_provider_says_and_estimated_where_it_does_not() {
    let (_upstream, mut world) = granting(seven(), &[grant(FIRST, "llm:big-*,tokens=10")]);
    // 7, then 14: what is under way when they are used up is finished.
    assert_eq!(
        [ask(&world, "big-1").status, ask(&world, "big-1").status, ask(&world, "big-1").status],
        [200, 200, 429]
    );
    // A larger budget is another grant, and what was used of the first is not charged to it.
    world.policy.attempts[0].grants.push(grant(SECOND, "llm:big-*,tokens=1000"));
    world.apply();
    assert_eq!(ask(&world, "big-1").status, 200);
    world.restart();
    assert_eq!(world.traffic().of(&Kind::LlmRequest).last().unwrap().text("grant"), Some(SECOND));

    let (_upstream, world) = granting(Value::Null, &[grant(FIRST, "llm:big-*,tokens=10")]);
    assert_eq!([ask(&world, "big-1").status, ask(&world, "big-1").status], [200, 429]);
}

#[test]
fn what_fails_upstream_takes_no_tokens() {
    let upstream = Upstream::start(|_, wire| {
        wire.answer("400 Bad Request", "application/json", "{\"error\":{\"message\":\"no\"}}")
    });
    let mut world = World::new(&upstream.base());
    world.policy.attempts[0].grants = vec![grant(FIRST, "llm:big-*,tokens=1")];
    let world = world.start();
    assert_eq!([ask(&world, "big-1").status, ask(&world, "big-1").status], [400, 400]);
}

#[test]
fn parallel_requests_do_not_pass_a_budget_together() {
    let (upstream, world) = granting(seven(), &[grant(FIRST, "llm:big-*,requests=3")]);
    let socket = Arc::new(world.socket("a1"));
    let threads: Vec<_> = (0..12)
        .map(|_| {
            let socket = socket.clone();
            let body = json!({"model": "big-1", "messages": [{"role": "user", "content": "hi"}]}).to_string();
            std::thread::spawn(move || request(&socket, "POST", "/v1/chat/completions", body.as_bytes()).status)
        })
        .collect();
    let mut statuses: Vec<u16> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [[200; 3].as_slice(), &[429; 9]].concat());
    assert_eq!(upstream.got().len(), 3);
}

#[test]
fn models_are_listed_while_they_are_granted() {
    let (_upstream, mut world) = granting(seven(), &[grant(FIRST, "llm:big-1")]);
    let names = |world: &World| -> Vec<String> {
        let models = world.get("/v1/models").json();
        models["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap().to_owned()).collect()
    };
    assert!(names(&world).contains(&"big-1".to_owned()));
    world.policy.attempts[0].grants.clear();
    world.apply();
    assert!(!names(&world).contains(&"big-1".to_owned()));
    assert_eq!(ask(&world, "big-1").code(), "model_not_granted");
}
