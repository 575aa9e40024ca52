//! A registry of its own, driven by the built binary: with whatever its containers left, nothing of it stays behind.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::container::{block, require_engine};
use crate::pinned::{self, copy_for_others};

const BINARY: &str = env!("CARGO_BIN_EXE_taskforge");

/// How long anything may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// An operator who is not root but may use the Engine, as (uid, gid).
pub const PLAIN: (u32, u32) = (31_337, 31_337);

pub struct World {
    folder: PathBuf,
    id: String,
    /// The operator, if not who runs the tests.
    user: Option<(u32, u32)>,
    pub env: Vec<(String, String)>,
}

/// A workflow of command containers: each node with its needs, its outputs and its script.
pub struct Node {
    id: &'static str,
    kind: &'static str,
    needs: &'static str,
    outputs: &'static str,
    script: String,
    more: String,
}

/// A container that runs `script` with Python.
pub fn python(id: &'static str, script: &str) -> Node {
    let script = format!("{PRELUDE}\n{script}\n");
    Node { id, kind: "session_turn", needs: "[]", outputs: "[]", script, more: String::new() }
}

/// An approval node.
pub fn approval(id: &'static str, needs: &'static str) -> Node {
    Node { id, kind: "approval", needs, outputs: "[]", script: String::new(), more: String::new() }
}

impl Node {
    pub fn needs(mut self, needs: &'static str) -> Self {
        self.needs = needs;
        self
    }

    /// Declared outputs, as a YAML list below the node's folder.
    pub fn leaves(mut self, outputs: &'static str) -> Self {
        self.outputs = outputs;
        self
    }

    /// Another line of `container:`.
    pub fn with(mut self, line: &str) -> Self {
        self.more.push_str(&format!("      {line}\n"));
        self
    }

    fn yaml(&self) -> String {
        let mut text =
            format!("  - id: {0}\n    title: {0}\n    kind: {1}\n    needs: {2}\n", self.id, self.kind, self.needs);
        text.push_str("    prompt: do it\n");
        if self.kind != "approval" {
            let mode = if self.outputs == "[]" { "notify" } else { "report" };
            text.push_str(&format!("    outputs: {{mode: {mode}, requiredFiles: {}}}\n", self.outputs));
            text.push_str(&format!(
                "    container:\n      runtime: command\n      command: [python3, /inputs/{}.py]\n{}",
                self.id, self.more
            ));
        }
        text
    }
}

/// What every script has at hand: requests to the gate, and a place for what was found.
const PRELUDE: &str = r#"
import http.client, json, os, socket, sys, time, signal, threading

