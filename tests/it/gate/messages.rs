//! Anthropic's own wire, for its clients: byte for byte to a provider that speaks it.

use serde_json::{Value, json};
use taskforge::gate::records::Kind;
use taskforge::gate::{ModelRule, ProviderSpec};

use super::upstream::Upstream;
use super::world::{KEY, World, endpoint};

fn world(upstream: &Upstream) -> World {
    let mut world = World::new(&upstream.base());
    world.policy.providers.insert("claude".into(), ProviderSpec::Anthropic(endpoint(&upstream.base())));
    world.policy.models.insert(0, ModelRule::new("mc*", "claude"));
    let alias = ModelRule { model: Some("claude-big".into()), ..ModelRule::new("mine", "claude") };
    world.policy.models.insert(0, alias);
    world.start()
}

const BODY: &[u8] = b"{ \"max_tokens\" : 5,\"model\":\"mc\", \"messages\":[{\"role\":\"user\",\"content\":\"h\\u0069\"}],\"system\":\"s\" , \"x\":1e2}";

#[test]
fn a_plain_exchange_passes_byte_for_byte() {
    let answer = "{\"id\" : \"msg_1\", \"type\":\"message\",\"content\":[{\"type\":\"text\",\"text\":\"\\u00fc\"}],\"stop_reason\":\"end_turn\",\"usage\":{\"input_tokens\":5,\"cache_read_input_tokens\":2,\"output_tokens\":3}}";
    let upstream = Upstream::start(move |_, wire| wire.json(answer));
    let world = world(&upstream);
    let mut client = world.client();
    let headers = "content-type: application/json\r\nx-api-key: mine\r\nanthropic-beta: some-beta\r\nanthropic-version: 2023-01-01\r\n";
    client.send("POST", "/v1/messages", headers, BODY);
    let got = client.answer().unwrap();
    assert_eq!((got.status, got.body.as_slice()), (200, answer.as_bytes()));
    let seen = &upstream.got()[0];
    assert_eq!(seen.body, BODY);
    let head = seen.head.to_lowercase();
    assert!(head.starts_with("post /v1/messages http/1.1") && head.contains(&format!("x-api-key: {KEY}")), "{head}");
    assert!(head.contains("anthropic-beta: some-beta") && head.contains("anthropic-version: 2023-01-01"), "{head}");
    assert!(!head.contains("x-api-key: mine") && !head.contains("authorization"), "{head}");
    let request = &world.records(&Kind::LlmRequest, 1)[0];
    assert_eq!((request.text("wire"), request.text("provider")), (Some("messages"), Some("claude")));
    assert!(!request.fields.contains_key("sentDigest"));
    let response = &world.records(&Kind::LlmResponse, 1)[0];
    assert_eq!(response.text("finishReason"), Some("end_turn"));
    let usage = &world.traffic().usage()[&("gather".to_owned(), "mc".to_owned())];
    assert_eq!((usage.prompt_tokens, usage.completion_tokens), (7, 3));
    // It is no turn of the built-in agent's conversation.
    assert_eq!(world.get("/taskforge/v1/conversation").json()["messages"], json!([]));
}

fn event(event: &Value) -> String {
    format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap())
}

fn stream() -> Vec<String> {
    [
        json!({"type": "message_start", "message": {"id": "msg_1", "usage": {"input_tokens": 5, "output_tokens": 1}}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}}),
        json!({"type": "message_stop"}),
    ]
    .iter()
    .map(event)
    .collect()
}

