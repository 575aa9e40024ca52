//! Input that means harm: each a clear refusal, the gate unharmed, nothing sent.

use super::http::Client;
use super::upstream::Upstream;
use super::world::{World, chat, completion};

fn quiet() -> (Upstream, World) {
    let upstream = Upstream::start(|_, wire| wire.json(completion("ok").to_string()));
    let world = World::new(&upstream.base()).start();
    (upstream, world)
}

fn chat_bytes(world: &World, body: &[u8]) -> super::http::Answer {
    super::http::request(&world.socket("a1"), "POST", "/v1/chat/completions", body)
}

#[test]
fn malformed_bodies_are_bad_requests() {
    let (upstream, world) = quiet();
    let deep = [b"{\"model\":\"m\",\"messages\":".to_vec(), b"[".repeat(500_000)].concat();
    let wide = [b"{\"model\":\"m\",\"messages\":[".to_vec(), b"[],".repeat(500_000)].concat();
    for body in [
        &b""[..],
        b"{",
        b"null",
        b"[]",
        b"\xff\xfe",
        b"{\"model\":\"m\"}",
        b"{\"model\":7,\"messages\":[]}",
        b"{\"model\":\"m\",\"messages\":\"hi\"}",
        b"{\"model\":\"m\",\"model\":\"recorded\",\"messages\":[]}",
        &deep,
        &wide,
    ] {
        let got = chat_bytes(&world, body);
        let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
        assert_eq!((got.status, got.code().as_str()), (400, "bad_request"), "{shown}");
    }
    for path in ["turns", "capabilities", "progress", "result"] {
        for body in ["", "{", "[]", "7", "{\"capability\":7,\"message\":7,\"toolCallId\":7}"] {
            let got =
                super::http::request(&world.socket("a1"), "POST", &format!("/taskforge/v1/{path}"), body.as_bytes());
            if path == "result" && body.starts_with("{\"") {
                continue;
            }
            assert_eq!((got.status, got.code().as_str()), (400, "bad_request"), "{path} {body}");
        }
    }
    assert!(upstream.got().is_empty());
    assert!(world.traffic().records.iter().all(|record| record.kind == taskforge::gate::records::Kind::RequestRefused));
    assert_eq!(world.say("hi").status, 200);
}

#[test]
fn fifty_megabytes_are_too_large_whether_announced_or_not() {
    let (upstream, world) = quiet();
    let body = vec![b' '; 50 << 20];
    let announced = chat_bytes(&world, &body);
    assert_eq!((announced.status, announced.code().as_str()), (413, "too_large"));

    let mut client = world.client();
    client.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
    for chunk in body.chunks(1 << 20) {
        client.write(format!("{:x}\r\n", chunk.len()).as_bytes()).unwrap();
        client.write(chunk).unwrap();
        client.write(b"\r\n").unwrap();
    }
    client.write(b"0\r\n\r\n").unwrap();
    let streamed = client.answer().unwrap();
    assert_eq!((streamed.status, streamed.code().as_str()), (413, "too_large"));
    assert!(upstream.got().is_empty());
    assert_eq!(world.say("hi").status, 200);
}

#[test]
fn a_body_just_within_the_limit_passes() {
    let (upstream, world) = quiet();
    let room = (8 << 20) - chat("").to_string().len();
    assert_eq!(world.say(&"x".repeat(room)).status, 200);
    assert_eq!(world.say(&"x".repeat(room + 1)).status, 413);
    assert_eq!(upstream.got().len(), 1);
}

#[test]
fn who_expects_to_be_told_is_told_before_sending() {
    let (_upstream, world) = quiet();
    let mut client = world.client();
    client
        .write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 99999999\r\n\r\n")
        .unwrap();
    assert_eq!(client.head().unwrap().0, 413);
}

#[test]
fn floods_of_headers_are_refused() {
    let (_upstream, world) = quiet();
    for flood in
        [(0..5000).map(|n| format!("x-{n}: {n}\r\n")).collect::<String>(), format!("x: {}\r\n", "y".repeat(1 << 20))]
    {
        let mut client = world.client();
        // The gate may stop listening before all is said.
        let _ = client.write(format!("GET /taskforge/v1/hello HTTP/1.1\r\nhost: x\r\n{flood}\r\n").as_bytes());
        if let Some((status, _)) = client.head() {
            assert_eq!(status, 431);
        }
    }
    assert_eq!(world.get("/taskforge/v1/hello").status, 200);
}

#[test]
fn what_is_not_http_is_dropped() {
    let (_upstream, world) = quiet();
    for garbage in [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], b"GET\r\n\r\n", b"\0\0\0\0\r\n\r\n"] {
        let mut client = world.client();
        client.write(garbage).unwrap();
        client.write(b"\r\n\r\n").ok();
        if let Some((status, _)) = client.head() {
            assert_eq!(status, 400);
        }
    }
    assert_eq!(world.get("/taskforge/v1/hello").status, 200);
}

#[test]
fn who_is_refused_gets_to_read_why_though_still_sending() {
    let (_upstream, world) = quiet();
    let body = vec![b' '; 4 << 20];
    for (path, status) in [("/nowhere", 404), ("/taskforge/v1/hello", 405), ("http://a.example/x", 403)] {
        assert_eq!(super::http::request(&world.socket("a1"), "POST", path, &body).status, status);
    }
    let mut open = world.client();
    open.send("GET", "/taskforge/v1/hello", "", b"");
    assert_eq!(open.answer().unwrap().status, 200);
    world.kill();
    // What is open is cut; only then is what comes a new connection.
    assert!(open.ended());
    assert_eq!(chat_bytes(&world, &body).status, 423);
}

#[test]
fn unknown_surfaces_and_methods_are_said_to_be_so() {
    let (_upstream, world) = quiet();
    let unknown = world.get("/v1/unheard/of");
    assert_eq!((unknown.status, unknown.code().as_str()), (404, "not_found"));
    let method = world.get("/v1/chat/completions");
    assert_eq!((method.status, method.code().as_str()), (405, "bad_request"));
    assert_eq!(world.get("/taskforge/v1/capabilities/../../x").status, 404);
}

#[test]
fn many_idle_connections_keep_nobody_else_out() {
    let upstream = Upstream::start(|_, wire| wire.json(completion("ok").to_string()));
    let mut world = World::new(&upstream.base());
    let other = world.attempt("b2", "analyse", 1);
    world.policy.attempts.push(other);
    let world = world.start();
    let idle: Vec<Client> = (0..100).map(|_| world.client()).collect();
    let body = chat("hi").to_string();
    let got = super::http::request(&world.socket("b2"), "POST", "/v1/chat/completions", body.as_bytes());
    assert_eq!(got.status, 200);
    drop(idle);
    assert_eq!(world.get("/taskforge/v1/hello").status, 200);
}