def gate(method, path, body=None, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", 4180, timeout=60)
    data = None if body is None else (body if isinstance(body, (bytes, str)) else json.dumps(body))
    connection.request(method, path, data, headers or {"content-type": "application/json"})
    answer = connection.getresponse()
    text = answer.read()
    try:
        return answer.status, json.loads(text or b"null")
    except ValueError:
        return answer.status, text.decode("utf-8", "replace")

def found(**what):
    print("FOUND " + json.dumps(what), flush=True)

def tried(what, *arguments):
    try:
        return [True, str(what(*arguments))[:200]]
    except BaseException as error:
        return [False, type(error).__name__ + ": " + str(error)[:200]]
"#;

impl World {
    pub fn new() -> Self {
        Self::of_user(None)
    }

    /// Whose operator is not root. Where the tests do not run as root, that is who runs them.
    pub fn plain() -> Self {
        Self::of_user(rustix::process::geteuid().is_root().then_some(PLAIN))
    }

    pub fn of_user(user: Option<(u32, u32)>) -> Self {
        require_engine();
        let folder = tempfile::Builder::new().prefix("tf-attack-").tempdir().unwrap().keep();
        let mut world = Self { folder, id: String::new(), user, env: Vec::new() };
        if let Some((uid, gid)) = user {
            std::os::unix::fs::chown(&world.folder, Some(uid), Some(gid)).unwrap();
        }
        if user.is_some() {
            // A plain user gets no further than the folder of the build; a copy is for all.
            let binary = world.folder.join("taskforge");
            copy_for_others(Path::new(BINARY), &binary);
            fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::set_permissions(&world.folder, fs::Permissions::from_mode(0o755)).unwrap();
        let made = world.command(&["init", "registry"]).current_dir(&world.folder).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        if user.is_none() {
            pinned::lend(&world.root());
        }
        let config = fs::read_to_string(world.root().join("taskforge.toml")).unwrap();
        let line = config.lines().find(|line| line.starts_with("id = ")).unwrap();
        world.id = line.trim_start_matches("id = ").trim_matches('"').to_owned();
        world
    }

    pub fn root(&self) -> PathBuf {
        self.folder.join("registry")
    }

    /// The registry's id, the value of its containers' label.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn run_folder(&self, run: &str) -> PathBuf {
        self.root().join("runs").join(run)
    }

    /// The binary with `arguments`, as the operator, in the registry.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let binary = self.folder.join("taskforge");
        let mut command = match self.user {
            None => Command::new(BINARY),
            Some((uid, gid)) => {
                let docker = fs::metadata(require_engine().socket()).map(|meta| {
                    use std::os::unix::fs::MetadataExt;
                    meta.gid()
                });
                let mut command = Command::new("setpriv");
                let groups = docker.unwrap().to_string();
                command.args(["--reuid", &uid.to_string(), "--regid", &gid.to_string(), "--groups", &groups]);
                command.arg(&binary);
                command
            }
        };
        command.args(arguments).stdin(Stdio::null()).env_remove("XDG_RUNTIME_DIR").env("TASKFORGE_OPERATOR", "tester");
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        let root = self.root();
        command.current_dir(if root.exists() { &root } else { &self.folder });
        command
    }

    pub fn taskforge(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// What a command that succeeds prints with `--json`.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let done = self.taskforge(&[&["--json"], arguments].concat());
        serde_json::from_slice(&done.stdout).unwrap_or_else(|error| panic!("{error}: {arguments:?}: {done:?}"))
    }

    /// Writes the workflow and starts it as run `run`, up to its first step.
    pub fn start(&self, run: &str, nodes: &[Node]) {
        let done = self.try_start(run, nodes);
        assert!(done.status.success(), "{done:?}");
    }

    pub fn try_start(&self, run: &str, nodes: &[Node]) -> Output {
        let text: String = nodes.iter().map(Node::yaml).collect();
        let file = self.folder.join(format!("{run}.task.md"));
        fs::write(&file, format!("---\nworkflowId: {run}\ntitle: Attack\nnodes:\n{text}---\nbody\n")).unwrap();
        let mut arguments = vec![
            "run".to_owned(),
            "start".into(),
            file.display().to_string(),
            "--run-id".into(),
            run.into(),
            "--detach".into(),
        ];
        for node in nodes.iter().filter(|node| !node.script.is_empty()) {
            let script = self.folder.join(format!("{}.py", node.id));
            fs::write(&script, &node.script).unwrap();
            arguments.extend(["--input".to_owned(), script.display().to_string()]);
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.taskforge(&arguments)
    }

    pub fn show(&self, run: &str) -> Value {
        self.json(&["run", "show", run])
    }

    /// Ticks until `done` says so of `run show`.
    pub fn until(&self, run: &str, done: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let ticked = self.taskforge(&["tick", run]);
            let shown = self.show(run);
            if done(&shown) {
                return shown;
            }
            let so_far = || format!("{ticked:?}\n{shown:#}\n{}", self.log(run, "", "stderr"));
            assert!(begun.elapsed() < PATIENCE, "{}", so_far());
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// Ticks until the run has ended; what `run show` says then.
    pub fn finish(&self, run: &str) -> Value {
        self.until(run, |shown| matches!(shown["status"].as_str(), Some("completed" | "failed" | "cancelled")))
    }

    /// One stream of all attempts of `node` (of all nodes, if it is empty).
    pub fn log(&self, run: &str, node: &str, stream: &str) -> String {
        let mut text = String::new();
        let folder = self.run_folder(run).join("nodes");
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if !node.is_empty() && entry.file_name() != node {
                continue;
            }
            for number in 1..20 {
                let path = entry.path().join(format!("attempts/{number}/{stream}.log"));
                text.push_str(&fs::read(path).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default());
            }
        }
        text
    }

    /// What a node's script reported with `found`, newest attempt last.
    pub fn found(&self, run: &str, node: &str) -> Vec<Value> {
        let out = self.log(run, node, "stdout");
        out.lines()
            .filter_map(|line| line.strip_prefix("FOUND "))
            .map(|text| serde_json::from_str(text).unwrap())
            .collect()
    }

    /// What the only script of a run of one node reported.
    pub fn attack(&self, run: &str, node: Node) -> Value {
        let id = node.id;
        self.start(run, &[node]);
        let shown = self.finish(run);
        let found = self.found(run, id);
        assert_eq!(found.len(), 1, "{shown:#}\n{}\n{}", self.log(run, id, "stdout"), self.log(run, id, "stderr"));
        found[0].clone()
    }

    /// The registry's containers, in any state, by name.
    pub fn containers(&self) -> Vec<String> {
        let engine = require_engine();
        block(engine.list(&self.id)).unwrap().into_iter().map(|container| container.name).collect()
    }

    pub fn journal(&self, run: &str) -> String {
        fs::read_to_string(self.run_folder(run).join("events.jsonl")).unwrap()
    }

    pub fn must_be_sound(&self, run: &str) {
        let verified = self.taskforge(&["audit", "verify", run]);
        assert!(verified.status.success(), "{verified:?}");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Ok(engine) = taskforge::container::Engine::connect() {
            for _ in 0..10 {
                let left = block(engine.kill_all(&self.id));
                if left.is_ok_and(|killed| killed.removed.is_empty() && killed.failed.is_empty()) {
                    break;
                }
            }
        }
        for uid in [rustix::process::getuid().as_raw(), PLAIN.0] {
            for run in fs::read_dir(self.root().join("runs")).into_iter().flatten().flatten() {
                let Ok(run) = taskforge::run::id::RunId::parse(&run.file_name().to_string_lossy()) else { continue };
                let gate = taskforge::container::gate_name(&self.id, &run);
                let _ = fs::remove_dir_all(Path::new("/dev/shm").join(format!("taskforge-{uid}")).join(gate));
            }
        }
        open_up(&self.folder);
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Gives back to their owner the folders that a hostile script closed.
fn open_up(folder: &Path) {
    let Ok(meta) = folder.symlink_metadata() else { return };
    if !meta.is_dir() {
        return;
    }
    let _ = fs::set_permissions(folder, fs::Permissions::from_mode(0o700));
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        open_up(&entry.path());
    }
}
