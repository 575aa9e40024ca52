//! What passes: bytes through in both directions, errors in the upstream's own words, one record for each.

use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use taskforge::gate::records::{Kind, read};
use taskforge::run::id::RunId;

use super::upstream::Upstream;
use super::world::{KEY, World, chat, completion, wait};

#[test]
fn a_plain_exchange_passes_byte_for_byte() {
    let answer = "{\"id\" : \"x\",\r\n \"choices\":[ {\"message\":{\"role\":\"assistant\",\"content\":\"\\u00fc ü\"},\"finish_reason\":\"stop\"}],\"usage\":{\"total_tokens\":7}, \"odd\":1e2 }\n";
    let upstream = Upstream::start(move |_, wire| wire.json(answer));
    let world = World::new(&upstream.base()).start();
    let body = b"{ \"messages\" : [{\"role\":\"user\",\"content\":\"h\\u0069 \xc3\xbc\"}],\n\"temperature\":0.70,\"model\":\"m\" ,\"vendor\":{\"b\":1,\"a\":2}}";
    let mut client = world.client();
    client.send(
        "POST",
        "/v1/chat/completions",
        "content-type: application/json\r\nauthorization: Bearer taskforge\r\nx-vendor: yes\r\nconnection: keep-alive, x-hop\r\nx-hop: 1\r\ncookie: a=b\r\n",
        body,
    );
    let got = client.answer().unwrap();
    assert_eq!((got.status, got.body.as_slice()), (200, answer.as_bytes()));

    let seen = upstream.got();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].body, body);
    let head = seen[0].head.to_lowercase();
    assert!(head.starts_with("post /v1/chat/completions http/1.1"), "{head}");
    assert!(head.contains(&format!("authorization: bearer {KEY}")) && head.contains("x-vendor: yes"), "{head}");
    assert!(!head.contains("x-hop") && !head.contains("cookie") && !head.contains("bearer taskforge"), "{head}");

    let request = &world.records(&Kind::LlmRequest, 1)[0];
    assert_eq!(world.body(request), body);
    assert_eq!((request.text("model"), request.text("provider")), (Some("m"), Some("up")));
    let response = &world.records(&Kind::LlmResponse, 1)[0];
    assert_eq!(world.body(response), answer.as_bytes());
    assert_eq!(response.request(), Some(request.seq));
    assert_eq!(response.fields["status"], 200);
    assert_eq!(response.text("finishReason"), Some("stop"));
    assert_eq!(response.fields["usage"]["total_tokens"], 7);
    assert!(response.fields["totalMs"].is_u64() && response.fields["firstByteMs"].is_u64());
}

#[test]
fn a_stream_passes_piece_by_piece_and_byte_for_byte() {
    let (go, wait_for) = mpsc::channel::<()>();
    let wait_for = Mutex::new(wait_for);
    let upstream = Upstream::start(move |_, wire| {
        wire.stream_head();
        wire.chunk("data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"o\"}}]}\n\n");
        // Only goes on once the client has the first piece: nothing is gathered on the way.
        wait_for.lock().unwrap().recv().unwrap();
        wire.chunk("data: {\"choices\":[{\"delta\":{\"con");
        wire.chunk("tent\":\"ne\"},\"finish_reason\":\"stop\"}]}\n\n: hm\n\n");
        wire.chunk("data: {\"choices\":[],\"usage\":{\"completion_tokens\":2}}\n\ndata: [DONE]\n\n");
        wire.end_chunks();
    });
    let world = World::new(&upstream.base()).start();
    let mut client = world.client();
    let mut body = chat("hi");
    body["stream"] = true.into();
    client.send("POST", "/v1/chat/completions", "", body.to_string().as_bytes());
    assert_eq!(client.head().unwrap().0, 200);
    let mut all = client.chunk().unwrap().unwrap();
    assert_eq!(all, b"data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"o\"}}]}\n\n");
    go.send(()).unwrap();
    while let Some(chunk) = client.chunk().unwrap() {
        all.extend(chunk);
    }
    let response = &world.records(&Kind::LlmResponse, 1)[0];
    assert_eq!(world.body(response), all);
    assert!(all.ends_with(b"data: [DONE]\n\n"));
    assert_eq!(response.text("finishReason"), Some("stop"));
    assert_eq!(response.fields["usage"]["completion_tokens"], 2);
    assert_eq!(response.fields["stream"], true);
}

