//! What is in force: generations, revocation, deadlines, policies that are not understood, the kill switch.

use std::sync::{Mutex, mpsc};

use serde_json::json;
use taskforge::gate::Error;
use taskforge::gate::records::Kind;

use super::http::{Client, request};
use super::upstream::Upstream;
use super::world::{World, chat, completion, wait};

/// An upstream that streams one piece and then waits to be cut.
fn endless() -> (Upstream, mpsc::Receiver<()>) {
    let (cut, was_cut) = mpsc::channel();
    let cut = Mutex::new(cut);
    let upstream = Upstream::start(move |_, wire| {
        wire.stream_head();
        wire.chunk("data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n");
        wire.wait_until_cut();
        cut.lock().unwrap().send(()).unwrap();
    });
    (upstream, was_cut)
}

/// A client in the middle of a streamed answer.
fn mid_stream(world: &World) -> Client {
    let mut client = world.client();
    client.send("POST", "/v1/chat/completions", "", chat("hi").to_string().as_bytes());
    client.head().unwrap();
    client.chunk().unwrap().unwrap();
    client
}

#[test]
fn a_greeting_says_who_one_is() {
    let world = World::new("http://127.0.0.1:1/v1").start();
    let hello = world.get("/taskforge/v1/hello");
    assert_eq!(hello.json(), json!({"run": "demo-1", "node": "gather", "attempt": 1, "generation": 1}));
    let brief = world.get("/taskforge/v1/brief").json();
    assert_eq!((brief["prompt"].as_str(), brief["model"].as_str()), (Some("do it"), Some("m")));
    let status = world.status().unwrap();
    assert_eq!((status.format, status.version.as_str(), status.error), (1, "0123456789ab", None));
}

#[test]
fn a_revoked_attempt_is_cut_before_its_generation_stands() {
    let (upstream, was_cut) = endless();
    let mut world = World::new(&upstream.base()).start();
    let mut client = mid_stream(&world);
    world.policy.attempts.clear();
    world.apply();
    // The status says so only after the fact.
    assert!(!world.socket("a1").exists());
    assert!(Client::connect(&world.socket("a1")).is_err());
    was_cut.recv().unwrap();
    assert!(client.chunk().is_err());
    let aborted = &world.records(&Kind::LlmAborted, 1)[0];
    assert_eq!(aborted.text("reason"), Some("closed"));
}

#[test]
fn a_model_taken_away_cuts_what_uses_it_and_a_wider_grant_does_not() {
    let (upstream, was_cut) = endless();
    let mut world = World::new(&upstream.base()).start();
    let mut client = mid_stream(&world);
    world.policy.attempts[0].models.push("n".into());
    world.apply();
    assert!(was_cut.try_recv().is_err());
    world.policy.attempts[0].models = vec!["n".into()];
    world.apply();
    was_cut.recv().unwrap();
    assert!(client.chunk().is_err());
    assert_eq!(world.say("hi").code(), "model_not_granted");
}

#[test]
fn a_deadline_closes_the_socket() {
    let (upstream, was_cut) = endless();
    let mut world = World::new(&upstream.base()).start();
    let mut client = mid_stream(&world);
    world.policy.attempts[0].deadline = chrono::Utc::now() + chrono::Duration::milliseconds(300);
    world.apply();
    wait("the socket to close", || !world.socket("a1").exists());
    was_cut.recv().unwrap();
    assert!(client.ended());
    world.records(&Kind::LlmAborted, 1);
}

#[test]
fn an_attempt_past_its_deadline_gets_no_socket() {
    let mut world = World::new("http://127.0.0.1:1/v1");
    world.policy.attempts[0].deadline = chrono::Utc::now() - chrono::Duration::seconds(1);
    let world = world.start();
    assert!(!world.socket("a1").exists());
}

