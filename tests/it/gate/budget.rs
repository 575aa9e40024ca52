//! What the models of a run may take in all: counted over nodes and restarts, refused when it is spent, asked for once.

use serde_json::Value;
use taskforge::gate::records::Kind;
use taskforge::gate::{Attempt, CapabilityRequest, Ceilings, Inbox, Price, RequestStatus};
use taskforge::run::id::{RequestId, RunId};

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
        deploy: None,
        schedule: None,
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
    let price =
        Price { pattern: "m".into(), input: 1_000_000, output: 2_000_000, cached: 1_000_000, written: 2_000_000 };
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

#[test]
fn a_nodes_budget_is_its_own_over_attempts_and_leaves_the_others_alone() {
    let upstream = upstream();
    let mut world = world(&upstream, Ceilings::default());
    for attempt in &mut world.policy.attempts {
        attempt.ceilings = Ceilings { requests: Some(2), tokens: Some(7), money: None };
    }
    let mut world = world.start();
    told(&world, 1);
    let refused = error(&world.say("more"));
    assert_eq!(refused["message"], "this node has taken of models 7 of 7 tokens");
    assert_eq!(refused["capability"], "budget:agent,tokens=14");
    assert_eq!(write_says(&world).status, 200);
    // Its next attempt goes on where this one stopped.
    world.policy.attempts.remove(0);
    let next = world.attempt("c3", "gather", 2);
    world.policy.attempts.push(Attempt { ceilings: tokens(7), ..next });
    world.apply();
    let again = request(&world.socket("c3"), "POST", "/v1/chat/completions", chat("hi").to_string().as_bytes());
    assert_eq!(again.code(), "budget_exhausted");
    world.policy.attempts[1].ceilings = tokens(14);
    world.apply();
    let again = request(&world.socket("c3"), "POST", "/v1/chat/completions", chat("hi").to_string().as_bytes());
    assert_eq!(again.status, 200);
}

#[test]
fn ten_gates_at_once_do_not_pass_the_days_requests_together() {
    let upstream = upstream();
    let folder = tempfile::tempdir().unwrap();
    let ceiling = Ceilings { requests: Some(17), ..Ceilings::default() };
    let worlds: Vec<World> = (0..10).map(|number| of_a_day(&upstream, &folder, number, ceiling).start()).collect();
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let asking: Vec<_> = worlds
            .iter()
            .flat_map(|world| {
                let ask = move |node: usize| if node == 0 { world.say("hi").status } else { write_says(world).status };
                (0..4).map(move |number| scope.spawn(move || ask(number % 2)))
            })
            .collect();
        asking.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let count = |status: u16| statuses.iter().filter(|known| **known == status).count();
    assert_eq!((count(200), count(429)), (17, 23), "{statuses:?}");
    assert_eq!(upstream.got().len(), 17);
}

#[test]
fn what_one_gate_took_today_is_known_to_every_other_and_to_the_one_after_it() {
    let upstream = upstream();
    let folder = tempfile::tempdir().unwrap();
    let mut first = of_a_day(&upstream, &folder, 1, tokens(14)).start();
    let mut second = of_a_day(&upstream, &folder, 2, tokens(14)).start();
    told(&first, 1);
    first.restart();
    told(&second, 1);
    for world in [&first, &second] {
        let refused = world.say("more");
        assert_eq!((refused.status, refused.code()), (429, "budget_exhausted".into()));
        let error = error(&refused);
        assert_eq!(error["message"], "the models of all runs have taken today 14 of 14 tokens");
        assert_eq!(error["capability"], "budget:day,tokens=28");
        assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() <= 86_400);
        assert_eq!(refused.header("x-should-retry").as_deref(), Some("false"));
    }
    // More for one of them, which the others do not get.
    second.policy.day = tokens(28);
    second.apply();
    told(&second, 2);
    assert_eq!(first.say("more").code(), "budget_exhausted");
    // A gate whose records know better than what stands there.
    first.stop();
    second.stop();
    let day = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    std::fs::write(&day, b"").unwrap();
    std::fs::remove_file(first.dir().join("status.json")).unwrap();
    first.launch();
    first.wait_in_force();
    assert_eq!(first.say("one more").status, 200, "its own seven of fourteen are left of the day");
    first.records(&Kind::LlmResponse, 2);
    assert_eq!(first.say("more").code(), "budget_exhausted");
}

#[test]
fn a_day_that_cannot_be_counted_is_a_day_without_models() {
    let upstream = upstream();
    let folder = tempfile::tempdir().unwrap();
    let world = of_a_day(&upstream, &folder, 1, tokens(1000)).start();
    let today = chrono::Utc::now().date_naive().to_string();
    std::fs::write(folder.path().join(&today), [b'x'; 128]).unwrap();
    let refused = world.say("hi");
    assert_eq!((refused.status, refused.code()), (503, "budget_unknown".into()));
    assert!(upstream.got().is_empty());
    std::fs::write(folder.path().join(&today), b"").unwrap();
    assert_eq!(world.say("hi").status, 200);
}

/// A gate of one of the registry's runs, whose day's budget is `day`.
fn of_a_day(upstream: &Upstream, folder: &tempfile::TempDir, number: usize, day: Ceilings) -> World {
    let mut world = world(upstream, Ceilings::default());
    world.policy.run = RunId::parse(&format!("run-{number}")).unwrap();
    world.policy.day = day;
    world.spent = folder.path().to_owned();
    world
}

#[test]
fn an_agent_that_has_asked_for_all_it_may_does_not_keep_the_gate_from_asking() {
    let upstream = upstream();
    let mut world = world(&upstream, Ceilings { requests: Some(1), ..Ceilings::default() });
    world.policy.attempts[0].limits.capability_requests = 2;
    let world = world.start();
    for n in 0..3 {
        let asked = world
            .post("/taskforge/v1/capabilities", &serde_json::json!({"capability": format!("pip:a{n}"), "reason": "x"}));
        assert_eq!(asked.status, if n < 2 { 202 } else { 429 });
    }
    assert_eq!(world.say("hi").status, 200);
    let refused = world.say("more");
    assert_eq!((refused.status, refused.code()), (429, "budget_exhausted".into()));
    assert_eq!(error(&refused)["status"], "pending");
    assert!(asked(&world).contains(&("gather".to_owned(), "budget:requests=2".to_owned())), "{:?}", asked(&world));
}