#[test]
fn an_answer_is_on_record_before_its_end_is_passed_on() {
    let upstream = Upstream::start(|_, wire| {
        wire.stream_head();
        wire.chunk("data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\ndata: [DONE]\n\n");
        // Never ends by itself.
        wire.wait_until_cut();
    });
    let world = World::new(&upstream.base()).start();
    let mut client = world.client();
    client.send("POST", "/v1/chat/completions", "", chat("hi").to_string().as_bytes());
    client.head().unwrap();
    let chunk = client.chunk().unwrap().unwrap();
    assert!(chunk.ends_with(b"data: [DONE]\n\n"));
    assert_eq!(world.traffic().of(&Kind::LlmResponse).count(), 1);
    assert!(client.chunk().unwrap().is_none());
}

#[test]
fn large_answers_pass_and_are_recorded() {
    let content = "x".repeat(3 << 20);
    let answer = completion(&content).to_string();
    let sent = answer.clone();
    let upstream = Upstream::start(move |_, wire| wire.json(&sent));
    let world = World::new(&upstream.base()).start();
    let got = world.say("hi");
    assert!(got.whole && got.body == answer.as_bytes());
    let response = &world.records(&Kind::LlmResponse, 1)[0];
    assert_eq!(world.body(response), answer.as_bytes());
    assert_eq!(response.fields["usage"]["total_tokens"], 7);
}

#[test]
fn a_request_is_durable_before_the_upstream_sees_it() {
    let place = Arc::new(Mutex::new(None::<std::path::PathBuf>));
    let (seen, found) = mpsc::channel();
    let (look, seen) = (place.clone(), Mutex::new(seen));
    let upstream = Upstream::start(move |got, wire| {
        let path = look.lock().unwrap().clone().unwrap();
        let traffic = read(&path, &RunId::parse("demo-1").unwrap()).unwrap();
        let newest = traffic.of(&Kind::LlmRequest).last().cloned();
        let said = newest.and_then(|r| r.body()).map(|b| b.sha256);
        let same = said == Some(taskforge::run::id::Digest::of(&got.body));
        seen.lock().unwrap().send(same).unwrap();
        wire.json(completion("ok").to_string());
    });
    let world = World::new(&upstream.base()).start();
    *place.lock().unwrap() = Some(world.dir().join("traffic.jsonl"));
    for text in ["one", &"two".repeat(5000), "three"] {
        assert_eq!(world.say(text).status, 200);
        assert!(found.recv().unwrap(), "not on record when the upstream had it");
    }
}

#[test]
fn an_upstreams_failure_passes_with_its_status_and_words() {
    let upstream = Upstream::start(|_, wire| {
        wire.answer(
            "429 Too Many Requests",
            "application/json",
            "{\"error\":{\"message\":\"slow down\",\"type\":\"rate\"}}",
        );
    });
    let world = World::new(&upstream.base()).start();
    let got = world.say("hi");
    assert_eq!((got.status, got.json()["error"]["message"].clone()), (429, json!("slow down")));
    let error = &world.records(&Kind::LlmError, 1)[0];
    assert_eq!(error.fields["status"], 429);
    assert_eq!(world.body(error), got.body);
    assert_eq!(world.traffic().of(&Kind::LlmResponse).count(), 0);
}

#[test]
fn redirects_are_not_followed() {
    let upstream = Upstream::start(|_, wire| {
        wire.write("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n");
    });
    let world = World::new(&upstream.base()).start();
    assert_eq!(world.say("hi").status, 302);
    assert_eq!(upstream.got().len(), 1);
    world.records(&Kind::LlmError, 1);
}

#[test]
fn an_upstream_that_changes_the_protocol_is_a_failure() {
    let upstream = Upstream::start(|_, wire| {
        wire.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n");
    });
    let world = World::new(&upstream.base()).start();
    let got = world.say("hi");
    assert_eq!((got.status, got.code().as_str()), (502, "upstream_error"));
    world.records(&Kind::LlmError, 1);
}

