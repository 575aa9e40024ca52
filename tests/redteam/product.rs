//! A real run of the product, whose agent's container says what "with our protections" means: its settings are read back
//! from the Engine, so that nothing here can flatter it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bollard::models::ContainerInspectResponse;

use crate::mechanisms::exhaustion::inside;

pub const BASE: &str = "taskforge/base:default";
pub const LABEL: &str = "taskforge-redteam";

const WORKFLOW: &str = "---
workflowId: redteam
title: Red team
nodes:
  - id: work
    title: Work
    kind: session_turn
    prompt: Stay.
    outputs: {mode: notify}
    container:
      runtime: command
      agent: ada
      command: [sleep, \"86400\"]
      capabilities: [\"net:127.0.0.1:UPSTREAM\"]
      resources: {cpus: 0.5, memory: 192MiB, pids: 64, disk: 32MiB, wall: 1d}
---
";

/// A run of its own for one attack.
const OWN: &str = "---
workflowId: attack
title: Attack
nodes:
  - id: attack
    title: Attack
    kind: session_turn
    prompt: Attack.
    outputs: {OUTPUTS}
    container:
      runtime: command
      command: [python3, /inputs/attack.py]
      resources: {RESOURCES}
---
";

/// Who attacks, who remembers what is not the attacker's, and two that work can be given to: to one of them by the attacker.
const ROLES: [(&str, &str); 4] = [
    (
        "attacker",
        "allowedActions: [memory.get, memory.set, memory.list, memory.rm]\n\
         config: {delegation: {roles: [worker], depth: 1, children: 3}}",
    ),
    (
        "keeper",
        "allowedActions: [memory.get, memory.set]\nconfig: {delegation: {roles: [worker], depth: 1, children: 3}}",
    ),
    (
        "worker",
        "resources: {cpus: 8, memory: 4GiB, pids: 4000}\ntasks: {timeout: 300d}\ncapabilities: ['pip:six']\n\
         allowedActions: [memory.get, memory.set, github.pr.list]\nconfig: {github: {repositories: ['*/*']}}",
    ),
    ("boss", "allowedActions: [memory.get]"),
];

/// A run of another agent, which gives a part of its work away and is done.
const OTHER: &str = "---
workflowId: other
title: Other
nodes:
  - id: work
    title: Work
    kind: session_turn
    prompt: Give work away.
    outputs: {mode: report, requiredFiles: [nodes/work/child]}
    container:
      runtime: command
      agent: eve
      command: [sh, -c, \"/taskforge/bin/taskforge agent delegate worker 'SECRET' --wait 0 > child; true\"]
---
";

/// A registry with one run that goes on until it is dropped.
pub struct Product {
    root: PathBuf,
    pub found: ContainerInspectResponse,
    /// What another agent of the registry remembers, and what the child of its run is to do.
    pub kept: String,
    /// The child of the other agent's run, by the id that its parent knows.
    pub child: String,
}

impl Product {
    /// Its agent may speak HTTP to the port `upstream` of 127.0.0.1, and nothing else.
    pub fn new(folder: &Path, upstream: u16) -> Self {
        let root = folder.join("registry");
        let input = folder.join("input.txt");
        fs::write(&input, "as it was\n").unwrap();
        taskforge(&["init".into(), root.display().to_string()]);
        let kept = format!("kept-{}", ulid::Ulid::generate().to_string().to_lowercase());
        let child = others(&root, folder, &kept);
        let workflow = folder.join("redteam.task.md");
        fs::write(&workflow, WORKFLOW.replace("UPSTREAM", &upstream.to_string())).unwrap();
        let registry = format!("--registry={}", root.display());
        taskforge(&[
            "run".into(),
            "start".into(),
            workflow.display().to_string(),
            "--run-id".into(),
            "redteam".into(),
            "--detach".into(),
            "--input".into(),
            input.display().to_string(),
            registry.clone(),
        ]);
        let begun = Instant::now();
        loop {
            taskforge(&["tick".into(), registry.clone()]);
            approve_all(&registry);
            let found = taskforge(&["--json".into(), "run".into(), "show".into(), "redteam".into(), registry.clone()]);
            let shown: serde_json::Value = serde_json::from_str(&found).unwrap();
            if shown["nodes"][0]["status"] == "running" {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{shown:#}");
        }
        let graded =
            taskforge(&["--json".into(), "container".into(), "inspect".into(), "redteam/work".into(), registry]);
        let graded: serde_json::Value = serde_json::from_str(&graded).unwrap();
        assert_eq!(graded["grade"], 100, "{graded:#}");
        let found = docker(&["inspect", graded["container"].as_str().unwrap()]);
        let found: Vec<ContainerInspectResponse> = serde_json::from_str(&found).unwrap();
        Self { root, found: found.into_iter().next().unwrap(), kept, child }
    }

    /// A folder of an agent's.
    pub fn agent(&self, name: &str) -> PathBuf {
        self.root.join("agents").join(name)
    }

    /// What `run tree` says of the attacker's run and its children, after the host has taken in what there was.
    pub fn children(&self) -> serde_json::Value {
        self.call(&["tick", "redteam"]);
        let tree = self.call(&["--json", "run", "tree", "redteam"]);
        serde_json::from_str::<serde_json::Value>(&tree).unwrap()["children"].clone()
    }

    /// The definition of the only node of a run.
    pub fn node(&self, run: &str) -> serde_json::Value {
        let text = fs::read(self.root.join("runs").join(run).join("taskforge.json")).unwrap();
        serde_json::from_slice::<serde_json::Value>(&text).unwrap()["state"]["created"]["nodes"][0].clone()
    }

    fn call(&self, words: &[&str]) -> String {
        let registry = format!("--registry={}", self.root.display());
        let words = words.iter().copied().chain([registry.as_str()]).map(str::to_owned).collect::<Vec<_>>();
        taskforge(&words)
    }

    fn folder(&self) -> PathBuf {
        self.root.join("runs/redteam")
    }

    /// The run's journal, after the host has taken in what there was.
    pub fn journal(&self) -> String {
        self.call(&["tick", "redteam"]);
        fs::read_to_string(self.folder().join("events.jsonl")).unwrap()
    }

    /// What an operator sees of the run, byte for byte.
    pub fn shown(&self) -> String {
        self.call(&["tick", "redteam"]);
        let mut shown = String::new();
        for words in [
            &["audit", "log", "redteam"][..],
            &["inbox"],
            &["run", "show", "redteam"],
            &["run", "artifacts", "redteam"],
            &["capability", "list"],
        ] {
            shown.push_str(&self.call(words));
        }
        for id in waiting(&format!("--registry={}", self.root.display())) {
            shown.push_str(&self.call(&["approve", &id, "--show"]));
        }
        shown
    }

    /// Begins a run whose one node is `script`, with these members of its `outputs` and of its `resources`. The run's id.
    fn begin(&self, outputs: &str, resources: &str, script: &str) -> String {
        let folder = self.root.parent().unwrap();
        let name = format!("attack-{}", ulid::Ulid::generate().to_string().to_lowercase());
        let (input, workflow) = (folder.join("attack.py"), folder.join(format!("{name}.task.md")));
        fs::write(&input, format!("import os, time\n{script}\n")).unwrap();
        fs::write(&workflow, OWN.replace("OUTPUTS", outputs).replace("RESOURCES", resources)).unwrap();
        let (workflow, input) = (workflow.display().to_string(), input.display().to_string());
        self.call(&["run", "start", &workflow, "--run-id", &name, "--detach", "--input", &input]);
        name
    }

    /// Runs `script` as a node that is granted `wall`; whether it is still there well after two seconds.
    pub fn outlives(&self, script: &str, wall: &str) -> bool {
        let name = self.begin("mode: notify", &format!("wall: {wall}"), script);
        let (begun, mut since) = (Instant::now(), None);
        loop {
            self.call(&["tick", &name]);
            let shown = self.call(&["--json", "run", "show", &name]);
            let value: serde_json::Value = serde_json::from_str(&shown).unwrap();
            let status = value["nodes"][0]["status"].as_str().unwrap_or_default();
            if status == "running" && since.is_none() {
                since = Some(Instant::now());
            }
            let ended = matches!(value["status"].as_str(), Some("failed" | "completed"));
            if ended || since.is_some_and(|since| since.elapsed() > Duration::from_secs(8)) {
                let left = docker(&["ps", "-q", "--filter", &format!("label=io.taskforge.run={name}")]);
                if !ended {
                    self.call(&["run", "cancel", &name]);
                }
                return !left.is_empty();
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "the agent does not start: {shown}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Runs `script` as a node whose workspace has a limit, without a tick until it has ended: the bytes that it wrote, and
    /// what is shown of the run then.
    pub fn fills(&self, script: &str) -> (u64, String) {
        let name = self.begin("mode: notify", "disk: 32MiB", script);
        let begun = Instant::now();
        let agent = format!("label=io.taskforge.run={name}");
        let left = |more: &[&str]| {
            docker(&[&["ps", "-q", "--filter", &agent, "--filter", "label=io.taskforge.role=agent"], more].concat())
        };
        while left(&["-a"]).is_empty() {
            self.call(&["tick", &name]);
            assert!(begun.elapsed() < Duration::from_secs(60), "the agent does not start");
        }
        while !left(&[]).is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(60), "the agent does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
        let written = inside(&self.root.join("runs").join(&name).join("nodes/attack/workspace"));
        self.call(&["tick", &name]);
        (written, self.call(&["--json", "run", "show", &name]))
    }

    /// What the gate has on record.
    pub fn traffic(&self) -> String {
        fs::read_to_string(self.folder().join("gate/traffic.jsonl")).unwrap_or_default()
    }

    /// The gate's own folder, and what waits in its inbox.
    pub fn gate(&self) -> PathBuf {
        self.folder().join("gate")
    }

    pub fn decisions(&self) -> PathBuf {
        self.root.join("decisions")
    }

    /// Everything that the run left on record is as it was written.
    pub fn must_be_sound(&self) {
        self.call(&["audit", "verify", "redteam"]);
    }

    /// Runs `script` as a node that owes `output`, to the node's end. What the host took in of it, all of it in one, and
    /// what the journal says of the attempt.
    pub fn collect(&self, script: &str, output: &str) -> (String, String) {
        let name = self.begin(&format!("mode: report, requiredFiles: [nodes/attack/{output}]"), "", script);
        let begun = Instant::now();
        let detail = loop {
            self.call(&["tick", &name]);
            let shown = self.call(&["--json", "run", "show", &name]);
            let value: serde_json::Value = serde_json::from_str(&shown).unwrap();
            if matches!(value["status"].as_str(), Some("failed" | "completed")) {
                break value["nodes"][0]["attempts"][0]["detail"].to_string();
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "the host's reader does not come back: {shown}");
            std::thread::sleep(Duration::from_millis(20));
        };
        let node = self.root.join("runs").join(&name).join("nodes/attack");
        (texts(&node), detail)
    }

    /// The agent's uid and gid.
    pub fn user(&self) -> (u32, u32) {
        let user = self.found.config.as_ref().unwrap().user.as_ref().unwrap();
        let (uid, gid) = user.split_once(':').unwrap();
        (uid.parse().unwrap(), gid.parse().unwrap())
    }
}

/// Makes the roles and agents, and the other agent's run with its child; the child's id.
fn others(root: &Path, folder: &Path, kept: &str) -> String {
    let registry = format!("--registry={}", root.display());
    for (name, more) in ROLES {
        let role =
            format!("---\nrole: {name}\ndisplayName: {name}\ndescription: {name}\n{more}\n---\nYou are {name}.\n");
        fs::write(root.join(format!("roles/{name}.role.md")), role).unwrap();
    }
    for words in [
        &["agent", "hire", "attacker", "--name", "ada"][..],
        &["agent", "hire", "keeper", "--name", "eve"],
        &["memory", "set", "eve", "private", kept],
    ] {
        taskforge(&words.iter().copied().chain([registry.as_str()]).map(str::to_owned).collect::<Vec<_>>());
    }
    let workflow = folder.join("other.task.md");
    fs::write(&workflow, OTHER.replace("SECRET", kept)).unwrap();
    let start = ["run", "start", &workflow.display().to_string(), "--run-id", "other", "--detach", &registry];
    taskforge(&start.map(str::to_owned));
    let begun = Instant::now();
    loop {
        taskforge(&["tick", "other", &registry].map(str::to_owned));
        let shown = taskforge(&["--json", "run", "show", "other", &registry].map(str::to_owned));
        let value: serde_json::Value = serde_json::from_str(&shown).unwrap();
        if value["status"] == "completed" {
            break;
        }
        assert!(value["status"] != "failed" && begun.elapsed() < Duration::from_secs(60), "{shown}");
    }
    let answer = fs::read_to_string(root.join("runs/other/nodes/work/child")).unwrap();
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{answer}: {error}"));
    answer["id"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

impl Drop for Product {
    fn drop(&mut self) {
        let registry = format!("--registry={}", self.root.display());
        let _ = Command::new(env!("CARGO_BIN_EXE_taskforge")).args(["kill", "--reason", "over", &registry]).output();
    }
}

/// The ids of what waits for a person.
fn waiting(registry: &str) -> Vec<String> {
    let inbox = taskforge(&["--json".into(), "inbox".into(), registry.to_owned()]);
    let inbox: serde_json::Value = serde_json::from_str(&inbox).unwrap();
    let items = inbox["waiting"].as_array().unwrap().iter();
    items.map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

fn approve_all(registry: &str) {
    for id in waiting(registry) {
        let words = ["--json", "approve", &id, "--show", registry].map(str::to_owned);
        let shown: serde_json::Value = serde_json::from_str(&taskforge(&words)).unwrap();
        let digest = shown["digest"].as_str().unwrap();
        taskforge(&["approve", &id, "--digest", digest, registry].map(str::to_owned));
    }
}

fn taskforge(arguments: &[String]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_taskforge"));
    let done = command.args(arguments).stdin(Stdio::null()).output().unwrap();
    assert!(done.status.success(), "{arguments:?}: {done:?}");
    String::from_utf8(done.stdout).unwrap()
}

pub fn docker(arguments: &[&str]) -> String {
    let done = Command::new("docker").args(arguments).output().expect("`apt-get install docker.io`");
    assert!(done.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

/// The texts of all regular files below `folder`, but for the workspace, which is the agent's.
fn texts(folder: &Path) -> String {
    let mut all = String::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() && entry.file_name() != "workspace" {
            all.push_str(&texts(&entry.path()));
        } else if kind.is_file() {
            all.push_str(&String::from_utf8_lossy(&fs::read(entry.path()).unwrap()));
        }
    }
    all
}
