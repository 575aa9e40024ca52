//! Asking, waiting, and what else goes into the inbox.

use serde_json::{Value, json};
use taskforge::gate::{Answer, CapabilityRequest, Inbox, InboxKind, Message, RequestStatus};
use taskforge::run::id::RequestId;

use super::http::{Client, request};
use super::world::{World, wait};

fn world() -> World {
    World::new("http://127.0.0.1:1/v1")
}

fn ask(world: &World, capability: &str) -> (u16, Value) {
    let answer = world.post("/taskforge/v1/capabilities", &json!({"capability": capability, "reason": "charts"}));
    (answer.status, answer.json())
}

fn inbox(world: &World) -> Vec<Message> {
    Inbox::of(&world.dir()).list().unwrap().into_iter().map(|found| found.message.unwrap()).collect()
}

fn known(id: &str, capability: &str, status: RequestStatus) -> CapabilityRequest {
    let answer = (status != RequestStatus::Pending).then(|| Answer {
        comment: Some("as you wish".into()),
        by: Some("operator:ada".into()),
        granted: vec!["pip:pygal==3.0.5".into()],
        ..Answer::default()
    });
    let (id, capability) = (RequestId::parse(id).unwrap(), capability.into());
    CapabilityRequest { id, capability, deploy: None, schedule: None, status, answer }
}

#[test]
fn a_request_is_one_durable_message() {
    let world = world().start();
    let (status, answer) = ask(&world, "pip:PyGal");
    assert_eq!((status, answer["status"].as_str()), (202, Some("pending")));
    let messages = inbox(&world);
    assert_eq!(messages.len(), 1);
    assert_eq!(Some(messages[0].id.as_str()), answer["id"].as_str());
    assert_eq!(
        (messages[0].kind, messages[0].node.as_str(), messages[0].attempt),
        (InboxKind::Capability, "gather", 1)
    );
    assert_eq!(Value::Object(messages[0].body.clone()), json!({"capability": "pip:pygal", "reason": "charts"}));
}

#[test]
fn equal_requests_are_one_also_at_once_and_after_a_restart() {
    let mut world = world().start();
    let mut ids: Vec<String> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..8).map(|_| scope.spawn(|| ask(&world, "pip:pygal").1["id"].to_string())).collect();
        asking.into_iter().map(|a| a.join().unwrap()).collect()
    });
    world.restart();
    ids.push(ask(&world, "pip:PYGAL").1["id"].to_string());
    assert_eq!(inbox(&world).len(), 1);
    // The host takes the message up: now the policy knows it.
    let message = inbox(&world).remove(0);
    world.policy.attempts[0].requests.push(known(message.id.as_str(), "pip:pygal", RequestStatus::Pending));
    world.apply();
    std::fs::remove_file(world.dir().join("inbox").join(format!("{}.json", message.id))).unwrap();
    let (status, again) = ask(&world, "pip:pygal");
    assert_eq!(status, 202);
    ids.push(again["id"].to_string());
    ids.dedup();
    assert_eq!(ids.len(), 1, "{ids:?}");
    assert!(inbox(&world).is_empty());
}

#[test]
fn whoever_else_asks_joins_the_request() {
    let mut world = world();
    let other = world.attempt("b2", "analyse", 1);
    world.policy.attempts.push(other);
    let mut world = world.start();
    let first = ask(&world, "pip:pygal").1["id"].as_str().unwrap().to_owned();
    let body = json!({"capability": "pip:PyGal"}).to_string();
    let join = |socket: &std::path::Path| request(socket, "POST", "/taskforge/v1/capabilities", body.as_bytes());
    for _ in 0..2 {
        let joined = join(&world.socket("b2"));
        assert_eq!((joined.status, joined.json()["id"].as_str()), (202, Some(first.as_str())));
    }
    let messages = inbox(&world);
    // In the order in which they were asked, so that the first gives the request its id.
    assert_eq!(messages.iter().map(|m| m.node.as_str()).collect::<Vec<_>>(), ["gather", "analyse"]);
    assert_eq!(messages[0].id.as_str(), first);
    // A later attempt of the same node waits for it, too.
    for message in messages {
        std::fs::remove_file(world.dir().join("inbox").join(format!("{}.json", message.id))).unwrap();
    }
    let mut second = world.attempt("c3", "gather", 2);
    second.requests = vec![known(&first, "pip:pygal", RequestStatus::Pending)];
    world.policy.attempts = vec![second];
    world.apply();
    assert_eq!(join(&world.socket("c3")).json()["id"].as_str(), Some(first.as_str()));
    assert_eq!(inbox(&world).iter().map(|m| m.attempt).collect::<Vec<_>>(), [2]);
}