#[test]
fn an_upstream_that_is_not_there_is_an_error_of_its_own() {
    let world = World::new("http://127.0.0.1:1/v1").start();
    let got = world.say("hi");
    assert_eq!((got.status, got.code().as_str()), (502, "upstream_error"));
    let error = &world.records(&Kind::LlmError, 1)[0];
    assert_eq!(error.text("code"), Some("upstream_error"));
    assert!(error.text("message").unwrap().contains("refused"), "{error:?}");
}

#[test]
fn a_model_that_is_not_granted_goes_nowhere() {
    let upstream = Upstream::start(|_, wire| wire.json("{}"));
    let world = World::new(&upstream.base()).start();
    let got = world.chat(&json!({"model": "other", "messages": []}));
    assert_eq!((got.status, got.code().as_str()), (403, "model_not_granted"));
    let models: Vec<Value> = world.get("/v1/models").json()["data"].as_array().unwrap().clone();
    assert_eq!(models.iter().map(|m| m["id"].as_str().unwrap()).collect::<Vec<_>>(), ["m"]);
    assert!(upstream.got().is_empty());
    let kinds: Vec<String> = world.traffic().records.iter().map(|record| record.kind.to_string()).collect();
    assert_eq!(kinds, ["request.refused"]);
}

#[test]
fn a_client_that_leaves_before_the_answer_is_an_aborted_exchange() {
    let upstream = Upstream::start(|_, wire| wire.wait_until_cut());
    let world = World::new(&upstream.base()).start();
    let mut client = world.client();
    client.send("POST", "/v1/chat/completions", "", chat("hi").to_string().as_bytes());
    wait("the upstream to have the request", || upstream.got().len() == 1);
    drop(client);
    let aborted = &world.records(&Kind::LlmAborted, 1)[0];
    assert_eq!(aborted.text("reason"), Some("client"));
    assert!(world.traffic().unclosed().is_empty());
}

#[test]
fn a_client_that_leaves_mid_stream_cuts_the_upstream() {
    let (cut, was_cut) = mpsc::channel();
    let cut = Mutex::new(cut);
    let upstream = Upstream::start(move |_, wire| {
        wire.stream_head();
        wire.chunk("data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n");
        wire.wait_until_cut();
        cut.lock().unwrap().send(()).unwrap();
    });
    let world = World::new(&upstream.base()).start();
    let mut client = world.client();
    client.send("POST", "/v1/chat/completions", "", chat("hi").to_string().as_bytes());
    client.head().unwrap();
    client.chunk().unwrap().unwrap();
    drop(client);
    was_cut.recv().unwrap();
    let aborted = &world.records(&Kind::LlmAborted, 1)[0];
    assert!(world.body(aborted).starts_with(b"data: "));
    assert_eq!(aborted.fields["status"], 200);
}

#[test]
fn an_upstream_that_breaks_off_is_never_a_whole_answer() {
    let upstream = Upstream::start(|got, wire| {
        if got.body.windows(6).any(|w| w == b"stream") {
            wire.stream_head();
            wire.chunk("data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n");
            wire.write("50\r\ndata: half");
        } else {
            wire.write("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{\"choices\"");
        }
        wire.shut();
    });
    let world = World::new(&upstream.base()).start();
    let plain = world.say("hi");
    assert_eq!((plain.status, plain.code().as_str()), (502, "upstream_error"));
    let mut body = chat("hi");
    body["stream"] = true.into();
    let streamed = world.chat(&body);
    assert!(!streamed.whole);
    let errors = world.records(&Kind::LlmError, 2);
    assert_eq!(world.body(&errors[0]), b"{\"choices\"");
    assert!(world.body(&errors[1]).ends_with(b"data: half"));
    assert_eq!(world.traffic().of(&Kind::LlmResponse).count(), 0);
}