#[test]
fn a_policy_that_is_not_understood_denies_everything_and_keeps_its_generation() {
    let (upstream, was_cut) = endless();
    let mut world = World::new(&upstream.base()).start();
    let mut client = mid_stream(&world);
    let file = world.dir().join("policy.json");
    for bad in ["", "{", "{\"format\":2}", &"x".repeat(5 << 20)] {
        std::fs::write(&file, bad).unwrap();
        wait("the error", || world.status().unwrap().error.is_some());
        assert_eq!(world.status().unwrap().generation, 1);
        let hello = world.get("/taskforge/v1/hello");
        assert_eq!((hello.status, hello.code().as_str()), (403, "not_granted"));
        assert_eq!(world.say("hi").code(), "not_granted");
        world.policy.write(&world.dir()).unwrap();
        world.wait_in_force();
    }
    was_cut.recv().unwrap();
    assert!(client.chunk().is_err());
    std::fs::remove_file(&file).unwrap();
    wait("the error", || world.status().unwrap().error.is_some());
    assert_eq!(world.get("/taskforge/v1/hello").status, 403);
    world.apply();
    assert_eq!(world.get("/taskforge/v1/hello").status, 200);
    assert_eq!(upstream.got().len(), 1);
}

#[test]
fn a_policy_of_another_run_is_not_taken() {
    let world = World::new("http://127.0.0.1:1/v1").start();
    let mut other = world.policy.clone();
    other.run = taskforge::run::id::RunId::parse("other").unwrap();
    other.generation = 9;
    other.write(&world.dir()).unwrap();
    wait("the error", || world.status().unwrap().error.is_some_and(|e| e.contains("other")));
    assert_eq!(world.status().unwrap().generation, 1);
    assert_eq!(world.get("/taskforge/v1/hello").status, 403);
}

#[test]
fn a_gate_without_a_policy_waits_for_one() {
    let mut world = World::new("http://127.0.0.1:1/v1");
    world.launch();
    wait("the status", || world.status().is_some_and(|s| s.error.is_some()));
    assert_eq!(world.status().unwrap().generation, 0);
    assert!(!world.socket("a1").exists());
    world.apply();
    assert_eq!(world.get("/taskforge/v1/hello").status, 200);
}

#[test]
fn what_an_earlier_gate_said_is_not_believed() {
    let mut world = World::new("http://127.0.0.1:1/v1").start();
    world.stop();
    assert_eq!(world.status().unwrap().generation, 1);
    std::fs::remove_file(world.dir().join("policy.json")).unwrap();
    world.launch();
    wait("the new gate's status", || world.status().unwrap().generation == 0);
}

#[test]
fn a_gate_that_cannot_start_leaves_no_old_promise_standing() {
    let mut world = World::new("http://127.0.0.1:1/v1").start();
    world.stop();
    std::fs::write(world.dir().join("traffic.jsonl"), "{}\n").unwrap();
    world.launch();
    assert!(matches!(world.join(), Err(Error::Integrity { .. })));
    assert_eq!(world.status().unwrap().generation, 0);
}

#[test]
fn a_missing_socket_folder_is_said_and_made_good() {
    let mut world = World::new("http://127.0.0.1:1/v1").start();
    let mut other = world.attempt("b2", "analyse", 1);
    other.socket = "c3".into();
    world.policy.attempts.push(other);
    world.policy.generation = 2;
    world.policy.write(&world.dir()).unwrap();
    wait("the error", || world.status().unwrap().error.is_some_and(|e| e.contains("c3")));
    assert_eq!(world.status().unwrap().generation, 1);
    assert_eq!(world.get("/taskforge/v1/hello").status, 200);
    std::fs::create_dir(world.dir().join("sockets/c3")).unwrap();
    world.wait_in_force();
}

#[test]
fn what_is_no_socket_is_not_removed() {
    let world = World::new("http://127.0.0.1:1/v1");
    std::fs::write(world.socket("a1"), "precious").unwrap();
    world.policy.write(&world.dir()).unwrap();
    let mut world = world;
    world.launch();
    wait("the error", || world.status().is_some_and(|s| s.error.is_some_and(|e| e.contains("not a socket"))));
    assert_eq!(std::fs::read_to_string(world.socket("a1")).unwrap(), "precious");
}

