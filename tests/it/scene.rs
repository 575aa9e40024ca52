//! A registry of its own, worked on by the built binary: own folder, own HOME, cleared environment, and nothing left
//! behind in the Engine, also when a test panics.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;
use taskforge::gate::records::{Bodies, BodyRef};

use crate::docker_api;
use crate::model_server::{ModelServer, repository};

/// No command takes longer than this, on however busy a machine.
const BOUND: Duration = Duration::from_secs(300);

pub struct Scene {
    folder: tempfile::TempDir,
    env: BTreeMap<String, String>,
    base: Option<String>,
    user: Option<u32>,
}

impl Scene {
    /// No registry yet.
    pub fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("home")).unwrap();
        // Containers run as other users and have to get at what is mounted.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Self { folder, env: BTreeMap::new(), base: None, user: None }
    }

    /// The operator is an ordinary user, whose the registry is.
    pub fn of_user(mut self, uid: u32) -> Self {
        fs::create_dir_all(self.root()).unwrap();
        for path in [self.outside("home"), self.root()] {
            std::os::unix::fs::chown(path, Some(uid), Some(uid)).unwrap();
        }
        self.user = Some(uid);
        self
    }

    /// A new registry with the starter workflow.
    pub fn new() -> Self {
        let scene = Self::empty();
        scene.tf(&["init", "."]).ok();
        crate::pinned::lend(&scene.root());
        scene
    }

    /// A new registry whose builds upon the base image are its own: nothing is built yet.
    pub fn with_own_base() -> Self {
        let mut scene = Self::new();
        let name = format!("taskforge/test:{}", scene.id().to_lowercase());
        docker_api::own_base(&name);
        scene.set("default = \"taskforge/base:default\"", &format!("default = \"{name}\""));
        scene.set("image = \"taskforge/base:default\"", "image = \"default\"");
        scene.base = Some(name);
        scene
    }

    /// The name of the base that is its own.
    pub fn own_base(&self) -> &str {
        self.base.as_deref().unwrap()
    }

    /// The model becomes the scripted server's: one line of the settings.
    pub fn talks_to(&self, server: &ModelServer, more: &str) -> &Self {
        let served = format!("model = {{ name = \"scripted\", baseUrl = \"{}\"{more} }}", server.base_url());
        self.set("model = \"recorded\"", &served)
    }

    pub fn env(&mut self, name: &str, value: &str) -> &mut Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    pub fn root(&self) -> PathBuf {
        self.folder.path().join("registry")
    }

    /// A place outside of the registry.
    pub fn outside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    pub fn read(&self, path: &str) -> String {
        let path = self.path(path);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    pub fn json(&self, path: &str) -> Value {
        serde_json::from_str(&self.read(path)).unwrap()
    }

    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) -> &Self {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    /// Replaces one line, or a part of it, of `taskforge.toml`.
    pub fn set(&self, from: &str, to: &str) -> &Self {
        let text = self.read("taskforge.toml");
        let found = text.find(&format!("\n{from}")).unwrap_or_else(|| panic!("no line begins with {from}")) + 1;
        let text = format!("{}{to}{}", &text[..found], &text[found + from.len()..]);
        self.write("taskforge.toml", text)
    }

    /// A workflow of container nodes that run a command each, in order: id, lines of the container, required files.
    pub fn commands(&self, name: &str, nodes: &[(&str, &str, &[&str])]) -> &Self {
        let mut text = format!("---\nworkflowId: {name}\ntitle: {name}\nnodes:\n");
        for (id, container, files) in nodes {
            text += &format!("  - id: {id}\n    title: {id}\n    kind: session_turn\n    prompt: work\n");
            let files: Vec<String> = files.iter().map(|file| format!("\"nodes/{id}/{file}\"")).collect();
            let mode = if files.is_empty() { "notify" } else { "report" };
            text += &format!("    outputs:\n      mode: {mode}\n      requiredFiles: [{}]\n", files.join(", "));
            text += "    container:\n      runtime: command\n";
            text.extend(container.lines().map(|line| format!("      {line}\n")));
        }
        self.write(&format!("workflows/{name}.task.md"), text + "---\n")
    }

    /// The binary with `arguments`, in the registry.
    pub fn tf(&self, arguments: &[&str]) -> Call {
        self.run(env!("CARGO_BIN_EXE_taskforge"), arguments)
    }

    /// As [`tf`](Self::tf), by another name of the binary.
    pub fn run(&self, binary: &str, arguments: &[&str]) -> Call {
        let mut command = match self.user {
            None => assert_cmd::Command::new(binary),
            Some(uid) => {
                let mut command = assert_cmd::Command::new("setpriv");
                let uid = uid.to_string();
                command.args(["--reuid", &uid, "--regid", &uid, "--clear-groups", "--", binary]);
                command
            }
        };
        let cwd = if self.root().is_dir() { self.root() } else { self.folder.path().join("registry") };
        fs::create_dir_all(&cwd).unwrap();
        command.env_clear().current_dir(cwd).timeout(BOUND).args(arguments);
        command.env("HOME", self.outside("home")).env("PATH", "/usr/local/bin:/usr/bin:/bin");
        command.env("TASKFORGE_OPERATOR", "ada").envs(&self.env);
        if let (Ok(host), false) = (std::env::var("DOCKER_HOST"), self.env.contains_key("DOCKER_HOST")) {
            command.env("DOCKER_HOST", host);
        }
        Call { command, line: format!("taskforge {}", arguments.join(" ")), root: self.root() }
    }

    pub fn id(&self) -> String {
        let text = self.read("taskforge.toml");
        let line = text.lines().find_map(|line| line.strip_prefix("id = \"")).unwrap();
        line.split('"').next().unwrap().to_owned()
    }

    /// Starts the example; its first node is under way afterwards.
    pub fn start_example(&self, run: &str) {
        let input = repository("examples/sales.csv").display().to_string();
        self.tf(&["run", "start", "sales-report", "--input", &input, "--run-id", run, "--detach"]).ok();
    }

    pub fn start(&self, workflow: &str, run: &str) -> Ended {
        self.tf(&["run", "start", workflow, "--run-id", run, "--detach"]).ok()
    }

    /// Drives a run until it waits (11), has failed (1) or is completed (0).
    pub fn drive(&self, run: &str, code: i32) -> Ended {
        self.tf(&["run", "watch", run, "--drive"]).exits(code)
    }

    /// Ticks a run until `there` holds of what `run show` says; that.
    pub fn tick_until(&self, run: &str, there: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            self.tf(&["tick", run]).ok();
            let shown = self.show(run);
            if there(&shown) {
                return shown;
            }
            assert!(begun.elapsed() < BOUND, "run {run} does not get there: {shown:#}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn show(&self, run: &str) -> Value {
        self.tf(&["run", "show", run, "--json"]).ok().json()
    }

    /// What waits for a person in a run.
    pub fn waiting(&self, run: &str) -> Vec<Value> {
        let inbox = self.tf(&["inbox", "--json"]).ok().json();
        inbox["waiting"].as_array().unwrap().iter().filter(|item| item["run"] == run).cloned().collect()
    }

    /// The one thing that waits in a run: its id and its review digest.
    pub fn the_one(&self, run: &str) -> (String, String) {
        let waiting = self.waiting(run);
        assert_eq!(waiting.len(), 1, "{waiting:#?}");
        let shown = self.tf(&["approve", waiting[0]["id"].as_str().unwrap(), "--show", "--json"]).ok().json();
        (text(&waiting[0]["id"]), text(&shown["digest"]))
    }

    pub fn approve(&self, run: &str) -> Ended {
        let (id, digest) = self.the_one(run);
        self.tf(&["approve", &id, "--digest", &digest]).ok()
    }

    /// The journal's lines.
    pub fn journal(&self, run: &str) -> Vec<Value> {
        let text = self.read(&format!("runs/{run}/events.jsonl"));
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Lines of the journal that carry `event`.
    pub fn events(&self, run: &str, event: &str) -> Vec<Value> {
        self.journal(run).into_iter().filter(|line| line["event"] == event).collect()
    }

    /// What the agent of a node and its model said to each other: the messages of the newest request.
    pub fn conversation(&self, run: &str, node: &str) -> Vec<Value> {
        self.requests(run, node).pop().map(|(_, messages)| messages).unwrap_or_default()
    }

    /// The messages of every request of a node, with the attempt that made it.
    pub fn requests(&self, run: &str, node: &str) -> Vec<(u64, Vec<Value>)> {
        let records = self.read(&format!("runs/{run}/gate/traffic.jsonl"));
        let records = records.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let bodies = Bodies::of(&self.path(&format!("runs/{run}/gate")));
        let requests = records.filter(|record| record["kind"] == "llm.request" && record["node"] == node);
        let messages = requests.map(|record| {
            let known: BodyRef = serde_json::from_value(record["body"].clone()).unwrap();
            let body: Value = serde_json::from_slice(&bodies.load(&known).unwrap()).unwrap();
            (record["attempt"].as_u64().unwrap(), body["messages"].as_array().unwrap().clone())
        });
        messages.collect()
    }

    /// The journal verifies, and the projections are those that it comes to.
    pub fn is_sound_so_far(&self, run: &str) {
        self.tf(&["audit", "verify", run]).ok().says("sound");
        assert_eq!(self.misfits(run), Vec::<String>::new());
        let files = ["state.json", "refs.json"].map(|name| format!("runs/{run}/{name}"));
        let before = files.clone().map(|file| self.read(&file));
        files.iter().for_each(|file| fs::remove_file(self.path(file)).unwrap());
        fs::remove_file(self.path(&format!("runs/{run}/taskforge.json"))).unwrap();
        self.tf(&["tick", run]).ok();
        assert_eq!(files.map(|file| self.read(&file)), before, "projections made anew differ");
    }

    /// Files of the registry and of one run that do not fit their schemas; other runs may be broken on purpose.
    fn misfits(&self, run: &str) -> Vec<String> {
        let own = format!("runs/{run}/");
        let all = crate::schemas::misfits(&self.root());
        all.into_iter().filter(|misfit| misfit.starts_with(&own) || !misfit.starts_with("runs/")).collect()
    }

    /// The run has ended as its journal says, verifies, every file fits its schema, and a further tick finds nothing to do.
    pub fn is_sound(&self, run: &str) {
        self.tf(&["audit", "verify", run]).ok().says("sound");
        assert_eq!(self.misfits(run), Vec::<String>::new());
        let before = self.read(&format!("runs/{run}/events.jsonl"));
        assert_eq!(self.tf(&["tick", run]).ok().stdout, "");
        assert_eq!(self.read(&format!("runs/{run}/events.jsonl")), before);
        assert_eq!(docker_api::containers(&self.id()), Vec::<Value>::new());
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if !self.path("taskforge.toml").is_file() {
            return;
        }
        // Ends builds and removes keys as well; what it cannot do any more is done past it.
        let _ = self.tf(&["kill", "--reason", "the test is over"]).command.output();
        let id = self.id();
        let left = std::panic::catch_unwind(|| docker_api::containers(&id)).unwrap_or_default();
        left.iter().filter_map(|container| container["Id"].as_str()).for_each(docker_api::remove);
        let Some(base) = &self.base else { return };
        for folder in fs::read_dir(self.path("images")).into_iter().flatten().flatten() {
            docker_api::remove_image(&format!("taskforge/agent:{}", folder.file_name().to_string_lossy()));
        }
        docker_api::remove_image(base);
    }
}

/// A command that is about to run.
pub struct Call {
    command: assert_cmd::Command,
    line: String,
    root: PathBuf,
}

impl Call {
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// What it reads from its standard input.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.command.write_stdin(bytes);
        self
    }

    pub fn cwd(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    pub fn exits(mut self, code: i32) -> Ended {
        let output = self.command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let ended = Ended {
            line: self.line,
            stdout: text(output.stdout),
            stderr: text(output.stderr),
            root: self.root.canonicalize().unwrap_or(self.root),
        };
        assert_eq!(
            output.status.code(),
            Some(code),
            "`{}`\n{}\n{}\n{}",
            ended.line,
            output.status,
            ended.stdout,
            ended.stderr
        );
        ended
    }

    /// The exit code, whatever it is; none where a signal ended it.
    pub fn any(mut self) -> Option<i32> {
        self.command.output().unwrap().status.code()
    }

    /// What it prints, however it ends.
    pub fn printed(mut self) -> String {
        String::from_utf8(self.command.output().unwrap().stdout).unwrap()
    }

    pub fn ok(self) -> Ended {
        self.exits(0)
    }
}

/// A command that has ended.
pub struct Ended {
    line: String,
    pub stdout: String,
    pub stderr: String,
    root: PathBuf,
}

impl Ended {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("`{}`: {error}: {}", self.line, self.stdout))
    }

    /// The error that `--json` prints.
    pub fn error(&self) -> Value {
        let value: Value = serde_json::from_str(&self.stderr)
            .unwrap_or_else(|error| panic!("`{}`: {error}: {}", self.line, self.stderr));
        value["error"].clone()
    }

    /// Its output holds `part`.
    #[track_caller]
    pub fn says(&self, part: &str) -> &Self {
        assert!(self.stdout.contains(part), "`{}` does not say {part:?}:\n{}{}", self.line, self.stdout, self.stderr);
        self
    }

    /// Its complaint holds `part`.
    #[track_caller]
    pub fn complains(&self, part: &str) -> &Self {
        assert!(self.stderr.contains(part), "`{}` does not say {part:?}:\n{}{}", self.line, self.stdout, self.stderr);
        self
    }

    /// Exit code apart, all of it, with what is different each time made the same.
    pub fn whole(&self) -> String {
        let root = self.root.display().to_string();
        let part = |name: &str, text: &str| match text {
            "" => String::new(),
            text => format!("-- {name}\n{}", normal(&text.replace(&root, "[REGISTRY]"))),
        };
        format!("$ {}\n{}{}", self.line, part("stdout", &self.stdout), part("stderr", &self.stderr))
    }
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}")).to_owned()
}

