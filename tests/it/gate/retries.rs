//! What is sent again, what is asked elsewhere, and that each try is on record.

use std::net::TcpListener;

use serde_json::json;
use taskforge::gate::records::{Kind, Record};
use taskforge::gate::{Fallback, ModelRule, ProviderSpec};

use super::upstream::{Upstream, Wire};
use super::world::{World, chat, completion, endpoint, wait};

/// An answer that asks for no wait before the next try.
fn busy(wire: &mut Wire, status: &str) {
    let body = "{\"error\":{\"message\":\"busy\"}}";
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\nretry-after: 0\r\n");
    wire.write(format!("{head}content-length: {}\r\n\r\n{body}", body.len()));
}

fn fallback(provider: &str, model: Option<&str>) -> Fallback {
    Fallback { provider: provider.into(), model: model.map(str::to_owned) }
}

fn world(upstream: &str, rule: ModelRule) -> World {
    let mut world = World::new(upstream);
    world.policy.models.insert(0, rule);
    world
}

fn rule(retries: u32, fallback: Vec<Fallback>) -> ModelRule {
    ModelRule { retries, fallback, ..ModelRule::new("m", "up") }
}

fn told(record: &Record) -> (Option<&str>, Option<u64>, Option<u64>) {
    (
        record.text("provider"),
        record.fields.get("try").and_then(|n| n.as_u64()),
        record.fields.get("retryOf").and_then(|n| n.as_u64()),
    )
}

#[test]
fn a_busy_upstream_is_asked_again_and_each_try_is_on_record() {
    let tries = std::sync::atomic::AtomicUsize::new(0);
    let upstream = Upstream::start(move |_, wire| match tries.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
        0 => busy(wire, "429 Too Many Requests"),
        1 => busy(wire, "503 Service Unavailable"),
        _ => wire.json(completion("at last").to_string()),
    });
    let world = world(&upstream.base(), rule(2, vec![])).start();
    let got = world.say("hi");
    assert_eq!((got.status, got.json()), (200, completion("at last")));
    assert_eq!(upstream.got().len(), 3);
    let requests = world.records(&Kind::LlmRequest, 3);
    let first = Some(requests[0].seq);
    let expected = [(Some("up"), None, None), (Some("up"), Some(2), first), (Some("up"), Some(3), first)];
    assert_eq!(requests.iter().map(told).collect::<Vec<_>>(), expected);
    let errors = world.records(&Kind::LlmError, 2);
    assert_eq!(errors.iter().map(|e| e.fields["status"].as_u64().unwrap()).collect::<Vec<_>>(), [429, 503]);
    assert!(String::from_utf8(world.body(&errors[0])).unwrap().contains("busy"));
    let response = &world.records(&Kind::LlmResponse, 1)[0];
    assert_eq!(response.request(), Some(requests[2].seq));
    // The conversation goes on from the answer, wherever it came.
    assert_eq!(world.get("/taskforge/v1/conversation").json()["messages"].as_array().unwrap().len(), 2);
}

#[test]
fn tries_are_one_request_to_the_limit_also_after_a_restart() {
    let upstream = Upstream::start(|_, wire| busy(wire, "500 Oops"));
    let mut world = world(&upstream.base(), rule(1, vec![]));
    world.policy.attempts[0].limits.llm_requests = 2;
    let mut world = world.start();
    assert_eq!(world.say("one").status, 500);
    world.restart();
    assert_eq!(world.say("two").status, 500);
    assert_eq!(world.say("three").code(), "iterations_exhausted");
    assert_eq!(upstream.got().len(), 4);
    assert_eq!(world.records(&Kind::LlmRequest, 4).len(), 4);
}

#[test]
fn what_the_request_is_to_blame_for_is_not_sent_again() {
    let upstream = Upstream::start(|_, wire| busy(wire, "400 Bad Request"));
    let world = world(&upstream.base(), rule(3, vec![fallback("recorded", None)])).start();
    assert_eq!(world.say("hi").status, 400);
    assert_eq!(upstream.got().len(), 1);
}

#[test]
fn an_upstream_that_wants_an_hour_is_not_waited_for() {
    let upstream = Upstream::start(|_, wire| {
        wire.write("HTTP/1.1 429 No\r\nretry-after: 3600\r\ncontent-length: 4\r\n\r\nwait");
    });
    let world = world(&upstream.base(), rule(3, vec![])).start();
    let got = world.say("hi");
    assert_eq!(
        (got.status, got.body.as_slice(), got.header("retry-after").as_deref()),
        (429, &b"wait"[..], Some("3600"))
    );
    assert_eq!(upstream.got().len(), 1);
}