#[test]
fn sockets_are_for_everyone_who_has_their_folder() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::new("http://127.0.0.1:1/v1").start();
    assert_eq!(std::fs::metadata(world.socket("a1")).unwrap().permissions().mode() & 0o777, 0o666);
}

#[test]
fn the_kill_switch_cuts_what_is_open_and_refuses_what_is_new() {
    let (upstream, was_cut) = endless();
    let world = World::new(&upstream.base()).start();
    let mut client = mid_stream(&world);
    world.kill();
    was_cut.recv().unwrap();
    assert!(client.chunk().is_err());
    for answer in [world.get("/taskforge/v1/hello"), world.say("hi"), world.get("/nowhere")] {
        assert_eq!((answer.status, answer.code().as_str()), (423, "killed"));
    }
    let mut tunnel = world.client();
    tunnel.write(b"CONNECT a.example:443 HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    assert_eq!(tunnel.answer().unwrap().status, 423);
    assert_eq!(upstream.got().len(), 1);
    assert_eq!(world.records(&Kind::LlmAborted, 1)[0].text("reason"), Some("killed"));
    // Unlocked, the gate goes on.
    std::fs::remove_file(world.root.path().join("kill/lock.json")).unwrap();
    assert_eq!(world.get("/taskforge/v1/hello").status, 200);
}

#[test]
fn a_kill_file_counts_when_the_preallocated_one_takes_its_name() {
    let (upstream, was_cut) = endless();
    let world = World::new(&upstream.base());
    let file = world.root.path().join("kill/lock.json");
    let spare = world.root.path().join("kill/spare");
    std::fs::write(&spare, [b' '; 4096]).unwrap();
    let world = world.start();
    let mut client = mid_stream(&world);
    std::fs::rename(&spare, &file).unwrap();
    was_cut.recv().unwrap();
    assert!(client.ended());
    assert_eq!(world.get("/taskforge/v1/hello").status, 423);
}

#[test]
fn a_gate_that_starts_killed_greets_nobody() {
    let world = World::new("http://127.0.0.1:1/v1");
    world.kill();
    let world = world.start();
    assert_eq!(world.get("/taskforge/v1/hello").status, 423);
}

#[test]
fn without_a_kill_folder_there_is_no_gate() {
    let mut world = World::new("http://127.0.0.1:1/v1");
    std::fs::remove_dir(world.root.path().join("kill")).unwrap();
    world.launch();
    assert!(matches!(world.join(), Err(Error::NoKillFolder { .. })));
}

#[test]
fn iterations_are_counted_over_attempts_and_restarts() {
    let upstream = Upstream::start(|_, wire| wire.json(completion("ok").to_string()));
    let mut world = World::new(&upstream.base());
    world.policy.attempts[0].limits.llm_requests = 3;
    let mut world = world.start();
    assert_eq!(world.say("one").status, 200);
    assert_eq!(world.say("two").status, 200);
    let mut second = world.attempt("b2", "gather", 2);
    second.limits.llm_requests = 3;
    let other = world.attempt("c3", "analyse", 1);
    world.policy.attempts = vec![second, other];
    world.policy.write(&world.dir()).unwrap();
    world.restart();
    let say =
        |socket: &str| request(&world.socket(socket), "POST", "/v1/chat/completions", chat("x").to_string().as_bytes());
    assert_eq!(say("b2").status, 200);
    let over = say("b2");
    assert_eq!((over.status, over.code().as_str()), (429, "iterations_exhausted"));
    assert_eq!(say("c3").status, 200);
    assert_eq!(upstream.got().len(), 4);
}

#[test]
fn parallel_requests_do_not_pass_the_limit() {
    let upstream = Upstream::start(|_, wire| wire.json(completion("ok").to_string()));
    let mut world = World::new(&upstream.base());
    world.policy.attempts[0].limits.llm_requests = 5;
    let world = world.start();
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..20).map(|_| scope.spawn(|| world.say("x").status)).collect();
        asking.into_iter().map(|a| a.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|s| **s == 200).count(), 5);
    assert_eq!(upstream.got().len(), 5);
}
