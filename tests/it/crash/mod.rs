//! Kill -9 at every step, two of everything at once, and flipped bytes: a run comes to the same end, nothing that was
//! acknowledged is gone, and nothing is done twice.
//!
//! By default a seeded sample of the slow crash points is taken; the seed stands in a failed test's output and can be
//! given as `TASKFORGE_CRASH_SEED`. With `TASKFORGE_CRASH=all` every point is.

mod dice;
mod disk;
mod docker;
mod engine_gone;
mod events;
mod flips;
mod half;
mod kill;
mod kill_protocol;
mod proxy;
mod races;
mod reboot;
mod workflows;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::models::{ContainerConfig, ContainerCreateBody, HostConfig};
use bollard::query_parameters::{
    CommitContainerOptionsBuilder, ListImagesOptionsBuilder, RemoveContainerOptionsBuilder, RemoveImageOptionsBuilder,
};
use futures_util::StreamExt as _;
use taskforge::engine::{self, Store, Waiting};
use taskforge::registry::{Journal, Registry};
use taskforge::run::id::RunId;
use taskforge::run::record::Record;
use taskforge::run::state::{RequestStatus, State};
use taskforge::run::status::RunStatus;

use crate::container::{BASE, block, require_engine};
pub use dice::{Dice, exhaustive};
use events::Events;

pub const BINARY: &str = env!("CARGO_BIN_EXE_taskforge");

/// How long anything here may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(90);

/// A registry of its own with an Engine; nothing of it is left behind.
pub struct World {
    pub docker: Docker,
    pub registry: Registry,
    pub id: String,
    pub events: Events,
    base: Option<String>,
    /// None for a copy of another world's registry.
    folder: Option<tempfile::TempDir>,
}

impl World {
    /// A registry whose containers run in the base image.
    pub fn new() -> Self {
        Self::on(None)
    }

    /// A registry with a base image of its own, so that what is built upon it is nobody else's.
    pub fn with_own_base() -> Self {
        let name = format!("taskforge/test:{}", ulid::Ulid::generate().to_string().to_lowercase());
        let engine = require_engine();
        block(make_base(engine.docker(), &name));
        Self::on(Some(name))
    }

    fn on(base: Option<String>) -> Self {
        let docker = require_engine().docker().clone();
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap().join("r");
        let made = Command::new(BINARY).arg("init").arg(&root).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        for (name, text) in workflows::ALL {
            fs::write(root.join(format!("workflows/{name}.task.md")), text).unwrap();
        }
        if let Some(base) = &base {
            let path = root.join("taskforge.toml");
            fs::write(&path, fs::read_to_string(&path).unwrap().replace(BASE, base)).unwrap();
        }
        let registry = Registry::at(&root);
        let id = registry.id().unwrap();
        let events = Events::of(&id);
        Self { docker, registry, id, events, base, folder: Some(folder) }
    }

    /// A copy of the registry as it stands, for what needs no container: many beginnings for the price of one.
    pub fn copy(&self, name: &str) -> Self {
        let root = self.beside(name);
        copy(self.root(), &root);
        // As if it had been made there: its original drives nothing while it is looked at.
        fs::remove_file(root.join(".taskforge/home.json")).unwrap();
        let registry = Registry::at(&root);
        Self {
            docker: self.docker.clone(),
            registry,
            id: self.id.clone(),
            events: Events::none(),
            base: None,
            folder: None,
        }
    }

    pub fn root(&self) -> &Path {
        self.registry.root()
    }

