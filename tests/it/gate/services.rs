//! Actions upon Slack's Web API and webhooks, against servers that answer as those do.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use taskforge::gate::records::Kind;
use taskforge::gate::{AllowedAction, Endpoint};
use taskforge::run::capability::ActionRules;

use super::http::Answer;
use super::upstream::{Got, Upstream};
use super::world::World;

const KEY: &str = "xoxb-0nlyTh3G4teH4sThisT0ken";

fn act(world: &World, name: &str, arguments: &Value) -> Answer {
    world.post(&format!("/taskforge/v1/actions/{name}"), &json!({"arguments": arguments}))
}

fn allow(world: &mut World, names: &[&str], rules: &ActionRules) {
    world.policy.attempts[0].actions = names
        .iter()
        .map(|name| AllowedAction {
            by: "role secretary".into(),
            name: (*name).into(),
            rules: rules.clone(),
            counts: Vec::new(),
        })
        .collect();
}

/// A workspace with one channel. A text with "lost" is taken and its answer lost, once.
fn slack() -> (Upstream, Arc<Mutex<Vec<Value>>>) {
    let messages = Arc::<Mutex<Vec<Value>>>::default();
    let all = messages.clone();
    let server = Upstream::start(move |got, wire| {
        let path = got.head.split(' ').nth(1).unwrap().to_owned();
        let mut all = all.lock().unwrap();
        if path == "/api/chat.postMessage" {
            let mut message: Value = serde_json::from_slice(&got.body).unwrap();
            let text = message["text"].as_str().unwrap_or_default().to_owned();
            if message["channel"] == "C0GONE" {
                return wire.json(json!({"ok": false, "error": "channel_not_found"}).to_string());
            }
            message["ts"] = format!("1700000000.{:06}", all.len() + 1).into();
            all.push(message.clone());
            // It is posted, and the answer that it is not known to be comes as a 200.
            if let Some(error) = text.strip_prefix("says ") {
                return wire.json(json!({"ok": false, "error": error}).to_string());
            }
            if text.contains("lost") {
                return wire.answer("500 Internal Server Error", "text/plain", "lost");
            }
            wire.json(
                json!({"ok": true, "channel": message["channel"], "ts": message["ts"], "message": {}}).to_string(),
            );
        } else if path.starts_with("/api/conversations.") {
            // As the real one: a name is no channel there.
            if path.contains("channel=%23") || path.contains("channel=#") {
                return wire.json(json!({"ok": false, "error": "channel_not_found"}).to_string());
            }
            // One a page: who looks has to turn them.
            let at = path
                .split("cursor=")
                .nth(1)
                .and_then(|cursor| cursor.trim_end_matches("%3D").parse::<usize>().ok())
                .unwrap_or(0);
            let page: Vec<Value> = if path.contains("include_all_metadata") {
                all.iter().skip(at).take(1).cloned().collect()
            } else {
                all.clone()
            };
            let next = if path.contains("include_all_metadata") && at + 1 < all.len() {
                format!("{}=", at + 1)
            } else {
                String::new()
            };
            wire.json(json!({"ok": true, "messages": page, "response_metadata": {"next_cursor": next}}).to_string());
        } else {
            wire.answer("404 Not Found", "text/plain", "");
        }
    });
    (server, messages)
}