#[test]
fn what_came_after_the_container_is_waited_for() {
    let mut world = world().start();
    let id = "01JD2Z3V5Q8M4K7N9P1R2S3T4V";
    for status in [RequestStatus::Approved, RequestStatus::Applied] {
        world.policy.attempts[0].requests = vec![known(id, "pip:pygal", status)];
        world.apply();
        let (code, answer) = ask(&world, "pip:pygal");
        assert_eq!((code, answer["status"].as_str(), answer["id"].as_str()), (202, Some("pending"), Some(id)));
    }
    assert_eq!(inbox(&world).len(), 1);
    // The next attempt was made with it.
    let mut second = world.attempt("b2", "gather", 2);
    second.requests = world.policy.attempts[0].requests.clone();
    world.policy.attempts = vec![second];
    world.apply();
    let body = json!({"capability": "pip:pygal"}).to_string();
    let answer = request(&world.socket("b2"), "POST", "/taskforge/v1/capabilities", body.as_bytes());
    assert_eq!((answer.status, answer.json()["status"].as_str()), (200, Some("applied")));
    assert_eq!(inbox(&world).len(), 1);
}

#[test]
fn the_host_reads_what_the_gate_wrote() {
    let world = world().start();
    ask(&world, "pip:pygal");
    let mut deep = json!(1);
    for _ in 0..22 {
        deep = json!([deep]);
    }
    assert_eq!(world.post("/taskforge/v1/result", &json!({ "deep": deep })).status, 202);
    let large: String = (0..60_000).map(|n| char::from_u32(0x80 + n % 0x700).unwrap()).collect();
    assert_eq!(world.post("/taskforge/v1/result", &json!({ "large": large })).status, 202);
    assert_eq!(world.post("/taskforge/v1/progress", &json!({"message": "\u{7f}\u{0}\u{2028}"})).status, 202);
    let read = taskforge::registry::inbox::read(&taskforge::registry::RunLayout::new(world.root.path())).unwrap();
    assert!(read.rejected.is_empty(), "{:?}", read.rejected);
    assert_eq!(read.messages.len(), 4);
    for _ in 0..3 {
        deep = json!([deep]);
    }
    assert_eq!(world.post("/taskforge/v1/result", &json!({ "deep": deep })).status, 400);
}

#[test]
fn a_decided_request_is_answered_with_its_decision() {
    let mut world = world();
    let id = "01JD2Z3V5Q8M4K7N9P1R2S3T4V";
    world.policy.attempts[0].requests = vec![known(id, "pip:pygal", RequestStatus::Denied)];
    let world = world.start();
    let (status, answer) = ask(&world, "pip:pygal");
    assert_eq!((status, answer["status"].as_str(), answer["id"].as_str()), (200, Some("denied"), Some(id)));
    assert_eq!(answer["answer"]["comment"], "as you wish");
    assert!(inbox(&world).is_empty());
}

#[test]
fn a_wait_ends_with_the_decision() {
    let mut world = world().start();
    let id = ask(&world, "pip:pygal").1["id"].as_str().unwrap().to_owned();
    let path = format!("/taskforge/v1/capabilities/{id}");
    let now = world.get(&path).json();
    assert_eq!(now, json!({"id": id, "capability": "pip:pygal", "status": "pending", "answer": null}));
    let mut waiting = Client::connect(&world.socket("a1")).unwrap();
    waiting.send("GET", &format!("{path}?wait=60s"), "", b"");
    // Taken up by the host, still pending: the wait goes on.
    world.policy.attempts[0].requests = vec![known(&id, "pip:pygal", RequestStatus::Pending)];
    world.apply();
    world.policy.attempts[0].requests = vec![known(&id, "pip:pygal", RequestStatus::Applied)];
    world.apply();
    let answer = waiting.answer().unwrap().json();
    assert_eq!(answer["status"], "applied");
    assert_eq!(
        answer["answer"],
        json!({"comment": "as you wish", "by": "operator:ada", "granted": ["pip:pygal==3.0.5"]})
    );
}

