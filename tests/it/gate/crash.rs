//! A gate that is killed: in a process of its own, with the real signal.

use std::process::{Child, Command, Stdio};

use taskforge::gate::records::Kind;
use taskforge::gate::serve;

use super::upstream::Upstream;
use super::world::{World, chat, completion, wait};

const FOLDER: &str = "TASKFORGE_TEST_GATE";

/// Not a test of its own: this binary, started again, is the gate of the tests below.
#[test]
fn the_gate_in_a_process_of_its_own() {
    if let Some(root) = std::env::var_os(FOLDER) {
        serve(World::options(root.as_ref())).unwrap();
    }
}

/// A gate's process, ended with the test, however that ends.
pub struct Process(Child);

impl Process {
    pub fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn spawn(world: &World) -> Process {
    let _ = std::fs::remove_file(world.dir().join("status.json"));
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "gate::crash::the_gate_in_a_process_of_its_own"])
        .env(FOLDER, world.root.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let process = Process(child);
    world.wait_in_force();
    process
}

#[test]
fn a_killed_gate_leaves_its_request_unclosed_and_the_next_one_goes_on() {
    let upstream = Upstream::start(|got, wire| {
        if String::from_utf8_lossy(&got.body).contains("hang") {
            wire.wait_until_cut();
        } else {
            wire.json(completion("ok").to_string());
        }
    });
    let mut world = World::new(&upstream.base());
    world.policy.attempts[0].limits.llm_requests = 3;
    world.policy.write(&world.dir()).unwrap();
    let gate = spawn(&world);
    assert_eq!(world.say("one").status, 200);
    let mut client = world.client();
    client.send("POST", "/v1/chat/completions", "", chat("hang").to_string().as_bytes());
    wait("the upstream to have it", || upstream.got().len() == 2);
    // SIGKILL.
    drop(gate);
    assert!(client.ended());
    let traffic = world.traffic();
    assert_eq!(traffic.unclosed().len(), 1);
    assert_eq!(traffic.of(&Kind::LlmRequest).count(), upstream.got().len());

    // The stale socket is replaced, the count goes on, the conversation stands where it was.
    let _gate = spawn(&world);
    let conversation = world.get("/taskforge/v1/conversation").json();
    assert_eq!(conversation["messages"].as_array().unwrap().len(), 2);
    assert_eq!(world.say("three").status, 200);
    assert_eq!(world.say("four").code(), "iterations_exhausted");
    assert_eq!(world.traffic().unclosed().len(), 1);
}

#[test]
fn a_terminated_gate_closes_what_it_has_open() {
    let upstream = Upstream::start(|_, wire| wire.wait_until_cut());
    let world = World::new(&upstream.base());
    world.policy.write(&world.dir()).unwrap();
    let mut gate = spawn(&world);
    let mut client = world.client();
    client.send("POST", "/v1/chat/completions", "", chat("hang").to_string().as_bytes());
    wait("the upstream to have it", || upstream.got().len() == 1);
    let pid = rustix::process::Pid::from_child(&gate.0);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(gate.0.wait().unwrap().success());
    assert!(!world.socket("a1").exists());
    assert_eq!(world.records(&Kind::LlmAborted, 1).len(), 1);
}