#[test]
fn slack_is_read_and_written_in_named_channels_and_a_lost_message_is_found_again() {
    let (server, messages) = slack();
    let mut world = World::new("http://127.0.0.1:1/v1");
    std::fs::write(world.root.path().join("secrets/keys.json"), json!({"vault:slack": KEY}).to_string()).unwrap();
    let base_url = format!("http://127.0.0.1:{}/api", server.port);
    world.policy.services.slack = Some(Endpoint { base_url, key: Some("vault:slack".into()), timeout_ms: None });
    let rules =
        ActionRules { channels: vec!["C0123".into(), "C0GONE".into(), "#team".into()], ..ActionRules::default() };
    allow(&mut world, &["slack.message.list", "slack.message.read", "slack.message.send"], &rules);
    let world = world.start();
    let sent = act(&world, "slack.message.send", &json!({"channel": "C0123", "text": "hello"})).json();
    assert_eq!(sent["result"], json!({"channel": "C0123", "ts": "1700000000.000001"}));
    let thread = json!({"channel": "C0123", "text": "reply", "thread": "1700000000.000001"});
    assert_eq!(act(&world, "slack.message.send", &thread).status, 200);
    assert_eq!(messages.lock().unwrap()[1]["thread_ts"], "1700000000.000001");
    let listed = act(&world, "slack.message.list", &json!({"channel": "C0123", "limit": 2})).json();
    assert_eq!(listed["result"]["messages"][0], json!({"ts": "1700000000.000001", "text": "hello"}));
    let read = act(&world, "slack.message.read", &json!({"channel": "C0123", "ts": "1700000000.000001"})).json();
    assert_eq!(read["result"]["messages"].as_array().unwrap().len(), 2);
    // It was taken, and the answer says otherwise.
    let lost = json!({"channel": "C0123", "text": "lost?"});
    assert_eq!(act(&world, "slack.message.send", &lost).json()["error"]["unclear"], true);
    let found = act(&world, "slack.message.send", &lost).json();
    assert_eq!((&found["repeated"], &found["result"]["ts"]), (&json!(true), &json!("1700000000.000003")));
    assert_eq!(messages.lock().unwrap().len(), 3);
    // The server shows one message a page, and five are looked through: of the others it cannot be told.
    let errors = ["internal_error", "something_new", "fatal_error", "service_unavailable", "request_timeout"];
    for (place, error) in errors.into_iter().enumerate() {
        let posted = json!({"channel": "C0123", "text": format!("says {error}")});
        let refused = act(&world, "slack.message.send", &posted).json()["error"].clone();
        assert_eq!((&refused["code"], &refused["unclear"]), (&json!("service_error"), &json!(true)), "{error}");
        let again = act(&world, "slack.message.send", &posted);
        match place {
            0 | 1 => assert_eq!(again.json()["repeated"], true, "{error}"),
            _ => assert_eq!(again.code(), "action_unclear", "{error}"),
        }
    }
    assert_eq!(messages.lock().unwrap().len(), 8, "none of them twice");
    // By its name a channel can be written to. Whether a lost message is there cannot be told.
    assert_eq!(act(&world, "slack.message.send", &json!({"channel": "#team", "text": "hello"})).status, 200);
    let named = json!({"channel": "#team", "text": "lost?"});
    assert_eq!(act(&world, "slack.message.send", &named).json()["error"]["unclear"], true);
    let again = act(&world, "slack.message.send", &named);
    assert_eq!(again.code(), "action_unclear");
    assert!(again.json()["error"]["message"].as_str().unwrap().contains("by a channel's id, and #team is a name"));
    assert_eq!(messages.lock().unwrap().len(), 10);
    let refused = act(&world, "slack.message.list", &json!({"channel": "#team"})).json()["error"]["message"].clone();
    assert!(refused.as_str().unwrap().contains("write the id, such as C0123456789"), "{refused}");
    for (name, arguments, status, code) in [
        ("slack.message.send", json!({"channel": "C0GONE", "text": "x"}), 502, "service_refused"),
        ("slack.message.send", json!({"channel": "C0999", "text": "x"}), 403, "arguments_not_allowed"),
        ("slack.message.send", json!({"channel": "#general", "text": "x"}), 403, "arguments_not_allowed"),
        ("slack.message.send", json!({"channel": "general", "text": "x"}), 422, "bad_arguments"),
        ("slack.message.list", json!({"channel": "#team"}), 422, "bad_arguments"),
        ("slack.message.read", json!({"channel": "#team", "ts": "1700000000.000001"}), 422, "bad_arguments"),
        ("slack.message.list", json!({"channel": "C0123&token=x"}), 422, "bad_arguments"),
        ("slack.message.list", json!({"channel": "C0123", "limit": 1000}), 422, "bad_arguments"),
        ("slack.message.read", json!({"channel": "C0123", "ts": "1&x=y"}), 422, "bad_arguments"),
    ] {
        let refused = act(&world, name, &arguments);
        assert_eq!((refused.status, refused.code().as_str()), (status, code), "{name} {arguments}");
    }
    assert!(server.got().iter().all(|got| got.head.contains(&format!("authorization: Bearer {KEY}\r\n"))));
}