#[test]
fn a_stream_passes_with_its_events_and_ends_with_the_last_of_them() {
    let upstream = Upstream::start(|_, wire| {
        wire.stream_head();
        for event in stream() {
            wire.chunk(event);
        }
        // Never ends by itself.
        wire.wait_until_cut();
    });
    let world = world(&upstream);
    let mut body: Value = serde_json::from_slice(BODY).unwrap();
    body["stream"] = true.into();
    let got = world.post("/v1/messages", &body);
    assert!(got.whole);
    assert_eq!(String::from_utf8(got.body.clone()).unwrap(), stream().concat());
    assert!(upstream.got()[0].head.to_lowercase().contains("anthropic-version: 2023-06-01"));
    let response = &world.records(&Kind::LlmResponse, 1)[0];
    assert_eq!((world.body(response), response.text("finishReason")), (got.body, Some("end_turn")));
    assert_eq!(response.fields["usage"], json!({"input_tokens": 5, "output_tokens": 9}));
}

#[test]
fn a_stream_without_its_last_event_is_never_a_whole_answer() {
    let upstream = Upstream::start(|got, wire| {
        wire.stream_head();
        let mut events = stream();
        events.truncate(2);
        if String::from_utf8_lossy(&got.body).contains("fail") {
            events
                .push(event(&json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})));
        }
        for event in events {
            wire.chunk(event);
        }
        wire.end_chunks();
    });
    let world = world(&upstream);
    for text in ["fail", "just end"] {
        let body =
            json!({"model": "mc", "stream": true, "max_tokens": 5, "messages": [{"role": "user", "content": text}]});
        let got = world.post("/v1/messages", &body);
        assert!(!got.whole && String::from_utf8_lossy(&got.body).contains("Hi"), "{text}");
        assert_eq!(String::from_utf8_lossy(&got.body).contains("Overloaded"), text == "fail");
    }
    let errors = world.records(&Kind::LlmError, 2);
    assert_eq!(errors[0].text("message"), Some("Overloaded"));
    assert_eq!(world.traffic().of(&Kind::LlmResponse).count(), 0);
}

#[test]
fn an_alias_changes_the_name_and_nothing_else() {
    let upstream = Upstream::start(|_, wire| wire.json("{\"type\":\"message\",\"content\":[]}"));
    let world = world(&upstream);
    let asked = String::from_utf8_lossy(BODY).replace("\"mc\"", "\"mine\"");
    let mut client = world.client();
    client.send("POST", "/v1/messages", "", asked.as_bytes());
    assert_eq!(client.answer().unwrap().status, 200);
    let seen = String::from_utf8(upstream.got()[0].body.clone()).unwrap();
    assert_eq!(seen, asked.replace("\"mine\"", "\"claude-big\""));
    let request = &world.records(&Kind::LlmRequest, 1)[0];
    assert_eq!((request.text("model"), request.text("upstreamModel")), (Some("mine"), Some("claude-big")));
    assert_eq!(world.body(request), asked.as_bytes());
    assert_eq!(request.text("sentDigest"), Some(taskforge::run::id::Digest::of(seen.as_bytes()).as_str()));
    let models = world.get("/v1/models").json();
    let mine = models["data"].as_array().unwrap().iter().find(|model| model["id"] == "m").unwrap();
    assert_eq!((mine["owned_by"].as_str(), mine["type"].as_str()), (Some("up"), Some("model")));
}

#[test]
fn refusals_are_in_the_form_that_its_clients_read() {
    let upstream = Upstream::start(|_, wire| wire.json("{}"));
    let mut world = world(&upstream);
    let transcript = "{\"format\":\"taskforge-replay-v1\",\"model\":\"recorded\"}\n";
    std::fs::write(world.dir().join("replay/recorded.jsonl"), transcript).unwrap();
    world.restart();
    // A recording holds chat completions only.
    let body = |model: &str| json!({"model": model, "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]});
    for (model, status, code) in [("other", 403, "model_not_granted"), ("recorded", 400, "unsupported_wire")] {
        let got = world.post("/v1/messages", &body(model));
        let error = got.json();
        assert_eq!((got.status, got.code().as_str(), error["type"].as_str()), (status, code, Some("error")));
        assert_eq!(error["error"]["type"], if status == 403 { "permission_error" } else { "invalid_request_error" });
    }
    assert!(upstream.got().is_empty());
}
