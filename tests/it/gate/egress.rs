//! The way out that is closed.

use serde_json::json;
use taskforge::gate::records::Kind;

use super::world::World;

fn nowhere() -> World {
    World::new("http://127.0.0.1:1/v1").start()
}

#[test]
fn connect_is_refused_with_what_would_have_to_be_asked_for() {
    let world = nowhere();
    let mut client = world.client();
    client.write(b"CONNECT Files.Example.org:443 HTTP/1.1\r\nhost: files.example.org:443\r\nproxy-authorization: Basic c2VjcmV0\r\n\r\n").unwrap();
    let got = client.answer().unwrap();
    assert_eq!((got.status, got.code().as_str()), (403, "capability_required"));
    let error = &got.json()["error"];
    assert_eq!(error["capability"], "net:files.example.org:443");
    assert!(error["hint"].as_str().unwrap().contains("pip:<name>"));
    // On record by the time the answer is there.
    let traffic = world.traffic();
    let denied: Vec<_> = traffic.of(&Kind::EgressDenied).collect();
    assert_eq!(denied.len(), 1);
    assert_eq!((denied[0].text("target"), denied[0].text("method")), (Some("files.example.org:443"), Some("CONNECT")));
    assert!(client.ended());
}

#[test]
fn absolute_form_is_refused_without_its_secrets() {
    let world = nowhere();
    let mut client = world.client();
    client.write(b"GET http://user:sesame@files.example.org/simple/?token=sesame HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let got = client.answer().unwrap();
    assert_eq!(got.code(), "capability_required");
    assert_eq!(got.json()["error"]["capability"], "net:files.example.org:80");
    let denied = &world.records(&Kind::EgressDenied, 1)[0];
    assert_eq!(denied.text("target"), Some("files.example.org:80"));
    for (path, bytes) in world.files() {
        assert!(!String::from_utf8_lossy(&bytes).contains("sesame"), "{}", path.display());
    }
}

#[test]
fn the_gate_itself_in_absolute_form_is_the_gate() {
    let world = nowhere();
    let mut client = world.client();
    client.write(b"GET http://127.0.0.1:4180/taskforge/v1/hello HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    assert_eq!(client.answer().unwrap().status, 200);
    assert!(world.traffic().records.is_empty());
}

#[test]
fn refusals_are_listed_from_a_place_on_and_survive_a_restart() {
    let mut world = nowhere();
    assert_eq!(world.get("/taskforge/v1/refusals").json(), json!({"seq": 0, "refusals": []}));
    let refuse = |world: &World, host: &str| {
        let mut client = world.client();
        client.write(format!("CONNECT {host}:443 HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).unwrap();
        client.answer().unwrap();
    };
    refuse(&world, "a.example");
    let first = world.get("/taskforge/v1/refusals?after=0").json();
    assert_eq!(first["refusals"][0]["target"], "a.example:443");
    assert_eq!(first["refusals"][0]["surface"], "connect");
    assert_eq!(first["refusals"][0]["code"], "capability_required");
    let seq = first["seq"].as_u64().unwrap();
    refuse(&world, "b.example");
    world.restart();
    let then = world.get(&format!("/taskforge/v1/refusals?after={seq}")).json();
    assert_eq!(then["refusals"].as_array().unwrap().len(), 1);
    assert_eq!(then["refusals"][0]["capability"], "net:b.example:443");
    let end = then["seq"].as_u64().unwrap();
    assert_eq!(world.get(&format!("/taskforge/v1/refusals?after={end}")).json(), json!({"seq": end, "refusals": []}));
}

#[test]
fn one_attempt_does_not_see_the_refusals_of_another() {
    let mut world = World::new("http://127.0.0.1:1/v1");
    let other = world.attempt("b2", "analyse", 1);
    world.policy.attempts.push(other);
    let world = world.start();
    let mut client = world.client();
    client.write(b"CONNECT a.example:443 HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    client.answer().unwrap();
    let seen = super::http::request(&world.socket("b2"), "GET", "/taskforge/v1/refusals", b"").json();
    assert_eq!(seen["refusals"], json!([]));
}