fn header(got: &Got, name: &str) -> String {
    let line = got.head.lines().find(|line| line.to_lowercase().starts_with(&format!("{name}:")));
    line.map_or_else(String::new, |line| line[name.len() + 1..].trim().to_owned())
}

#[test]
fn a_webhook_is_signed_called_once_and_only_as_it_is_named() {
    let hook = Upstream::start(|got, wire| {
        let path = got.head.split(' ').nth(1).unwrap().to_owned();
        match path.as_str() {
            "/deploys" => wire.answer("204 No Content", "text/plain", ""),
            "/moved" => {
                wire.write("HTTP/1.1 307 Temporary Redirect\r\nlocation: /deploys\r\ncontent-length: 0\r\n\r\n");
            }
            "/down" => wire.answer("503 Service Unavailable", "text/plain", ""),
            _ => wire.answer("400 Bad Request", "text/plain", "no"),
        }
    });
    let url = |path: &str| format!("http://127.0.0.1:{}{path}", hook.port);
    let mut world = World::new("http://127.0.0.1:1/v1");
    std::fs::write(world.root.path().join("secrets/keys.json"), json!({"vault:hook": KEY}).to_string()).unwrap();
    world.policy.services.webhook = Some("vault:hook".into());
    let urls = ["/deploys", "/moved", "/down", "/bad"]
        .map(url)
        .into_iter()
        .chain(["http://private.test/x".to_owned()])
        .collect();
    allow(&mut world, &["webhook.send"], &ActionRules { urls, ..ActionRules::default() });
    world.policy.hosts.insert("private.test".into(), vec!["10.0.0.1".parse().unwrap()]);
    let world = world.start();
    let call = |path: &str| json!({"url": url(path), "body": {"b": 1, "a": [true]}});
    let done = act(&world, "webhook.send", &call("/deploys")).json();
    assert_eq!(done["result"], json!({"status": 204}));
    assert_eq!(act(&world, "webhook.send", &call("/deploys")).json()["repeated"], true);
    let got = hook.got();
    assert_eq!(got.len(), 1);
    let signing = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, KEY.as_bytes());
    let hex: String =
        ring::hmac::sign(&signing, &got[0].body).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(header(&got[0], "x-taskforge-signature-256"), format!("sha256={hex}"));
    assert_eq!(header(&got[0], "idempotency-key").len(), 32);
    assert!(!got[0].head.contains(KEY));
    for (arguments, status, code) in [
        (call("/moved"), 502, "moved"),
        (call("/bad"), 502, "service_refused"),
        (call("/down"), 502, "service_error"),
        // Whether it was done nobody can say, so it is not done again.
        (call("/down"), 409, "action_unclear"),
        (call("/deploys/x"), 403, "arguments_not_allowed"),
        (call("/deploys?x=y"), 422, "bad_arguments"),
        (call("/x/%2e%2E/deploys"), 422, "bad_arguments"),
        (json!({"url": format!("http://u@127.0.0.1:{}/deploys", hook.port), "body": 1}), 422, "bad_arguments"),
        (json!({"url": "file:///etc/passwd", "body": 1}), 422, "bad_arguments"),
        // A name does not lead to a private address.
        (json!({"url": "http://private.test/x", "body": 1}), 502, "service_unreachable"),
    ] {
        let refused = act(&world, "webhook.send", &arguments);
        assert_eq!((refused.status, refused.code().as_str()), (status, code), "{arguments}: {}", refused.json());
    }
    assert_eq!(hook.got().iter().filter(|got| got.head.contains("/deploys")).count(), 1);
    assert_eq!(hook.got().iter().filter(|got| got.head.contains("/down")).count(), 1);
    assert_eq!(world.traffic().of(&Kind::ActionDone).count(), 1);
}
