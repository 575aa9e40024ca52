//! A run's gate folder, a gate in this process, and what a test does with them.

use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use taskforge::gate::records::{Bodies, Kind, Record, Traffic, read};
use taskforge::gate::{
    Attempt, Brief, Ceilings, Endpoint, Error, GateOptions, Limits, ModelRule, Policy, ProviderSpec, Status,
    serve_until,
};
use taskforge::run::id::{NodeId, RunId};
use tempfile::TempDir;
use tokio::sync::oneshot;

use super::http::{Answer, Client, request};

pub const KEY: &str = "sk-test-5up3r-s3cr3t";

type Ending = JoinHandle<Result<(), Error>>;

/// Everything around one gate.
pub struct World {
    pub root: TempDir,
    pub policy: Policy,
    /// Where gates that are of one registry count together.
    pub spent: PathBuf,
    gate: Option<(oneshot::Sender<()>, Ending)>,
}

impl World {
    /// Folders and a policy with one attempt of the node `gather`; `upstream` serves every model but `recorded`.
    pub fn new(upstream: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        for folder in ["gate", "gate/sockets", "gate/replay", "kill", "secrets", "spent"] {
            std::fs::create_dir(root.path().join(folder)).unwrap();
        }
        std::fs::write(root.path().join("secrets/keys.json"), json!({ "up": KEY }).to_string()).unwrap();
        let mut policy = Policy::new("01JD2Z3V5Q8M4K7N9P1R2S3T4V", RunId::parse("demo-1").unwrap());
        policy.generation = 1;
        policy.providers.insert("recorded".into(), ProviderSpec::Replay { transcript: "replay/recorded.jsonl".into() });
        policy.providers.insert("up".into(), ProviderSpec::Openai(endpoint(upstream)));
        for (pattern, provider) in [("recorded", "recorded"), ("*", "up")] {
            policy.models.push(ModelRule::new(pattern, provider));
        }
        let spent = root.path().join("spent");
        let mut world = Self { root, policy, spent, gate: None };
        let attempt = world.attempt("a1", "gather", 1);
        world.policy.attempts.push(attempt);
        world
    }

    /// An attempt with a socket folder of its own; not yet in the policy.
    pub fn attempt(&self, socket: &str, node: &str, attempt: u32) -> Attempt {
        std::fs::create_dir_all(self.dir().join("sockets").join(socket)).unwrap();
        Attempt {
            role: None,
            under: Vec::new(),
            memory: None,
            delegation: None,
            children: Vec::new(),
            socket: socket.into(),
            node: NodeId::parse(node).unwrap(),
            attempt,
            deadline: chrono::Utc::now() + chrono::Duration::hours(1),
            models: vec!["recorded".into(), "m*".into()],
            grants: Vec::new(),
            actions: Vec::new(),
            limits: Limits::default(),
            ceilings: Ceilings::default(),
            given: Ceilings::default(),
            brief: Brief { prompt: "do it".into(), model: "m".into(), ..Brief::default() },
            requests: Vec::new(),
            publish: None,
        }
    }

    pub fn dir(&self) -> PathBuf {
        self.root.path().join("gate")
    }

    pub fn socket(&self, name: &str) -> PathBuf {
        self.dir().join("sockets").join(name).join("gate.sock")
    }

    pub fn options(root: &Path) -> GateOptions {
        let mut options = GateOptions::new(root.join("gate"), root.join("kill"), root.join("secrets"));
        options.bundle = root.join("no-bundle");
        options.version = Some("0123456789ab".into());
        let settles = std::fs::read_to_string(root.join("settles")).ok();
        options.settles = Duration::from_millis(settles.map_or(60_000, |text| text.parse().unwrap()));
        options
    }