#[test]
fn records_and_upstream_agree_on_how_many_requests_there_were() {
    let upstream = Upstream::start(|got, wire| {
        let text = String::from_utf8_lossy(&got.body).into_owned();
        if text.contains("good") {
            wire.json(completion("ok").to_string());
        } else if text.contains("error") {
            wire.answer("500 Oops", "text/plain", "oops");
        } else if text.contains("cut") {
            wire.write("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx");
            wire.shut();
        } else {
            wire.wait_until_cut();
        }
    });
    let mut world = World::new(&upstream.base());
    world.policy.attempts[0].limits.llm_requests = 1000;
    let world = world.start();
    std::thread::scope(|scope| {
        for n in 0..4 {
            let (world, upstream) = (&world, &upstream);
            scope.spawn(move || {
                for text in ["good", "error", "cut", "good"] {
                    world.say(text);
                }
                let mut client = world.client();
                client.send("POST", "/v1/chat/completions", "", chat(&format!("leave {n}")).to_string().as_bytes());
                // Not before it is there: what a client takes back in time is on record and never sent.
                let there = format!("leave {n}");
                wait("the request", || {
                    upstream.got().iter().any(|g| String::from_utf8_lossy(&g.body).contains(&there))
                });
                drop(client);
            });
        }
    });
    wait("all outcomes", || world.traffic().unclosed().is_empty());
    let traffic = world.traffic();
    assert_eq!(upstream.got().len(), 20);
    for (kind, count) in [(Kind::LlmRequest, 20), (Kind::LlmResponse, 8), (Kind::LlmError, 8), (Kind::LlmAborted, 4)] {
        assert_eq!(traffic.of(&kind).count(), count, "{kind}");
    }
    let usage = &traffic.usage()[&("gather".to_owned(), "m".to_owned())];
    assert_eq!((usage.requests, usage.answered, usage.failed, usage.aborted), (20, 8, 8, 4));
    // Eight answers with their own count, and what was sent with those that broke off or that nobody heard.
    let uncounted = |body: &[u8]| ["cut", "leave"].iter().any(|word| String::from_utf8_lossy(body).contains(word));
    let sent: usize = upstream.got().iter().filter(|got| uncounted(&got.body)).map(|got| got.body.len() / 4).sum();
    assert_eq!((usage.prompt_tokens, usage.completion_tokens), (24 + sent as u64, 32));
}

#[test]
fn no_key_is_ever_written_or_shown() {
    let upstream = Upstream::start(|got, wire| {
        // An upstream that repeats everything it was sent.
        let echo = json!({"error": {"message": got.head, "body": String::from_utf8_lossy(&got.body)}}).to_string();
        let body = String::from_utf8_lossy(&got.body);
        if body.contains("begun") {
            wire.json(&echo);
        } else if body.contains("stream") {
            // Its own words in the middle of an answer.
            wire.stream_head();
            wire.chunk("data: {\"choices\":[]}\n\ndata: ");
            for byte in echo.as_bytes().chunks(5) {
                wire.chunk(byte);
            }
            wire.chunk("\n\n");
            wire.end_chunks();
        } else {
            let head = got.head.to_lowercase();
            let key = head.lines().find(|l| l.starts_with("authorization")).unwrap_or_default();
            wire.write(format!("HTTP/1.1 401 No\r\nx-echo: {key}\r\ncontent-length: {}\r\n\r\n{echo}", echo.len()));
        }
    });
    let world = World::new(&upstream.base()).start();
    let plain = world.say("hi");
    let mut body = chat("hi");
    body["stream"] = true.into();
    let streamed = world.chat(&body);
    assert_eq!((plain.status, plain.whole, streamed.whole), (401, true, false));
    // Words of a failure that are told with another status.
    let failed = world.say("begun");
    assert_eq!(failed.status, 502);
    assert!(upstream.got().iter().all(|got| got.head.contains(KEY)));
    for answer in [&plain, &streamed, &failed] {
        let shown = format!("{}{}", answer.head, String::from_utf8_lossy(&answer.body));
        assert!(shown.contains("*****") && !shown.to_lowercase().contains(KEY), "{shown}");
    }
    world.records(&Kind::LlmError, 3);
    for (path, bytes) in world.files() {
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        assert!(!text.contains(KEY), "{}", path.display());
    }
}

#[test]
fn a_key_that_is_missing_is_not_done_without() {
    let upstream = Upstream::start(|_, wire| wire.json("{}"));
    let world = World::new(&upstream.base());
    std::fs::remove_file(world.root.path().join("secrets/keys.json")).unwrap();
    let world = world.start();
    let got = world.say("hi");
    assert_eq!((got.status, got.code().as_str()), (502, "upstream_error"));
    assert!(upstream.got().is_empty());
}
