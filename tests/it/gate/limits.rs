//! How fast and how slow an agent and an upstream may be: each bound has a name, ends what passes it, and is on record.

use std::sync::{Mutex, mpsc};

use serde_json::Value;
use taskforge::gate::records::{Kind, Record};
use taskforge::gate::{Limits, ModelRule, Patience};

use super::http::{Answer, Client};
use super::upstream::Upstream;
use super::world::{World, chat, completion};

fn quick() -> Upstream {
    Upstream::start(|_, wire| wire.json(completion("well").to_string()))
}

fn limited(upstream: &Upstream, limits: Limits) -> World {
    let mut world = World::new(&upstream.base());
    world.policy.attempts[0].limits = limits;
    world.start()
}

fn patient(upstream: &Upstream, patience: Patience) -> World {
    let mut world = World::new(&upstream.base());
    world.policy.patience = patience;
    world.start()
}

/// Half a second for one thing, and an hour for the others: what ends is ended by that one.
fn only(set: impl FnOnce(&mut Patience)) -> Patience {
    let mut patience = Patience { head_ms: 3_600_000, body_ms: 3_600_000, reading_ms: 3_600_000 };
    set(&mut patience);
    patience
}

/// OpenAI's shape of an error, and after how many seconds it makes sense to come again.
fn told(answer: &Answer) -> (u16, String, String, Option<u64>) {
    let error = answer.json()["error"].clone();
    assert!(error["message"].is_string() && error["param"] == Value::Null, "{error}");
    let text = |key: &str| error[key].as_str().unwrap().to_owned();
    let after = answer.header("retry-after").map(|after| after.parse().unwrap());
    (answer.status, text("code"), text("type"), after)
}

/// Why connections were ended.
fn dropped(world: &World, count: usize) -> Vec<String> {
    let reason = |record: &Record| record.text("reason").unwrap().to_owned();
    world.records(&Kind::ClientDropped, count).iter().map(reason).collect()
}

#[test]
fn a_node_asks_no_faster_than_it_may() {
    let upstream = quick();
    let world = limited(&upstream, Limits { per_minute: Some(3), ..Limits::default() });
    for _ in 0..3 {
        assert_eq!(world.say("hi").status, 200);
    }
    let refused = world.say("hi");
    let (status, code, kind, after) = told(&refused);
    assert_eq!((status, code.as_str(), kind.as_str()), (429, "rate_limit_exceeded", "requests"));
    assert!((1..=60).contains(&after.unwrap()), "{after:?}");
    assert_eq!(refused.header("x-should-retry"), None);
    assert_eq!(upstream.got().len(), 3);
    // On Anthropic's wire in Anthropic's shape.
    let refused = world.post("/v1/messages", &chat("hi"));
    assert_eq!((refused.status, refused.json()["type"].as_str()), (429, Some("error")));
    assert!(refused.header("retry-after").is_some());
    assert_eq!(world.get("/v1/models").status, 200, "only what is asked of models is counted");
}

#[test]
fn no_more_is_under_way_at_once_than_may_be_and_each_that_ends_makes_room() {
    let (begun, seen) = mpsc::channel();
    let (release, go) = mpsc::channel::<()>();
    let (begun, go) = (Mutex::new(begun), Mutex::new(go));
    let upstream = Upstream::start(move |_, wire| {
        begun.lock().unwrap().send(()).unwrap();
        go.lock().unwrap().recv().unwrap();
        wire.json(completion("well").to_string());
    });
    let world = limited(&upstream, Limits { concurrent: Some(2), ..Limits::default() });
    std::thread::scope(|scope| {
        let waiting: Vec<_> = (0..2).map(|_| scope.spawn(|| world.say("hi").status)).collect();
        seen.recv().unwrap();
        seen.recv().unwrap();
        let (status, code, kind, after) = told(&world.say("one too many"));
        assert_eq!((status, code.as_str(), kind.as_str(), after), (429, "too_many_at_once", "requests", Some(1)));
        release.send(()).unwrap();
        release.send(()).unwrap();
        assert!(waiting.into_iter().all(|asking| asking.join().unwrap() == 200));
    });
    release.send(()).unwrap();
    super::world::wait("a place", || world.say("hi").status == 200 || release.send(()).is_err());
}

#[test]
fn a_head_has_its_bounds_and_the_refusal_is_read_by_who_is_still_sending() {
    let upstream = quick();
    let world = World::new(&upstream.base()).start();
    let floods = [
        (0..5000).map(|n| format!("x-{n}: {n}\r\n")).collect::<String>(),
        (0..101).map(|n| format!("x-{n}: {n}\r\n")).collect(),
        format!("x: {}\r\n", "y".repeat(1 << 20)),
        format!("x: {}\r\n", "y".repeat(33 << 10)),
    ];
    for flood in &floods {
        let mut client = world.client();
        client.write(format!("GET /taskforge/v1/hello HTTP/1.1\r\nhost: x\r\n{flood}\r\n").as_bytes()).unwrap();
        assert_eq!(client.head().map(|head| head.0), Some(431));
    }
    let mut client = world.client();
    client.write(format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "y".repeat(1 << 20)).as_bytes()).unwrap();
    let status = client.head().unwrap().0;
    assert!([414, 431].contains(&status), "{status}");
    let mut client = world.client();
    client.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n").unwrap();
    assert_eq!(client.head().map(|head| head.0), Some(400));
    let mut reasons = vec!["head_too_large"; 5];
    reasons.push("not_http");
    assert_eq!(dropped(&world, 6), reasons);
    assert_eq!(world.say("hi").status, 200);
}

