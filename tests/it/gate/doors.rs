//! A model as a way out: what a provider would do for a request beside answering it.

use serde_json::{Value, json};
use taskforge::gate::{Grant, ModelRule, ProviderSpec};
use taskforge::run::capability::Capability;
use taskforge::run::id::RequestId;

use super::upstream::Upstream;
use super::world::{World, chat, completion, endpoint};

fn world(upstream: &Upstream) -> World {
    let mut world = World::new(&upstream.base());
    world.policy.providers.insert("claude".into(), ProviderSpec::Anthropic(endpoint(&upstream.base())));
    world.policy.models.insert(0, ModelRule::new("mc", "claude"));
    world.policy.attempts[0].limits.llm_requests = 1000;
    world
}

fn image(url: &str) -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]})
}

#[test]
fn what_a_provider_would_reach_for_an_agent_is_refused_by_name_and_never_sent() {
    let upstream = Upstream::start(|_, wire| wire.json(completion("ok").to_string()));
    let world = world(&upstream).start();
    let with = |mut body: Value, key: &str, value: Value| {
        body[key] = value;
        body
    };
    let message = || json!({"model": "mc", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]});
    let chat_path = "/v1/chat/completions";
    let document =
        json!([{"role": "user", "content": [{"type": "document", "source": {"type": "url", "url": "http://a/b"}}]}]);
    for (path, body, code) in [
        (chat_path, with(chat("x"), "web_search_options", json!({})), "provider_side_access"),
        (chat_path, with(chat("x"), "models", json!(["other"])), "provider_side_access"),
        (chat_path, with(chat("x"), "tools", json!([{"type": "web_search"}])), "provider_side_access"),
        (chat_path, with(chat("x"), "service_tier", "priority".into()), "unsupported_value"),
        (chat_path, image("https://images.example/a.png"), "provider_side_access"),
        (chat_path, image("file:///etc/passwd"), "provider_side_access"),
        (
            chat_path,
            json!({"model": "m", "messages": [{"role": "user", "content": [{"type": "file", "file": {"file_data": "https://a/b"}}]}]}),
            "provider_side_access",
        ),
        ("/v1/embeddings", json!({"model": "m", "input": [{"image": "https://a/b"}]}), "provider_side_access"),
        (
            "/v1/messages",
            with(message(), "mcp_servers", json!([{"type": "url", "url": "https://x"}])),
            "provider_side_access",
        ),
        (
            "/v1/messages",
            with(message(), "tools", json!([{"type": "web_fetch_20250910", "name": "web_fetch"}])),
            "provider_side_access",
        ),
        ("/v1/messages", with(message(), "messages", document), "provider_side_access"),
    ] {
        let got = world.post(path, &body);
        let error = &got.json()["error"];
        assert_eq!((got.status, error["code"].as_str()), (400, Some(code)), "{body}: {error}");
        assert!(error["param"].is_string(), "{error}");
    }
    let mut client = world.client();
    let headers = "anthropic-beta: files-api-2025-04-14,mcp-client-2025-04-04\r\n";
    client.send("POST", "/v1/messages", headers, message().to_string().as_bytes());
    assert_eq!(client.answer().unwrap().code(), "provider_side_access");
    assert!(upstream.got().is_empty());
}

#[test]
fn an_image_goes_along_as_data_by_a_grant_of_its_host_or_by_the_models_setting() {
    let upstream = Upstream::start(|_, wire| wire.json(completion("ok").to_string()));
    let mut world = world(&upstream).start();
    assert_eq!(world.chat(&image("data:image/png;base64,AAAA")).status, 200);
    let url = "https://images.example/a.png";
    let refused = world.chat(&image(url)).json();
    assert_eq!(refused["error"]["capability"], "net:images.example:443");
    world.policy.attempts[0].grants.push(Grant {
        request: RequestId::parse("01JD2Z3V5Q8M4K7N9P1R2S3T4V").unwrap(),
        capability: Capability::parse("net:images.example:443").unwrap(),
        until: None,
    });
    world.apply();
    assert_eq!(world.chat(&image(url)).status, 200);
    assert_eq!(world.chat(&image("https://other.example/a.png")).code(), "provider_side_access");
    assert_eq!(world.chat(&image("https://images.example\\@other.example/")).code(), "provider_side_access");
    let many = |more: &[&str]| {
        let urls = std::iter::repeat_n(url, 64).chain(more.iter().copied());
        let parts: Vec<Value> = urls.map(|url| json!({"type": "image_url", "image_url": {"url": url}})).collect();
        json!({"model": "m", "messages": [{"role": "user", "content": parts}]})
    };
    assert_eq!(world.chat(&many(&["https://other.example/a.png"])).code(), "too_many_addresses");
    assert_eq!(world.chat(&many(&[])).status, 200);
    world.policy.models.iter_mut().for_each(|rule| rule.image_addresses = true);
    world.apply();
    assert_eq!(world.chat(&image("https://other.example/a.png")).status, 200);
    assert_eq!(upstream.got().len(), 4);
}

#[test]
fn a_body_of_another_charset_is_refused() {
    let upstream = Upstream::start(|_, wire| wire.json(completion("ok").to_string()));
    let world = world(&upstream).start();
    for (kind, status) in [
        ("application/json; charset=utf-16", 415),
        ("application/json;CHARSET=\"utf-7\"", 415),
        ("application/json; charset=UTF-8", 200),
        ("application/json", 200),
    ] {
        let mut client = world.client();
        let headers = format!("content-type: {kind}\r\n");
        client.send("POST", "/v1/chat/completions", &headers, chat("hi").to_string().as_bytes());
        assert_eq!(client.answer().unwrap().status, status, "{kind}");
    }
}