    /// A path beside the registry.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.as_ref().expect("a copy has nothing beside it").path().join(name)
    }

    /// `taskforge ARGUMENTS` on this registry, not started yet.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command.args(arguments).arg("--registry").arg(self.root()).stdin(Stdio::null());
        for variable in ["TASKFORGE_FAULT", "TASKFORGE_REGISTRY", "OPENTASK_REGISTRY_ROOT", "DOCKER_HOST"] {
            command.env_remove(variable);
        }
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// A command that has to succeed.
    pub fn ok(&self, arguments: &[&str]) -> String {
        let done = self.run(arguments);
        assert!(done.status.success(), "{arguments:?}: {}", said(&done));
        String::from_utf8(done.stdout).unwrap()
    }

    pub fn start(&self, workflow: &str, run: &str) {
        self.ok(&["run", "start", workflow, "--run-id", run, "--detach"]);
    }

    /// A run of which nothing has been dispatched yet, as if the Engine had been away.
    pub fn start_without_engine(&self, workflow: &str, run: &str) {
        let mut start = self.command(&["run", "start", workflow, "--run-id", run, "--detach"]);
        let done = start.env("DOCKER_HOST", "unix:///nowhere/docker.sock").output().unwrap();
        assert!(done.status.success(), "{}", said(&done));
        assert!(self.state(run).live_attempts().next().is_none());
    }

    pub fn state(&self, run: &str) -> State {
        self.store(run).load().unwrap()
    }

    fn store(&self, run: &str) -> Store<'_> {
        Store::open(&self.registry, &RunId::parse(run).unwrap()).unwrap()
    }

    pub fn exists(&self, run: &str) -> bool {
        Store::open(&self.registry, &RunId::parse(run).unwrap()).is_ok()
    }

    /// The records of a run that any reader may rely on; none if there is no run.
    pub fn records(&self, run: &str) -> Vec<Record> {
        let id = RunId::parse(run).unwrap();
        if !self.exists(run) {
            return Vec::new();
        }
        Journal::read(&self.registry.layout().run(&id).journal(), &id).unwrap().records
    }

    /// What waits for a person in `run`.
    pub fn waiting(&self, run: &str) -> Vec<Waiting> {
        let waiting = engine::inbox(&self.registry).unwrap().waiting;
        waiting.into_iter().filter(|item| item.run.as_str() == run).collect()
    }

    /// The arguments that approve or deny the one thing that waits in `run`.
    pub fn approval(&self, verdict: &str, run: &str) -> Vec<String> {
        let waiting = self.waiting(run);
        assert_eq!(waiting.len(), 1, "{waiting:?}");
        let digest = waiting[0].digest.as_ref().unwrap().to_string();
        [verdict, waiting[0].id.as_str(), "--digest", &digest, "--comment", "seen"].map(str::to_owned).into()
    }

    /// Ticks, as cron would, until nothing of `run` moves by itself any more.
    pub fn settle(&self, run: &str) -> State {
        let begun = Instant::now();
        loop {
            let before = self.records(run).len();
            let tick = self.run(&["tick", run, "--json"]);
            let state = self.state(run);
            let done: serde_json::Value = serde_json::from_slice(&tick.stdout).unwrap_or_default();
            let acted = done["runs"].as_array().is_some_and(|runs| {
                runs.iter().any(|run| run["busy"] == true || run["actions"].as_array().is_some_and(|a| !a.is_empty()))
            });
            // A detached build ticks, too, perhaps between our tick and our look.
            let moves = self.records(run).len() != before
                || state.may_have_containers()
                || !state.wanted_recipes().is_empty()
                || state.requests.iter().any(|request| request.status == RequestStatus::Requested);
            if tick.status.success() && !acted && !moves {
                return state;
            }
            assert!(begun.elapsed() < PATIENCE, "does not settle: {}\n{:#?}", said(&tick), story(&state));
            // Containers and builds are what is waited for.
            std::thread::sleep(Duration::from_millis(if acted { 1 } else { 20 }));
        }
    }

    /// What has to hold of a run that moves no more, whatever happened on the way.
    pub fn assert_sound(&self, run: &str, acknowledged: &[Record]) {
        let id = RunId::parse(run).unwrap();
        let report = engine::verify(&self.registry, &id).unwrap();
        assert!(report.is_proven(), "{report:#?}");
        let records = self.records(run);
        assert!(records.len() >= acknowledged.len(), "{} of {} records", records.len(), acknowledged.len());
        assert_eq!(&records[..acknowledged.len()], acknowledged, "an acknowledged event is gone");
        for attempt in self.state(run).nodes.iter().flat_map(|node| &node.attempts) {
            let name = &attempt.plan.container;
            let times = || self.events.created(run).get(name).copied().unwrap_or_default();
            // One that a kill was faster than was never made; of any other the Engine tells a moment later.
            let ran = attempt.container_id.is_some();
            let heard = !ran || wait_until(|| times() > 0);
            assert!(heard && times() <= 1, "container {name} was made {} times", times());
        }
        assert_eq!(self.containers(), Vec::<String>::new(), "containers are left");
        // What other programs read is what the journal says.
        let state: serde_json::Value =
            serde_json::from_slice(&fs::read(self.registry.layout().run(&id).state()).unwrap()).unwrap();
        assert_eq!(state["status"], serde_json::to_value(self.state(run).status).unwrap());
    }

    /// Containers of this registry at this moment.
    pub fn containers_now(&self) -> Vec<String> {
        block(require_engine().list(&self.id)).unwrap().into_iter().map(|summary| summary.name).collect()
    }

    /// Containers of this registry, running or not; one that is just being removed is waited for.
    pub fn containers(&self) -> Vec<String> {
        wait_until(|| self.containers_now().is_empty());
        self.containers_now()
    }

    /// Images of the only recipe of this registry, by tag or by label.
    pub fn images(&self) -> usize {
        let mut found = 0;
        for recipe in self.recipes() {
            let label = format!("io.taskforge.recipe={recipe}");
            let filters = std::collections::HashMap::from([("label", vec![label])]);
            let options = ListImagesOptionsBuilder::default().filters(&filters).build();
            found += block(self.docker.list_images(Some(options))).unwrap().len();
        }
        found
    }

    /// The full digests of what was built here.
    fn recipes(&self) -> Vec<String> {
        let entries = fs::read_dir(self.root().join("images")).into_iter().flatten().flatten();
        let recipes = entries.filter_map(|entry| fs::read(entry.path().join("recipe.json")).ok());
        recipes.filter_map(|bytes| Some(taskforge::image::Recipe::parse(&bytes).ok()?.identity().to_string())).collect()
    }

    /// Takes away what was built, so that it has to be built again.
    pub fn forget_images(&self) {
        for recipe in self.recipes() {
            let label = format!("io.taskforge.recipe={recipe}");
            let filters = std::collections::HashMap::from([("label", vec![label])]);
            let options = ListImagesOptionsBuilder::default().filters(&filters).build();
            for image in block(self.docker.list_images(Some(options))).unwrap() {
                remove_image(&self.docker, &image.id);
            }
        }
    }

    pub fn layout(&self, run: &str) -> taskforge::registry::RunLayout {
        self.registry.layout().run(&RunId::parse(run).unwrap())
    }

    /// Lets the node `work` of a run of `held` or `slow` come to its end.
    pub fn let_go(&self, run: &str) {
        let workspace = self.layout(run).nodes().join("work/workspace");
        fs::write(workspace.join("go"), "").unwrap();
    }

    /// As [`let_go`](Self::let_go), also where no attempt has made the workspace yet.
    pub fn let_go_anew(&self, run: &str) {
        let workspace = self.layout(run).nodes().join("work/workspace");
        if workspace.exists() {
            self.let_go(run);
            return;
        }
        // Made by the first dispatch.
        for _ in 0..500 {
            self.run(&["tick", run]);
            if workspace.exists() {
                return self.let_go(run);
            }
        }
        panic!("run {run} is not dispatched");
    }

    /// Waits until the container of the run's attempt has ended by itself.
    pub fn wait_for_agent(&self, run: &str) {
        let state = self.state(run);
        let (_, attempt) = state.live_attempts().next().expect("an attempt is under way");
        block(require_engine().wait(&attempt.plan.container)).unwrap();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if self.folder.is_none() {
            return;
        }
        // Builders first: one that lives would go on making containers.
        let _ = self.run(&["kill", "--reason", "the test is over"]);
        let _ = block(require_engine().kill_all(&self.id));
        self.forget_images();
        if let Some(base) = &self.base {
            remove_image(&self.docker, base);
        }
    }
}