#[test]
fn a_head_that_does_not_come_is_not_waited_for() {
    let upstream = quick();
    let world = patient(&upstream, only(|patience| patience.head_ms = 500));
    let mut slow: Vec<Client> = (0..3).map(|_| world.client()).collect();
    for client in &mut slow {
        client.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-slow: a").unwrap();
    }
    // One that says nothing at all, and one that has said all it has to say, are only idle.
    let mut silent = world.client();
    let mut idle = world.client();
    idle.send("GET", "/taskforge/v1/hello", "", b"");
    assert_eq!(idle.answer().unwrap().status, 200);
    assert!(slow.iter_mut().all(Client::ended) && silent.ended() && idle.ended());
    assert_eq!(dropped(&world, 3), ["slow_head"; 3]);
    assert!(upstream.got().is_empty());
}

#[test]
fn a_body_that_does_not_come_is_refused_by_name() {
    let upstream = quick();
    let world = patient(&upstream, only(|patience| patience.body_ms = 500));
    let heads = ["content-length: 500\r\n\r\n{\"mod", "transfer-encoding: chunked\r\n\r\n5\r\n{\"mod\r\n"];
    for path in ["/v1/chat/completions", "/taskforge/v1/progress"] {
        for rest in heads {
            let mut client = world.client();
            client.write(format!("POST {path} HTTP/1.1\r\nhost: x\r\n{rest}").as_bytes()).unwrap();
            let refused = client.answer().unwrap();
            assert_eq!((refused.status, refused.code().as_str()), (408, "slow_body"));
        }
    }
    assert_eq!(dropped(&world, 4), ["slow_body"; 4]);
    assert!(upstream.got().is_empty());
    assert_eq!(world.say("hi").status, 200);
}

#[test]
fn a_client_that_does_not_read_its_stream_is_ended_and_so_is_its_upstream() {
    let (ended, end) = mpsc::channel();
    let ended = Mutex::new(ended);
    let upstream = Upstream::start(move |_, wire| {
        wire.stream_head();
        let event = format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{}\"}}}}]}}\n\n", "x".repeat(60_000));
        let mut sent = 0_u64;
        while wire.chunk(&event) {
            sent += event.len() as u64;
            assert!(sent < 1 << 30, "the gate takes whatever comes");
        }
        ended.lock().unwrap().send(sent).unwrap();
    });
    let world = patient(&upstream, only(|patience| patience.reading_ms = 500));
    let mut body = chat("hi");
    body["stream"] = true.into();
    let mut client = world.client();
    client.send("POST", "/v1/chat/completions", "content-type: application/json\r\n", body.to_string().as_bytes());
    // What lies between is bounded: pipes and sockets hold a few megabytes.
    let sent = end.recv().unwrap();
    assert!(sent < 64 << 20, "{sent}");
    let aborted = world.records(&Kind::LlmAborted, 1);
    assert_eq!(aborted[0].text("reason"), Some("slow_reading"));
    assert_eq!(dropped(&world, 1), ["slow_reading"]);
    // Nobody who reads on later takes what was sent for a whole answer.
    assert!(!client.answer().unwrap().whole);
}

#[test]
fn a_client_that_does_not_read_a_whole_answer_is_ended() {
    let upstream = Upstream::start(|_, wire| {
        wire.json(completion(&"x".repeat(16 << 20)).to_string());
    });
    let world = patient(&upstream, only(|patience| patience.reading_ms = 500));
    let mut client = world.client();
    client.send("POST", "/v1/chat/completions", "", chat("hi").to_string().as_bytes());
    assert_eq!(dropped(&world, 1), ["slow_reading"]);
    assert!(!client.answer().unwrap().whole);
}

#[test]
fn an_upstream_that_is_stuck_is_ended_by_name_before_its_first_byte_and_in_mid_stream() {
    let upstream = Upstream::start(|got, wire| {
        if got.body.windows(5).any(|bytes| bytes == b"begin") {
            wire.stream_head();
            wire.chunk("data: {\"choices\":[{\"delta\":{\"content\":\"so\"}}]}\n\n");
        }
        wire.wait_until_cut();
    });
    let mut world = World::new(&upstream.base());
    world.policy.models[1] = ModelRule { timeout_ms: Some(500), ..ModelRule::new("*", "up") };
    let world = world.start();
    let silent = world.say("hi");
    assert_eq!((silent.status, silent.code().as_str()), (504, "upstream_timeout"));
    let mut begun = chat("begin");
    begun["stream"] = true.into();
    let broken = world.chat(&begun);
    assert_eq!((broken.status, broken.whole), (200, false));
    let errors = world.records(&Kind::LlmError, 2);
    assert!(errors.iter().all(|record| record.text("code") == Some("upstream_timeout")), "{errors:?}");
    let first = |record: &Record| record.fields.contains_key("firstByteMs");
    assert_eq!([first(&errors[0]), first(&errors[1])], [false, true]);
}
