//! Work that is given to others, as the gate takes it.

use serde_json::{Value, json};
use taskforge::gate::records::Kind;
use taskforge::gate::{Ceilings, DelegationUse, Inbox};
use taskforge::run::id::RoleName;

use super::http::request;
use super::upstream::Upstream;
use super::world::{World, completion};

#[test]
fn work_that_says_nothing_is_refused_and_never_reaches_the_host() {
    let mut world = World::new("http://127.0.0.1:1/v1");
    let roles = vec![RoleName::parse("worker").unwrap()];
    world.policy.attempts[0].delegation = Some(DelegationUse { roles, children: 5 });
    let world = world.start();
    let ask = |task: &str| world.post("/taskforge/v1/children", &json!({"role": "worker", "task": task}));
    for blank in ["", " ", "\t\n", "\u{2028}", "\u{a0}\u{200b}\u{feff}"] {
        let refused = ask(blank);
        assert_eq!((refused.status, refused.code().as_str()), (400, "bad_request"), "{blank:?}");
    }
    let inbox = world.dir().join("inbox");
    assert_eq!(std::fs::read_dir(&inbox).unwrap().count(), 0);
    assert_eq!(ask("Look").status, 202);
    assert_eq!(std::fs::read_dir(&inbox).unwrap().count(), 1);
}

#[test]
fn a_child_has_no_more_requests_than_the_run_and_its_node_have_left_and_the_host_hears_what_was_taken() {
    let upstream = Upstream::start(|_, wire| wire.json(completion("well").to_string()));
    let mut world = World::new(&upstream.base());
    let roles = vec![RoleName::parse("worker").unwrap()];
    let delegation = Some(DelegationUse { roles, children: 9 });
    let second = world.attempt("b2", "write", 1);
    world.policy.attempts.push(second);
    for attempt in &mut world.policy.attempts {
        attempt.delegation.clone_from(&delegation);
    }
    let requests = |requests| Ceilings { requests: Some(requests), ..Ceilings::default() };
    // Of twelve, four were given away before.
    (world.policy.ceilings, world.policy.given) = (requests(12), requests(4));
    world.policy.attempts[1].ceilings = requests(3);
    let world = world.start();
    assert_eq!(world.say("hi").status, 200);
    world.records(&Kind::LlmResponse, 1);
    let ask = |socket: &str, requests: Value| {
        let body = json!({"role": "worker", "task": "Look", "requests": requests}).to_string();
        let answer = request(&world.socket(socket), "POST", "/taskforge/v1/children", body.as_bytes());
        (answer.status, answer.json()["error"]["left"].clone())
    };
    let own = world.policy.attempts[0].socket.clone();
    assert_eq!(ask(&own, json!(8)), (429, json!(7)), "one was made");
    assert_eq!(ask("b2", json!(4)), (429, json!(3)), "its node has no more");
    assert_eq!(ask("b2", json!(3)), (202, Value::Null));
    assert_eq!(ask(&own, json!(5)), (429, json!(4)), "what another node is about to give is the run's");
    assert_eq!(ask(&own, Value::Null), (202, Value::Null));
    let mut messages: Vec<_> =
        Inbox::of(&world.dir()).list().unwrap().into_iter().map(|f| f.message.unwrap()).collect();
    messages.sort_by(|a, b| a.id.cmp(&b.id));
    let taken = |requests: u64, tokens: u64| json!({"requests": requests, "tokens": tokens, "money": 0});
    assert_eq!(messages[0].body["taken"], json!({"run": taken(1, 7), "node": taken(0, 0)}));
    assert_eq!(messages[1].body["taken"], json!({"run": taken(1, 7), "node": taken(1, 7)}));
    assert_eq!((&messages[0].body["requests"], &messages[1].body["requests"]), (&json!(3), &json!(2)));
}

#[test]
fn what_was_given_to_children_counts_as_taken_and_more_is_asked_for_of_the_whole() {
    let mut world = World::new("http://127.0.0.1:1/v1");
    let ceilings = |requests, tokens| Ceilings { requests, tokens, money: None };
    (world.policy.ceilings, world.policy.given) = (ceilings(Some(10), None), ceilings(Some(10), None));
    let mut world = world.start();
    let refused = world.say("hi").json()["error"].clone();
    assert_eq!(refused["message"], "the models of this run have taken 10 of 10 requests");
    assert_eq!(refused["capability"], "budget:requests=20");
    (world.policy.ceilings, world.policy.given) = (Ceilings::default(), Ceilings::default());
    let own = &mut world.policy.attempts[0];
    (own.ceilings, own.given) = (ceilings(None, Some(100)), ceilings(None, Some(100)));
    world.apply();
    assert_eq!(world.say("hi").json()["error"]["capability"], "budget:agent,tokens=200");
}