/// The node of what `run show --json` says.
pub fn node<'a>(shown: &'a Value, id: &str) -> &'a Value {
    shown["nodes"].as_array().unwrap().iter().find(|node| node["id"] == id).unwrap()
}

/// How each attempt of a node ended: outcome and detail.
pub fn ends(shown: &Value, id: &str) -> Vec<(String, String)> {
    let attempts = node(shown, id)["attempts"].as_array().unwrap();
    attempts.iter().map(|attempt| (text(&attempt["outcome"]), text(&attempt["detail"]))).collect()
}

/// Ids, digests and times by name.
pub fn normal(text: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric();
    let mut normal = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(is_word) {
        normal.push_str(&rest[..start]);
        rest = &rest[start..];
        let word = &rest[..rest.find(|c| !is_word(c)).unwrap_or(rest.len())];
        let hex = word.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase());
        let time = time_at(rest);
        let (taken, name) = match word.len() {
            _ if time > 0 => (time, "[TIME]"),
            64 if hex => (64, "[SHA256]"),
            16 if hex => (16, "[ID]"),
            12 if hex => (12, "[DIGEST]"),
            26 if word.starts_with('0') && word.bytes().all(|b| !b.is_ascii_lowercase()) => (26, "[ULID]"),
            length => (length, word),
        };
        normal.push_str(name);
        rest = &rest[taken..];
    }
    normal + rest
}

/// The length of the timestamp, or time of day, that `text` begins with; 0 if it does not.
fn time_at(text: &str) -> usize {
    let fits = |pattern: &str| {
        text.len() >= pattern.len()
            && pattern.bytes().zip(text.bytes()).all(|(p, b)| if p == b'0' { b.is_ascii_digit() } else { p == b })
    };
    let whole = if fits("0000-00-00T00:00:00") || fits("0000-00-00 00:00:00") {
        19
    } else if fits("00:00:00") {
        return 8;
    } else {
        return 0;
    };
    let more = |c: char| c.is_ascii_digit() || matches!(c, '.' | '+' | ':' | 'Z');
    whole + text[whole..].find(|c| !more(c)).unwrap_or(text.len() - whole)
}
