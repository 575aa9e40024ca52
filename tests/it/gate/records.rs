//! The records as a gate leaves and finds them.

use std::io::Write as _;

use serde_json::json;
use taskforge::gate::Error;
use taskforge::gate::records::Kind;

use super::upstream::Upstream;
use super::world::{World, completion};

fn answered() -> (Upstream, World) {
    let upstream = Upstream::start(|_, wire| wire.json(completion("ok").to_string()));
    let world = World::new(&upstream.base()).start();
    assert_eq!(world.say("hi").status, 200);
    (upstream, world)
}

#[test]
fn a_torn_tail_is_voided_and_the_gate_goes_on() {
    let (_upstream, mut world) = answered();
    world.stop();
    let path = world.dir().join("traffic.jsonl");
    std::fs::File::options().append(true).open(&path).unwrap().write_all(b"{\"seq\":3,\"at\":1").unwrap();
    assert!(world.traffic().torn.is_some());
    std::fs::remove_file(world.dir().join("status.json")).unwrap();
    world.launch();
    world.wait_in_force();
    assert_eq!(world.say("again").status, 200);
    let traffic = world.traffic();
    let kinds: Vec<&str> = traffic.records.iter().map(|r| r.kind.as_str()).collect();
    assert_eq!(kinds, ["llm.request", "llm.response", "traffic.voided", "llm.request", "llm.response"]);
    assert!(traffic.torn.is_none());
}

#[test]
fn changed_records_stop_the_gate() {
    let (_upstream, mut world) = answered();
    world.stop();
    let path = world.dir().join("traffic.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("\"model\":\"m\"", "\"model\":\"n\"", 1)).unwrap();
    world.launch();
    assert!(matches!(world.join(), Err(Error::Integrity { .. })));
}

#[test]
fn one_run_has_one_gate() {
    let (_upstream, world) = answered();
    let options = World::options(world.root.path());
    let second = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(taskforge::gate::serve_until(options, std::future::pending()))
    });
    assert!(matches!(second.join().unwrap(), Err(Error::Locked { .. })));
}

#[test]
fn what_cannot_be_recorded_is_not_sent() {
    let (upstream, world) = answered();
    let bodies = world.dir().join("bodies");
    let aside = world.dir().join("aside");
    std::fs::rename(&bodies, &aside).unwrap();
    // Too large to stand in the record itself, and nowhere to put it.
    let got = world.say(&"x".repeat(10_000));
    assert_eq!((got.status, got.code().as_str()), (507, "record_failed"));
    assert_eq!(upstream.got().len(), 1);
    std::fs::rename(&aside, &bodies).unwrap();
    assert_eq!(world.say(&"x".repeat(10_000)).status, 200);
    // What was not sent does not count.
    assert_eq!(world.traffic().of(&Kind::LlmRequest).count(), 2);
}

#[test]
fn lines_are_ascii_and_in_the_agreed_order() {
    let upstream = Upstream::start(|_, wire| wire.json(completion("grüße \u{2028}").to_string()));
    let world = World::new(&upstream.base()).start();
    assert_eq!(world.say("größe \u{2028} \u{1f600}").status, 200);
    let text = std::fs::read(world.dir().join("traffic.jsonl")).unwrap();
    assert!(text.is_ascii());
    for line in String::from_utf8(text).unwrap().lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        let keys: Vec<&String> = value.as_object().unwrap().keys().collect();
        assert_eq!(&keys[..6], ["seq", "at", "time", "kind", "node", "attempt"]);
        assert_eq!(*keys.last().unwrap(), "prev");
        assert_eq!((value["node"].clone(), value["attempt"].clone()), (json!("gather"), json!(1)));
    }
}
