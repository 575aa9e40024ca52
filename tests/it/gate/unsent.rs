//! What never had a connection was never sent: its record says so, and no budget is charged.

use std::net::TcpListener;
use std::os::fd::AsFd as _;

use serde_json::json;
use taskforge::gate::records::{Kind, Record};
use taskforge::gate::{Ceilings, ModelRule, ProviderSpec};

use super::world::{World, chat, endpoint, wait};

/// A listener whose queue is full: whoever connects waits.
struct Full {
    _listener: TcpListener,
    _waiting: Vec<rustix::fd::OwnedFd>,
    port: u16,
}

impl Full {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        rustix::net::listen(listener.as_fd(), 0).unwrap();
        let address = listener.local_addr().unwrap();
        let waiting = (0..3)
            .map(|_| {
                use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};
                let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::NONBLOCK, None).unwrap();
                let _ = connect(&socket, &address);
                socket
            })
            .collect();
        Self { _listener: listener, _waiting: waiting, port: address.port() }
    }
}

fn world(full: &Full, timeout_ms: u64, retries: u32) -> World {
    let mut world = World::new("http://127.0.0.1:1/v1");
    let mut place = endpoint(&format!("http://127.0.0.1:{}/v1", full.port));
    place.timeout_ms = Some(timeout_ms);
    world.policy.providers.insert("full".into(), ProviderSpec::Openai(place));
    world.policy.models.insert(0, ModelRule { retries, ..ModelRule::new("m", "full") });
    world.policy.ceilings = Ceilings { tokens: Some(1000), ..Ceilings::default() };
    world
}

fn was_sent(record: &Record) -> bool {
    record.fields.get("reached") != Some(&json!(false))
}

#[test]
fn a_client_that_leaves_while_there_is_no_connection_has_sent_nothing() {
    let full = Full::new();
    let world = world(&full, 60_000, 0).start();
    let mut client = world.client();
    client.send("POST", "/v1/chat/completions", "", chat(&"long ".repeat(2000)).to_string().as_bytes());
    wait("the request on record", || world.traffic().of(&Kind::LlmRequest).count() == 1);
    drop(client);
    let aborted = &world.records(&Kind::LlmAborted, 1)[0];
    assert!(!was_sent(aborted), "{aborted:?}");
    let usage = &world.traffic().usage()[&("gather".to_owned(), "m".to_owned())];
    assert_eq!((usage.prompt_tokens, usage.completion_tokens), (0, 0));
}

#[test]
fn a_patience_shorter_than_connecting_is_a_connection_that_was_not_made_and_tried_again() {
    let full = Full::new();
    let world = world(&full, 100, 1).start();
    let got = world.say(&"long ".repeat(2000));
    assert_eq!((got.status, got.code().as_str()), (502, "upstream_error"), "{got:?}");
    for error in world.records(&Kind::LlmError, 2) {
        assert!(!was_sent(&error), "{error:?}");
        assert!(error.text("message").unwrap().contains("no connection"), "{error:?}");
    }
    assert_ne!(world.say("more").code(), "budget_exhausted");
}
