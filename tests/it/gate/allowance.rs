//! Models that were granted beyond the node's own, and what of them may be used.

use std::sync::Arc;

use serde_json::{Value, json};
use taskforge::gate::records::Kind;
use taskforge::gate::{Grant, Price};
use taskforge::run::capability::Capability;
use taskforge::run::id::RequestId;

use super::http::{Answer, request};
use super::upstream::Upstream;
use super::world::{World, completion, wait};

const FIRST: &str = "01JD2Z3V5Q8M4K7N9P1R2S3T4V";
const SECOND: &str = "01JD2Z3V5Q8M4K7N9P1R2S3T4W";
const THIRD: &str = "01JD2Z3V5Q8M4K7N9P1R2S3T4X";

fn grant(request: &str, capability: &str) -> Grant {
    Grant {
        request: RequestId::parse(request).unwrap(),
        capability: Capability::parse(capability).unwrap(),
        until: None,
    }
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

#[test]
fn money_is_counted_by_the_price_table_for_each_grant() {
    let price =
        Price { pattern: "big-*".into(), input: 1_000_000, output: 4_000_000, cached: 1_000_000, written: 2_000_000 };
    let (upstream, mut world) = granting(seven(), &[grant(FIRST, "llm:*,money=0.00003")]);
    world.policy.prices = vec![price];
    world.apply();
    // 19 millionths each: 38 after two, and 30 are what may be spent.
    assert_eq!([ask(&world, "big-1").status, ask(&world, "big-1").status], [200, 200]);
    let refused = ask(&world, "big-1");
    assert_eq!((refused.status, refused.code().as_str()), (429, "budget_exhausted"));
    world.restart();
    assert_eq!(ask(&world, "big-1").status, 429, "a restart forgets nothing");
    // What has no price is not asked where money is counted.
    world.policy.attempts[0].grants = vec![grant(SECOND, "llm:*,money=1")];
    world.apply();
    let free = ask(&world, "free-1");
    assert_eq!((free.status, free.code().as_str()), (403, "no_price"));
    assert_eq!(upstream.got().len(), 2);
    // By another grant, which counts none, it is.
    world.policy.attempts[0].grants.push(grant(THIRD, "llm:free-*,requests=1"));
    world.apply();
    assert_eq!([ask(&world, "free-1").status, ask(&world, "free-1").status], [200, 403]);
}

#[test]
fn an_answer_that_breaks_off_took_what_came() {
    let upstream = Upstream::start(|_, wire| {
        wire.stream_head();
        wire.chunk(format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{}\"}}}}]}}\n\n", "word ".repeat(100)));
        wire.shut();
    });
    let mut world = World::new(&upstream.base());
    world.policy.attempts[0].grants = vec![grant(FIRST, "llm:big-*,tokens=100")];
    let world = world.start();
    let body = json!({"model": "big-1", "stream": true, "messages": [{"role": "user", "content": "hi"}]});
    let _ = world.chat(&body);
    world.records(&Kind::LlmError, 1);
    let refused = world.chat(&body);
    assert_eq!((refused.status, refused.code().as_str()), (429, "budget_exhausted"));
}

#[test]
fn a_revocation_in_mid_stream_is_the_reason_on_record() {
    let upstream = Upstream::start(|_, wire| {
        wire.stream_head();
        wire.chunk("data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n");
        wire.wait_until_cut();
    });
    let mut world = World::new(&upstream.base());
    world.policy.attempts[0].grants = vec![grant(FIRST, "llm:big-*")];
    let mut world = world.start();
    let body = json!({"model": "big-1", "stream": true, "messages": [{"role": "user", "content": "hi"}]}).to_string();
    let socket = world.socket("a1");
    let asking = std::thread::spawn(move || request(&socket, "POST", "/v1/chat/completions", body.as_bytes()).status);
    world.records(&Kind::LlmRequest, 1);
    wait("the upstream", || upstream.got().len() == 1);
    world.policy.attempts[0].grants.clear();
    world.apply();
    let _ = asking.join();
    assert_eq!(world.records(&Kind::LlmAborted, 1)[0].text("reason"), Some("revoked"));
}
