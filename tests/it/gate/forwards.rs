//! Where the shim offers what is granted as `tcp:`, as the gate tells it.

use serde_json::{Value, json};
use taskforge::gate::{Answer as Decided, CapabilityRequest, Grant, RequestStatus};
use taskforge::run::capability::Capability;
use taskforge::run::id::RequestId;

use super::http::request;
use super::world::World;

const REQUESTS: [&str; 4] = [
    "01JD2Z3V5Q8M4K7N9P1R2S3T4V",
    "01JD2Z3V5Q8M4K7N9P1R2S3T4W",
    "01JD2Z3V5Q8M4K7N9P1R2S3T4X",
    "01JD2Z3V5Q8M4K7N9P1R2S3T4Y",
];

fn grants(capabilities: &[&str]) -> Vec<Grant> {
    let grant = |(request, capability): (&&str, &&str)| Grant {
        request: RequestId::parse(request).unwrap(),
        capability: Capability::parse(capability).unwrap(),
        until: None,
    };
    REQUESTS.iter().zip(capabilities).map(grant).collect()
}

fn listed(world: &World) -> Value {
    world.get("/taskforge/v1/forwards").json()
}

#[test]
fn each_granted_host_has_an_address_of_its_own_and_keeps_it() {
    let mut world = World::new("http://127.0.0.1:1/v1");
    world.policy.attempts[0].grants =
        grants(&["tcp:a.internal:5432", "tcp:b.internal:5432", "net:c.internal:443", "tcp:d.internal:4180"]);
    let mut world = world.start();
    let forwards = json!([
        {"listen": "127.0.0.1:5432", "target": "a.internal:5432"},
        {"listen": "127.0.0.2:5432", "target": "b.internal:5432"},
        // The gate itself has this port at 127.0.0.1.
        {"listen": "127.0.0.2:4180", "target": "d.internal:4180"},
    ]);
    assert_eq!(listed(&world)["forwards"], forwards);
    // The second stays where clients have found it when the first goes, and when it comes back.
    world.policy.attempts[0].grants.remove(0);
    world.apply();
    assert_eq!(listed(&world)["forwards"], json!([forwards[1], forwards[2]]));
    world.policy.attempts[0].grants.insert(0, grants(&["tcp:a.internal:5432"]).remove(0));
    world.apply();
    assert_eq!(listed(&world)["forwards"], forwards);
}

#[test]
fn a_shim_that_waits_is_told_of_a_change_and_of_nothing_else() {
    let mut world = World::new("http://127.0.0.1:1/v1").start();
    let empty = listed(&world);
    let path = format!("/taskforge/v1/forwards?wait=60s&opened={}", empty["list"].as_str().unwrap());
    let socket = world.socket("a1");
    let waiting = std::thread::spawn(move || request(&socket, "GET", &path, b"").json());
    // Another generation with the same forwards is no news.
    world.policy.attempts[0].models.push("n".into());
    world.apply();
    assert!(!waiting.is_finished());
    world.policy.attempts[0].grants = grants(&["tcp:a.internal:5432"]);
    world.apply();
    let told = waiting.join().unwrap();
    assert_eq!(told["forwards"], json!([{"listen": "127.0.0.1:5432", "target": "a.internal:5432"}]));
    assert_ne!(told["list"], empty["list"]);
}

#[test]
fn an_approval_says_where_it_is_offered_once_it_is() {
    let mut world = World::new("http://127.0.0.1:1/v1").start();
    // There is a shim, and it has nothing open.
    let empty = listed(&world)["list"].as_str().unwrap().to_owned();
    let id = RequestId::parse(REQUESTS[0]).unwrap();
    let capability = "tcp:a.internal:5432".to_owned();
    let answer = Some(Decided { granted: vec![capability.clone()], ..Decided::default() });
    world.policy.attempts[0].requests = vec![CapabilityRequest {
        id,
        capability,
        deploy: None,
        schedule: None,
        status: RequestStatus::Approved,
        answer,
    }];
    world.apply();
    let path = format!("/taskforge/v1/capabilities/{}", REQUESTS[0]);
    // Approved, and not given to this attempt yet.
    assert_eq!(world.get(&path).json()["status"], "pending");
    world.policy.attempts[0].grants = grants(&["tcp:a.internal:5432"]);
    world.apply();
    let (socket, asked) = (world.socket("a1"), format!("{path}?wait=60s"));
    let waiting = std::thread::spawn(move || request(&socket, "GET", &asked, b"").json());
    // The shim opens the port and asks what is next: that says that it has.
    let next = world.get(&format!("/taskforge/v1/forwards?opened={empty}")).json();
    let opened = next["list"].as_str().unwrap();
    world.get(&format!("/taskforge/v1/forwards?opened={opened}"));
    let told = waiting.join().unwrap();
    assert_eq!((&told["status"], &told["listen"]), (&json!("approved"), &json!("127.0.0.1:5432")));
}