#[test]
fn a_wait_without_a_decision_ends_pending() {
    let world = world().start();
    let id = ask(&world, "pip:pygal").1["id"].as_str().unwrap().to_owned();
    assert_eq!(world.get(&format!("/taskforge/v1/capabilities/{id}?wait=1")).json()["status"], "pending");
    let unknown = world.get("/taskforge/v1/capabilities/01JD2Z3V5Q8M4K7N9P1R2S3T4V?wait=30s");
    assert_eq!((unknown.status, unknown.code().as_str()), (404, "not_found"));
    assert_eq!(world.get(&format!("/taskforge/v1/capabilities/{id}?wait=soon")).status, 400);
}

#[test]
fn what_is_no_package_is_refused_with_the_rule() {
    let world = world().start();
    for text in ["", "pygal", "pip:", "pip:a b", "pip:x; rm -rf /", "apt:../x", "pip:x>=1", "magic:wand"] {
        let (status, answer) = ask(&world, text);
        assert_eq!(status, 422, "{text}: {answer}");
        assert!(!answer["error"]["message"].as_str().unwrap().is_empty());
    }
    assert!(inbox(&world).is_empty());
}

#[test]
fn a_node_can_ask_only_so_often() {
    let mut world = world();
    world.policy.attempts[0].limits.capability_requests = 3;
    world.policy.attempts[0].requests = vec![known("01JD2Z3V5Q8M4K7N9P1R2S3T4V", "pip:pygal", RequestStatus::Denied)];
    let mut world = world.start();
    assert_eq!(ask(&world, "pip:one").0, 202);
    world.restart();
    assert_eq!(ask(&world, "pip:two").0, 202);
    let (status, answer) = ask(&world, "pip:three");
    assert_eq!((status, answer["error"]["code"].as_str()), (429, Some("budget_exhausted")));
    assert_eq!(ask(&world, "pip:two").0, 202);
}

#[test]
fn progress_and_results_are_bounded_messages() {
    let mut world = world().start();
    assert_eq!(world.post("/taskforge/v1/progress", &json!({"message": "half-way"})).status, 202);
    assert_eq!(world.post("/taskforge/v1/result", &json!({"summary": "done"})).status, 202);
    let messages = inbox(&world);
    assert_eq!(messages.iter().map(|m| m.kind).collect::<Vec<_>>(), [InboxKind::Progress, InboxKind::Result]);
    assert_eq!(messages[1].body["summary"], "done");
    assert_eq!(world.post("/taskforge/v1/progress", &json!({"message": "x".repeat(4097)})).status, 400);
    let large = world.post("/taskforge/v1/result", &json!({"summary": "x".repeat(256 << 10)}));
    assert_eq!((large.status, large.code().as_str()), (413, "too_large"));
    world.restart();
    let mut statuses: Vec<u16> = (0..20).map(|n| world.post("/taskforge/v1/result", &json!({"n": n})).status).collect();
    assert_eq!(statuses.pop(), Some(429));
    assert!(statuses.iter().all(|s| *s == 202));
}

#[test]
fn what_was_not_finished_is_not_in_the_inbox() {
    let world = world();
    std::fs::create_dir(world.dir().join("inbox")).unwrap();
    std::fs::write(world.dir().join("inbox/.tmp-01JD2Z3V5Q8M4K7N9P1R2S3T4V"), "{\"half").unwrap();
    std::fs::write(world.dir().join("inbox/01JD2Z3V5Q8M4K7N9P1R2S3T4V.json"), "{\"format\":1").unwrap();
    let world = world.start();
    let listed = Inbox::of(&world.dir()).list().unwrap();
    assert_eq!(listed.len(), 1);
    assert!(listed[0].message.is_err());
    wait("the rest to be cleaned", || std::fs::read_dir(world.dir().join("inbox")).unwrap().count() == 1);
}
