//! What one request, or many answers at once, can make the gate hold: measured at its process, which has a bound.

use serde_json::json;
use taskforge::gate::records::Kind;
use taskforge::gate::{ModelRule, ProviderSpec};

use super::crash::{Process, spawn};
use super::http::request;
use super::upstream::Upstream;
use super::world::{World, endpoint, wait};

/// What a gate's process may take at its peak, in KiB: its container has 256 MiB.
const MOST_MEMORY: u64 = 200 * 1024;

fn world(upstream: &Upstream) -> World {
    let mut world = World::new(&upstream.base());
    world.policy.attempts[0].limits.llm_requests = 100_000;
    for (model, spec) in [
        ("mc", ProviderSpec::Anthropic(endpoint(&upstream.base()))),
        ("mg", ProviderSpec::Gemini(endpoint(&upstream.base()))),
        ("mo", ProviderSpec::Ollama(endpoint(&upstream.base()))),
    ] {
        world.policy.providers.insert(model.into(), spec);
        world.policy.models.insert(0, ModelRule::new(model, model));
    }
    world.policy.write(&world.dir()).unwrap();
    world
}

fn peak(gate: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gate.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").trim().parse().unwrap()
}

fn call(model: &str, arguments: &str, result: &str) -> String {
    json!({"model": model, "messages": [{"role": "user", "content": "q"},
        {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}]},
        {"role": "tool", "tool_call_id": "c", "content": result}]})
    .to_string()
}

#[test]
fn json_inside_of_texts_is_bounded_before_it_is_read() {
    let upstream = Upstream::start(|_, wire| wire.json("{}"));
    let world = world(&upstream);
    let gate = spawn(&world);
    let lists = format!("{{\"a\":[{}[]]}}", "[],".repeat(2_000_000));
    let part = format!("{{\"a\":[{}[]]}}", "[],".repeat(30_000));
    let calls: Vec<_> = (0..40)
        .map(|at| json!({"id": format!("c{at}"), "type": "function", "function": {"name": "f", "arguments": part}}))
        .collect();
    let many = json!({"model": "mg", "messages": [{"role": "user", "content": "q"}, {"role": "assistant", "tool_calls": calls}]});
    for body in [call("mg", &lists, "{}"), call("mc", &lists, "{}"), call("mg", "{}", &lists), many.to_string()] {
        let got = request(&world.socket("a1"), "POST", "/v1/chat/completions", body.as_bytes());
        let error = got.json()["error"].clone();
        assert_eq!((got.status, error["code"].as_str()), (400, Some("bad_request")), "{error}");
        assert!(error["message"].as_str().unwrap().contains("values"), "{error}");
    }
    let inputs: Vec<&str> = vec!["x"; 90_000];
    for model in ["mg", "mo"] {
        let body = json!({"model": model, "input": inputs}).to_string();
        let got = request(&world.socket("a1"), "POST", "/v1/embeddings", body.as_bytes());
        assert_eq!((got.status, got.code().as_str()), (400, "unsupported_value"));
    }
    assert!(upstream.got().is_empty());
    let peak = peak(&gate);
    assert!(peak < MOST_MEMORY, "{peak} KiB");
}

#[test]
fn json_inside_of_an_upstreams_texts_is_bounded_too() {
    let lists = format!("{{\"a\":[{}[]]}}", "[],".repeat(2_000_000));
    let called =
        json!({"id": "c", "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {"role": "assistant",
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": lists}}]}}]})
        .to_string();
    let vectors = format!("{{\"embeddings\":[{}[]]}}", "[],".repeat(5_000_000));
    let upstream =
        Upstream::start(move |got, wire| wire.json(if got.head.contains("embed") { &vectors } else { &called }));
    let world = world(&upstream);
    let gate = spawn(&world);
    let message = json!({"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]}).to_string();
    let got = request(&world.socket("a1"), "POST", "/v1/messages", message.as_bytes());
    assert_eq!(got.status, 502, "{got:?}");
    let body = json!({"model": "mo", "input": ["x"]}).to_string();
    let got = request(&world.socket("a1"), "POST", "/v1/embeddings", body.as_bytes());
    assert_eq!(got.status, 502, "{got:?}");
    world.records(&Kind::LlmError, 2);
    let peak = peak(&gate);
    assert!(peak < MOST_MEMORY, "{peak} KiB");
}

#[test]
fn many_large_translated_answers_at_once_share_one_room() {
    let upstream = Upstream::start(|got, wire| {
        let text = "x".repeat(6 << 20);
        let streamed = String::from_utf8_lossy(&got.body).contains("\"stream\":true");
        let whole = json!({"id": "m1", "type": "message", "role": "assistant", "model": "x", "stop_reason": "end_turn",
            "content": [{"type": "text", "text": text}], "usage": {"input_tokens": 1, "output_tokens": 1}});
        if streamed {
            // One event that is never over, and an end.
            wire.stream_head();
            for piece in format!("data: {{\"type\":\"x\",\"y\":\"{text}").as_bytes().chunks(64 * 1024) {
                if !wire.chunk(piece) {
                    return;
                }
            }
            wire.end_chunks();
        } else {
            wire.json(whole.to_string());
        }
    });
    let world = world(&upstream);
    let gate = spawn(&world);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..20)
            .map(|at| {
                let world = &world;
                scope.spawn(move || {
                    let body =
                        json!({"model": "mc", "stream": at % 2 == 0, "messages": [{"role": "user", "content": "x"}]});
                    let body = body.to_string();
                    request(&world.socket("a1"), "POST", "/v1/chat/completions", body.as_bytes()).status
                })
            })
            .collect();
        asking.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(statuses.iter().all(|status| [200, 502, 503].contains(status)), "{statuses:?}");
    assert!(statuses.contains(&200), "{statuses:?}");
    wait("all outcomes", || world.traffic().unclosed().is_empty());
    assert_eq!(world.traffic().of(&Kind::LlmRequest).count(), statuses.len());
    let peak = peak(&gate);
    assert!(peak < MOST_MEMORY, "{peak} KiB");
}
