//! What the models of a run may take in all: counted over nodes and restarts, refused when it is spent, asked for once.

use serde_json::Value;
use taskforge::gate::records::Kind;
use taskforge::gate::{CapabilityRequest, Ceilings, Inbox, Price, RequestStatus};
use taskforge::run::id::RequestId;

use super::http::{Answer, request};
use super::upstream::Upstream;
use super::world::{World, chat, completion, wait};

/// An upstream whose every answer takes three tokens in and four out, and a gate with these ceilings.
fn world(upstream: &Upstream, ceilings: Ceilings) -> World {
    let mut world = World::new(&upstream.base());
    world.policy.ceilings = ceilings;
    let second = world.attempt("b2", "write", 1);
    world.policy.attempts.push(second);
    world
}

fn upstream() -> Upstream {
    Upstream::start(|_, wire| wire.json(completion("well").to_string()))
}

fn tokens(ceiling: u64) -> Ceilings {
    Ceilings { tokens: Some(ceiling), ..Ceilings::default() }
}

/// As node `write`.
fn write_says(world: &World) -> Answer {
    request(&world.socket("b2"), "POST", "/v1/chat/completions", chat("hi").to_string().as_bytes())
}

/// Says something, and waits until what it took is on record.
fn told(world: &World, answers: usize) {
    assert_eq!(world.say("hi").status, 200);
    world.records(&Kind::LlmResponse, answers);
}

/// The capabilities that were asked for, each with the node that did.
fn asked(world: &World) -> Vec<(String, String)> {
    let messages = Inbox::of(&world.dir()).list().unwrap().into_iter().map(|found| found.message.unwrap());
    messages.map(|m| (m.node.to_string(), m.body["capability"].as_str().unwrap().to_owned())).collect()
}

fn error(answer: &Answer) -> Value {
    answer.json()["error"].clone()
}

#[test]
fn a_spent_budget_refuses_every_node_and_asks_a_person_once() {
    let upstream = upstream();
    let mut world = world(&upstream, tokens(14)).start();
    told(&world, 1);
    told(&world, 2);
    for _ in 0..2 {
        let refused = world.say("more");
        assert_eq!((refused.status, refused.code()), (429, "budget_exhausted".into()));
        let error = error(&refused);
        assert_eq!(error["message"], "the models of this run have taken 14 of 14 tokens");
        assert_eq!(
            (error["capability"].as_str(), error["status"].as_str()),
            (Some("budget:tokens=28"), Some("pending"))
        );
    }
    world.restart();
    assert_eq!(write_says(&world).code(), "budget_exhausted", "it is the run's, and a restart forgets nothing");
    let capability = "budget:tokens=28".to_owned();
    assert_eq!(asked(&world), [("gather".to_owned(), capability.clone()), ("write".to_owned(), capability)]);
    assert_eq!(upstream.got().len(), 2);

    // What a person allows is in force with the policy that says so.
    world.policy.ceilings = tokens(28);
    world.apply();
    told(&world, 3);
}

#[test]
fn more_that_was_denied_is_said_to_be() {
    let upstream = upstream();
    let mut world = world(&upstream, tokens(7)).start();
    told(&world, 1);
    let pending = error(&world.say("more"));
    let id = RequestId::parse(pending["request"].as_str().unwrap()).unwrap();
    world.policy.attempts[0].requests.push(CapabilityRequest {
        id,
        capability: "budget:tokens=14".into(),
        status: RequestStatus::Denied,
        answer: None,
    });
    world.apply();
    let denied = error(&world.say("more"));
    assert_eq!((&denied["request"], denied["status"].as_str()), (&pending["request"], Some("denied")));
    assert_eq!(asked(&world).len(), 1);
}

#[test]
fn requests_at_once_do_not_pass_their_ceiling_together() {
    let upstream = upstream();
    let world = world(&upstream, Ceilings { requests: Some(5), ..Ceilings::default() }).start();
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..12)
            .map(|number| {
                let world = &world;
                scope.spawn(move || if number % 2 == 0 { world.say("hi").status } else { write_says(world).status })
            })
            .collect();
        asking.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 5, "{statuses:?}");
    assert_eq!(upstream.got().len(), 5);
    assert!(asked(&world).iter().all(|(_, capability)| capability == "budget:requests=10"));
}

#[test]
fn money_is_counted_by_the_price_table_and_a_model_without_a_price_is_not_asked() {
    let upstream = upstream();
    let mut world = world(&upstream, Ceilings { money: Some(20), ..Ceilings::default() });
    // Three in at 1 and four out at 2 a million: 11 millionths an answer.
    let price = Price { pattern: "m".into(), input: 1_000_000, output: 2_000_000, cached: 1_000_000 };
    world.policy.prices.push(price);
    let world = world.start();
    told(&world, 1);
    told(&world, 2);
    let refused = error(&world.say("more"));
    assert_eq!(refused["message"], "the models of this run have taken 0.000022 of 0.00002 money");
    assert_eq!(refused["capability"], "budget:money=0.00004");
    let mut free = chat("hi");
    free["model"] = "m2".into();
    assert_eq!(world.chat(&free).code(), "no_price");
    assert_eq!(upstream.got().len(), 2);
}

#[test]
fn what_was_counted_is_what_the_records_say() {
    let upstream = Upstream::start(|_, wire| wire.json("{\"error\": {\"message\": \"no\"}}"));
    let world = world(&upstream, Ceilings { requests: Some(2), ..Ceilings::default() }).start();
    for _ in 0..2 {
        let _ = world.say("hi");
    }
    wait("both requests on record", || world.traffic().of(&Kind::LlmRequest).count() == 2);
    assert_eq!(world.say("hi").code(), "budget_exhausted", "what failed was asked all the same");
}