fn remove_image(docker: &Docker, name: &str) {
    let options = RemoveImageOptionsBuilder::default().force(true).build();
    let _ = block(docker.remove_image(name, Some(options), None));
}

async fn make_base(docker: &Docker, name: &str) {
    let body = ContainerCreateBody {
        image: Some(BASE.to_owned()),
        entrypoint: Some(Vec::new()),
        cmd: Some(["sh", "-c", &format!("echo {name} > /etc/taskforge-test")].map(str::to_owned).into()),
        user: Some("0:0".to_owned()),
        host_config: Some(HostConfig { network_mode: Some("none".to_owned()), ..HostConfig::default() }),
        ..ContainerCreateBody::default()
    };
    let made = docker.create_container(None, body).await.unwrap();
    docker.start_container(&made.id, None).await.unwrap();
    docker.wait_container(&made.id, None).next().await;
    let (repository, tag) = name.split_once(':').unwrap();
    let options = CommitContainerOptionsBuilder::default().container(&made.id).repo(repository).tag(tag).build();
    docker.commit_container(options, ContainerConfig::default()).await.unwrap();
    docker.remove_container(&made.id, Some(RemoveContainerOptionsBuilder::default().build())).await.unwrap();
}

/// Waits for a condition, within a bound; whether it came to hold.
pub fn wait_until(holds: impl Fn() -> bool) -> bool {
    let begun = Instant::now();
    while !holds() {
        if begun.elapsed() > Duration::from_secs(60) {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}

pub fn said(done: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    format!("{}\n{}\n{}", done.status, text(&done.stdout), text(&done.stderr))
}

/// What became of a run, without ids and times: equal for two runs that went the same way.
pub fn story(state: &State) -> Vec<String> {
    let mut lines = vec![format!("run {:?}", state.status)];
    for (definition, node) in state.pairs() {
        lines.push(format!("node {} {:?}", definition.id, node.status));
        for attempt in &node.attempts {
            let end = attempt.end.as_ref().map(|end| format!("{:?} {:?}", end.outcome, end.exit_code));
            lines.push(format!("  attempt {} {}", attempt.number, end.unwrap_or_default()));
        }
        lines.extend(node.artifacts.iter().map(|artifact| format!("  {} {} bytes", artifact.path, artifact.bytes)));
    }
    lines.extend(state.requests.iter().map(|request| format!("request {} {:?}", request.capability, request.status)));
    lines
}

pub fn completed(state: &State) -> bool {
    state.status == RunStatus::Completed
}

/// A registry's files, without what only containers need.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        let kind = entry.file_type().unwrap();
        if kind.is_dir() && !["workspace", "sockets", "bin"].iter().any(|name| entry.file_name() == *name) {
            copy(&entry.path(), &target);
        } else if kind.is_file() {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
