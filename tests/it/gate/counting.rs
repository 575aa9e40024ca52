//! As many requests as upstreams saw stand on record, whoever breaks off, on every wire; and a gate that is killed leaves
//! none of them out.

use std::collections::HashMap;

use serde_json::json;
use taskforge::gate::records::Kind;
use taskforge::gate::{ModelRule, ProviderSpec};

use super::crash::spawn;
use super::upstream::{Got, Upstream, Wire};
use super::world::{World, endpoint, wait};

const PROVIDERS: [&str; 4] = ["openai", "anthropic", "gemini", "ollama"];

/// What happens to a request, named in its text.
const FATES: [&str; 6] =
    ["refused", "cut-in-head", "cut-mid-chunk", "garbled", "client-leaves", "client-leaves-mid-stream"];

fn act(got: &Got, wire: &mut Wire) {
    let text = String::from_utf8_lossy(&got.body).into_owned();
    let fate = FATES.into_iter().rev().find(|fate| text.contains(&format!("{fate} ")));
    match fate {
        Some("refused") => wire.answer("500 Oops", "text/plain", "oops"),
        Some("cut-in-head") => {
            wire.write("HTTP/1.1 200 OK\r\ncontent-ty");
            wire.shut();
        }
        Some("cut-mid-chunk") => {
            wire.stream_head();
            wire.write("80\r\ndata: {\"half");
            wire.shut();
        }
        Some("garbled") => {
            wire.stream_head();
            wire.chunk("data: }{\n\n}{\n");
            wire.end_chunks();
        }
        Some("client-leaves-mid-stream") => {
            wire.stream_head();
            // Nothing yet, on either kind of stream.
            wire.chunk("\n\n");
            wire.wait_until_cut();
        }
        _ => wire.wait_until_cut(),
    }
}

fn world(upstreams: &HashMap<&'static str, Upstream>) -> World {
    let mut world = World::new("http://127.0.0.1:1/v1");
    world.policy.models.clear();
    world.policy.attempts[0].limits.llm_requests = 10_000;
    for (name, upstream) in upstreams {
        let base = endpoint(&upstream.base());
        let spec = match *name {
            "openai" => ProviderSpec::Openai(base),
            "anthropic" => ProviderSpec::Anthropic(base),
            "gemini" => ProviderSpec::Gemini(base),
            _ => ProviderSpec::Ollama(base),
        };
        world.policy.providers.insert((*name).into(), spec);
        world.policy.models.push(ModelRule::new(&format!("m-{name}"), name));
    }
    world
}

fn upstreams() -> HashMap<&'static str, Upstream> {
    PROVIDERS.into_iter().map(|name| (name, Upstream::start(act))).collect()
}

fn body(provider: &str, fate: &str, number: usize, stream: bool) -> Vec<u8> {
    let text = format!("{fate} of {number} {stream}");
    json!({"model": format!("m-{provider}"), "stream": stream, "messages": [{"role": "user", "content": text}]})
        .to_string()
        .into_bytes()
}

fn seen(upstreams: &HashMap<&'static str, Upstream>) -> usize {
    upstreams.values().map(|upstream| upstream.got().len()).sum()
}

#[test]
fn upstreams_and_records_count_the_same_whatever_happens() {
    let upstreams = upstreams();
    let world = world(&upstreams).start();
    std::thread::scope(|scope| {
        for provider in PROVIDERS {
            let (world, upstream) = (&world, &upstreams[provider]);
            scope.spawn(move || {
                for (number, fate) in FATES.iter().cycle().take(FATES.len() * 3).enumerate() {
                    for stream in [true, false] {
                        let mut client = world.client();
                        let text = format!("{fate} of {number} {stream}");
                        client.send("POST", "/v1/chat/completions", "", &body(provider, fate, number, stream));
                        if fate.starts_with("client-leaves") {
                            // What is taken back before it is sent was never there to be counted.
                            wait("the upstream to have it", || {
                                upstream.got().iter().any(|got| String::from_utf8_lossy(&got.body).contains(&text))
                            });
                        } else {
                            client.answer();
                        }
                    }
                }
            });
        }
    });
    wait("all outcomes", || world.traffic().unclosed().is_empty());
    let traffic = world.traffic();
    let expected = PROVIDERS.len() * FATES.len() * 3 * 2;
    assert_eq!((seen(&upstreams), traffic.of(&Kind::LlmRequest).count()), (expected, expected));
    for (request, outcome) in traffic.exchanges() {
        let outcome = outcome.unwrap();
        let text = String::from_utf8(world.body(request)).unwrap();
        let expected = if text.contains("client-leaves") { Kind::LlmAborted } else { Kind::LlmError };
        assert_eq!(outcome.kind, expected, "{text}: {outcome:?}");
    }
}

#[test]
fn a_gate_that_is_killed_leaves_no_request_out() {
    let upstreams = upstreams();
    let world = world(&upstreams);
    world.policy.write(&world.dir()).unwrap();
    let mut open = 0;
    for round in 0..3 {
        let gate = spawn(&world);
        let clients: Vec<_> = PROVIDERS
            .into_iter()
            .map(|provider| {
                let mut client = world.client();
                let fate = ["client-leaves", "client-leaves-mid-stream"][round % 2];
                client.send("POST", "/v1/chat/completions", "", &body(provider, fate, round, round % 2 == 1));
                client
            })
            .collect();
        open += clients.len();
        wait("all of them", || seen(&upstreams) == open);
        // SIGKILL.
        drop(gate);
        for mut client in clients {
            client.ended();
        }
        let traffic = world.traffic();
        assert_eq!((traffic.of(&Kind::LlmRequest).count(), traffic.unclosed().len()), (open, open));
    }
}