    /// Starts a gate on the folder and does not wait for it.
    pub fn launch(&mut self) {
        let (stop, stopped) = oneshot::channel();
        let mut options = Self::options(self.root.path());
        options.spent = self.spent.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(serve_until(options, async {
                let _ = stopped.await;
            }))
        });
        self.gate = Some((stop, thread));
    }

    /// Writes the policy, starts a gate and waits until the policy is in force.
    pub fn start(mut self) -> Self {
        self.policy.write(&self.dir()).unwrap();
        self.launch();
        self.wait_in_force();
        self
    }

    pub fn stop(&mut self) {
        let (stop, thread) = self.gate.take().unwrap();
        let _ = stop.send(());
        thread.join().unwrap().unwrap();
    }

    pub fn restart(&mut self) {
        self.stop();
        std::fs::remove_file(self.dir().join("status.json")).unwrap();
        self.launch();
        self.wait_in_force();
    }

    /// How the gate ended by itself.
    pub fn join(&mut self) -> Result<(), Error> {
        self.gate.take().unwrap().1.join().unwrap()
    }

    pub fn status(&self) -> Option<Status> {
        Status::read(&self.dir()).unwrap()
    }

    /// Puts the policy into force as the next generation, and waits until the gate says so.
    pub fn apply(&mut self) {
        self.policy.generation += 1;
        self.policy.write(&self.dir()).unwrap();
        self.wait_in_force();
    }

    pub fn wait_in_force(&self) {
        let generation = self.policy.generation;
        wait("the policy to be in force", || {
            self.status().is_some_and(|s| s.generation == generation && s.error.is_none())
        });
    }

    pub fn kill(&self) {
        std::fs::write(self.root.path().join("kill/lock.json"), r#"{"killed": true, "reason": "test"}"#).unwrap();
    }

    pub fn client(&self) -> Client {
        Client::connect(&self.socket("a1")).unwrap()
    }

    pub fn get(&self, path: &str) -> Answer {
        request(&self.socket("a1"), "GET", path, b"")
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        request(&self.socket("a1"), "POST", path, body.to_string().as_bytes())
    }

    pub fn chat(&self, body: &Value) -> Answer {
        self.post("/v1/chat/completions", body)
    }

    /// A chat request with one user message.
    pub fn say(&self, text: &str) -> Answer {
        self.chat(&chat(text))
    }

    pub fn traffic(&self) -> Traffic {
        read(&self.dir().join("traffic.jsonl"), &self.policy.run).unwrap()
    }

    pub fn bodies(&self) -> Bodies {
        Bodies::of(&self.dir())
    }

    pub fn body(&self, record: &Record) -> Vec<u8> {
        self.bodies().load(&record.body().unwrap()).unwrap()
    }

    /// Waits for `count` records of a kind and returns them.
    pub fn records(&self, kind: &Kind, count: usize) -> Vec<Record> {
        wait(&format!("{count} {kind}"), || self.traffic().of(kind).count() >= count);
        let found: Vec<Record> = self.traffic().of(kind).cloned().collect();
        assert_eq!(found.len(), count, "{found:?}");
        found
    }

    /// Every file under the run's folder but the secrets, with its contents.
    pub fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        fn walk(folder: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_dir() {
                    walk(&entry.path(), found);
                } else if entry.file_type().unwrap().is_file() {
                    found.push((entry.path(), std::fs::read(entry.path()).unwrap()));
                }
            }
        }
        let mut found = Vec::new();
        walk(&self.dir(), &mut found);
        found
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.gate.take() {
            let _ = stop.send(());
            let _ = thread.join();
        }
    }
}

/// An upstream with a key.
pub fn endpoint(base: &str) -> Endpoint {
    Endpoint { base_url: base.into(), key: Some("up".into()), timeout_ms: Some(60_000) }
}

/// A chat request for the model `m`.
pub fn chat(text: &str) -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": text}]})
}

/// A completion with `content`.
pub fn completion(content: &str) -> Value {
    json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}})
}

/// Waits until `condition` holds; fails after a minute, which no test should come near.
pub fn wait(what: &str, mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < until, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