#[test]
fn somebody_else_is_asked_in_their_own_words_under_their_own_name() {
    let broken = Upstream::start(|got, wire| {
        if String::from_utf8_lossy(&got.body).contains("hang up") {
            wire.shut();
        } else {
            busy(wire, "500 Oops");
        }
    });
    let claude = Upstream::start(|_, wire| {
        wire.json(json!({"id": "msg_1", "model": "big", "content": [{"type": "text", "text": "Here."}], "stop_reason": "end_turn", "usage": {"input_tokens": 1, "output_tokens": 2}}).to_string());
    });
    let mut world = world(&broken.base(), rule(0, vec![fallback("gone", None), fallback("claude", Some("big"))]));
    // Nobody listens there.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    world.policy.providers.insert("gone".into(), ProviderSpec::Anthropic(endpoint(&format!("http://{free}"))));
    world.policy.providers.insert("claude".into(), ProviderSpec::Anthropic(endpoint(&claude.base())));
    let world = world.start();
    for text in ["hi", "hang up"] {
        let got = world.say(text);
        assert_eq!(got.json()["choices"][0]["message"]["content"], "Here.", "{got:?}");
    }
    let sent: serde_json::Value = serde_json::from_slice(&claude.got()[0].body).unwrap();
    assert_eq!((sent["model"].as_str(), sent["max_tokens"].as_u64()), (Some("big"), Some(8192)));
    let requests = world.records(&Kind::LlmRequest, 6);
    let providers: Vec<_> = requests.iter().map(|r| r.text("provider").unwrap()).collect();
    assert_eq!(providers, ["up", "gone", "claude", "up", "gone", "claude"]);
    // As many went out as upstreams saw; the others say that nothing arrived.
    let errors = world.records(&Kind::LlmError, 4);
    let lost = errors.iter().filter(|e| e.fields.get("reached") == Some(&json!(false))).count();
    assert_eq!(requests.len() - lost, broken.got().len() + claude.got().len());

    // Who cannot be asked this is passed over, and the first one's failure is what is said.
    let mut body = chat("hi");
    body["seed"] = 7.into();
    let got = world.chat(&body);
    assert_eq!((got.status, claude.got().len()), (500, 2), "{got:?}");
}

#[test]
fn a_client_that_leaves_while_we_wait_ends_it() {
    let upstream = Upstream::start(|_, wire| {
        wire.write("HTTP/1.1 503 No\r\nretry-after: 50\r\ncontent-length: 0\r\n\r\n");
    });
    let world = world(&upstream.base(), rule(5, vec![])).start();
    let mut client = world.client();
    client.send("POST", "/v1/chat/completions", "", chat("hi").to_string().as_bytes());
    wait("the first try to be on record", || world.traffic().of(&Kind::LlmError).count() == 1);
    drop(client);
    // Nothing is open, nothing was sent: the next request is the next one on record.
    assert_eq!(world.chat(&json!({"model": "mx", "messages": [{"role": "user", "content": "x"}]})).status, 503);
    let traffic = world.traffic();
    assert_eq!((traffic.of(&Kind::LlmRequest).count(), upstream.got().len()), (2, 2));
    assert!(traffic.unclosed().is_empty());
}

#[test]
fn a_killed_gate_sends_nothing_again() {
    let upstream = Upstream::start(|_, wire| {
        wire.write("HTTP/1.1 503 No\r\nretry-after: 50\r\ncontent-length: 0\r\n\r\n");
    });
    let world = world(&upstream.base(), rule(5, vec![])).start();
    let mut client = world.client();
    client.send("POST", "/v1/chat/completions", "", chat("hi").to_string().as_bytes());
    wait("the first try to be on record", || world.traffic().of(&Kind::LlmError).count() == 1);
    world.kill();
    assert!(client.ended());
    assert_eq!((world.traffic().of(&Kind::LlmRequest).count(), upstream.got().len()), (1, 1));
}

#[test]
fn each_model_has_its_own_patience() {
    let upstream = Upstream::start(|_, wire| wire.wait_until_cut());
    let rule = ModelRule { timeout_ms: Some(50), ..ModelRule::new("m", "up") };
    let world = world(&upstream.base(), rule).start();
    assert_eq!((world.say("hi").status, upstream.got().len()), (504, 1));
}
