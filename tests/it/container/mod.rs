//! The container room against a real Engine.

mod images;
mod lifecycle;
mod output;
mod sealed;

use std::future::Future;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::time::Duration;

use taskforge::container::{
    AgentContainer, ContainerSpec, Engine, Finished, ImageRef, Labels, Network, Operator, Resources, Role, Users,
    name_for,
};
use taskforge::run::id::{NodeId, RunId};

pub const BASE: &str = "taskforge/base:default";

/// The Engine with the base image, or a failure that says how to get them.
pub fn require_engine() -> Engine {
    let engine = Engine::connect().unwrap_or_else(|error| panic!("{error}\n{}", error.hints().join("\n")));
    let there = block(engine.image_exists(&ImageRef::parse(BASE).unwrap()));
    match there {
        Ok(true) => engine,
        Ok(false) => panic!("the image {BASE} is not there: make it with `./test` or `taskforge image base`"),
        Err(error) => panic!("{error}\n{}", error.hints().join("\n")),
    }
}

pub fn block<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// A registry of its own on disk and, by its id, in the Engine; nothing of it is left behind.
pub struct Bench {
    pub engine: Engine,
    pub registry: String,
    pub user: (u32, u32),
    folder: tempfile::TempDir,
}

impl Bench {
    pub fn new() -> Self {
        let engine = require_engine();
        let registry = format!("test-{}", ulid::Ulid::generate());
        let folder = tempfile::tempdir().unwrap();
        let user = Users::of_run(Operator::current(), &registry, "run", (200_000, 265_535), None).unwrap().agent;
        let bench = Self { engine, registry, user, folder };
        let node = bench.root().join("runs/run/nodes/node/workspace");
        for path in [&node, &bench.root().join("runs/run/gate/sockets/s"), &bench.root().join(".taskforge/bin")] {
            std::fs::create_dir_all(path).unwrap();
        }
        std::fs::write(bench.root().join(".taskforge/bin/shim"), b"").unwrap();
        std::fs::write(bench.root().join(".taskforge/bin/hosts"), AgentContainer::HOSTS).unwrap();
        chown(&node, Some(user.0), Some(user.1)).unwrap();
        bench
    }

    pub fn root(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap()
    }

    pub fn workspace(&self) -> PathBuf {
        self.root().join("runs/run/nodes/node/workspace")
    }

    /// An agent's container, as the engine would make it, but for its command.
    pub fn agent(&self, attempt: u32, argv: &[&str]) -> ContainerSpec {
        AgentContainer {
            registry: self.registry.clone(),
            registry_root: self.root(),
            run: RunId::parse("run").unwrap(),
            node: NodeId::parse("node").unwrap(),
            attempt,
            image: ImageRef::parse(BASE).unwrap(),
            argv: argv.iter().map(|&word| word.to_owned()).collect(),
            env: Vec::new(),
            user: self.user,
            resources: Resources { memory: 128 << 20, ..Resources::default() },
            runtime: None,
            workspace: self.workspace(),
            role: None,
            granted: Vec::new(),
            inputs: Vec::new(),
            binary: self.root().join(".taskforge/bin/shim"),
            socket_folder: self.root().join("runs/run/gate/sockets/s"),
            hosts: Some(self.root().join(".taskforge/bin/hosts")),
        }
        .spec()
    }

    /// A builder's container without anything of the host's.
    pub fn builder(&self, role: Role, network: Network, argv: &[&str]) -> ContainerSpec {
        ContainerSpec {
            name: name_for(&self.registry, "", "", None, role.as_str()),
            user: (0, 0),
            workdir: "/workspace".to_owned(),
            mounts: Vec::new(),
            tmpfs: Vec::new(),
            network,
            labels: Labels {
                registry: self.registry.clone(),
                run: String::new(),
                node: String::new(),
                attempt: None,
                role,
            },
            ..self.agent(1, argv)
        }
    }

    pub fn run(&self, spec: &ContainerSpec) -> Finished {
        block(self.engine.run_once(spec, &(), Duration::from_secs(120), 4 << 20)).unwrap()
    }

    /// Runs `script` in Python in an agent's box and answers what it printed as JSON.
    pub fn python(&self, script: &str) -> serde_json::Value {
        let finished = self.run(&self.agent(1, &["python3", "-c", script]));
        let stderr = String::from_utf8_lossy(&finished.stderr).into_owned();
        assert_eq!(finished.code, 0, "{stderr}");
        serde_json::from_slice(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {stderr}"))
    }

    pub fn containers(&self) -> Vec<String> {
        let mut names: Vec<String> =
            block(self.engine.list(&self.registry)).unwrap().into_iter().map(|summary| summary.name).collect();
        names.sort();
        names
    }

    /// An image name that no other test has.
    pub fn image(&self) -> ImageRef {
        ImageRef::parse(&format!("taskforge/test:{}", self.registry.to_lowercase())).unwrap()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = block(self.engine.kill_all(&self.registry));
        let _ = block(self.engine.remove_image(&self.image()));
    }
}

/// Waits until a file has appeared: what a container writes to say that it is so far.
pub async fn appears(path: &Path) {
    while !path.exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
