//! The reviewer at work: `examples/reviewer/README.md` as it stands, in real containers behind real gates, and then what nobody
//! does on purpose.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::{runs, state_path};
use crate::docker_api;
use crate::model_server::repository;
use crate::scene::{Scene, text};

/// A copy of the example, on ports of its own, with the processes that it leaves behind.
struct Example {
    scene: Scene,
    group: Option<i32>,
}

impl Example {
    fn new() -> Self {
        let scene = Scene::empty();
        let ports = [("8417", free_port()), ("8418", free_port())];
        for file in ["model-server.py", "analyst.py", "reviewer"] {
            copy(&repository("examples").join(file), &scene.outside("checkout/examples").join(file), &ports);
        }
        {
            let readme = scene.outside("checkout/examples/reviewer/README.md");
            let text = fs::read_to_string(&readme).unwrap();
            let held = text.replace("hub.py\" --port", "hub.py\" --hold \"$WORK/hold\" --port");
            assert_ne!(text, held, "the hub is started otherwise");
            fs::write(&readme, held).unwrap();
        }
        Self { scene, group: None }
    }

    /// What a person is told to type, up to a heading or from it on.
    fn commands(&self) -> (String, String) {
        let readme = fs::read_to_string(self.scene.outside("checkout/examples/reviewer/README.md")).unwrap();
        let (before, end) = readme.split_once("\n## The end\n").expect("no heading `The end`");
        (blocks(before), blocks(end))
    }

    /// Runs `script` by bash, in a group of its own; what it said.
    fn bash(&mut self, script: &str) -> String {
        let said = self.scene.outside("said");
        let out = File::create(&said).unwrap();
        let binaries = Path::new(env!("CARGO_BIN_EXE_taskforge")).parent().unwrap().display().to_string();
        let mut bash = Command::new("bash");
        bash.args(["-euo", "pipefail", "-c", script]).env_clear().current_dir(self.scene.outside("checkout"));
        bash.env("WORK", self.scene.outside("")).env("HOME", self.scene.outside("home"));
        bash.env("PATH", format!("{binaries}:/usr/local/bin:/usr/bin:/bin")).env("TASKFORGE_OPERATOR", "ada");
        bash.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null").process_group(0);
        if let Ok(host) = std::env::var("DOCKER_HOST") {
            bash.env("DOCKER_HOST", host);
        }
        bash.stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(out);
        let mut bash = bash.spawn().unwrap();
        self.group = self.group.or_else(|| i32::try_from(bash.id()).ok());
        let ended = bash.wait().unwrap();
        let words = fs::read_to_string(&said).unwrap();
        let log = |name: &str| fs::read_to_string(self.scene.outside(name)).unwrap_or_default();
        assert!(ended.success(), "{words}\nhub: {}\nmodel: {}", log("hub.log"), log("model.log"));
        words
    }

    /// What the hub holds.
    fn hub(&self) -> Value {
        serde_json::from_str(&fs::read_to_string(self.scene.outside("hub/acme/shop.hub.json")).unwrap()).unwrap()
    }

    /// The pull request, the commit and the state of each review, in order of the first two.
    fn reviewed(&self) -> Vec<(u64, String, String)> {
        let hub = self.hub();
        let all = hub["reviews"].as_array().unwrap().iter();
        let mut all: Vec<_> = all
            .map(|review| (review["pull"].as_u64().unwrap(), text(&review["commit_id"]), text(&review["state"])))
            .collect();
        all.sort();
        all
    }

    /// Whoever is ended at the `call`th call of the file system.
    fn tick_that_ends(&self, call: usize) -> Child {
        let mut tick = Command::new(env!("CARGO_BIN_EXE_taskforge"));
        tick.env_clear().current_dir(self.scene.root()).args(["tick", "--all"]).env("HOME", self.scene.outside("home"));
        tick.env("PATH", "/usr/local/bin:/usr/bin:/bin").env("TASKFORGE_FAULT", format!("exit:{call}"));
        if let Ok(host) = std::env::var("DOCKER_HOST") {
            tick.env("DOCKER_HOST", host);
        }
        tick.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Ticks until there are `count` runs and every one is completed, each time beside one that is ended on its way.
    fn tick_to_the_end(&self, count: usize) {
        let begun = std::time::Instant::now();
        for call in (3..).step_by(7) {
            let mut other = self.tick_that_ends(call);
            self.scene.tf(&["tick", "--all"]).ok();
            other.wait().unwrap();
            let listed = self.scene.tf(&["run", "list", "--json"]).ok().json();
            let all = listed["runs"].as_array().or(listed.as_array()).unwrap().clone();
            if all.len() >= count && all.iter().all(|run| run["status"] == "completed") {
                // Whoever was ended right after the end of a run has left its containers to the next tick.
                self.scene.tf(&["tick", "--all"]).ok();
                return;
            }
            let shown = || fs::read_to_string(self.scene.outside("model.log")).unwrap_or_default();
            assert!(all.iter().all(|run| run["status"] != "failed"), "{listed:#}\n{}", shown());
            assert!(begun.elapsed().as_secs() < 240, "{listed:#}\n{}", shown());
        }
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
    }
}

/// Below those that the system gives to whoever asks for any.
fn free_port() -> u16 {
    static NEXT: std::sync::atomic::AtomicU16 = std::sync::atomic::AtomicU16::new(0);
    let first = 20_000 + u16::try_from(std::process::id() % 9_000).unwrap();
    loop {
        let port = first + NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn copy(from: &Path, to: &Path, ports: &[(&str, u16)]) {
    if from.is_dir() {
        for entry in fs::read_dir(from).unwrap() {
            let name = entry.unwrap().file_name();
            if name != "__pycache__" {
                copy(&from.join(&name), &to.join(&name), ports);
            }
        }
        return;
    }
    let all = fs::read_to_string(from).unwrap();
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::write(to, ports.iter().fold(all, |text, (written, port)| text.replace(written, &port.to_string()))).unwrap();
}

/// The blocks of shell commands of a Markdown text.
fn blocks(markdown: &str) -> String {
    let parts = markdown.split("\n```sh\n").skip(1);
    parts.map(|part| part.split_once("\n```").expect("a block without an end").0.to_owned() + "\n").collect()
}

#[test]
fn each_pull_request_is_reviewed_once_and_again_after_a_push() {
    let mut example = Example::new();
    let (script, end) = example.commands();
    let said = example.bash(&format!("{script}\necho \"HUB=$HUB MODEL=$MODEL\" > \"$WORK/servers\"\n"));
    assert!(said.contains("acme/shop#1: run reviews-acme-shop-1-"), "{said}");
    let heads: BTreeMap<u64, Vec<String>> = example.hub()["pulls"].as_object().unwrap().values().map(commits).collect();
    let (one, two) = (&heads[&1], &heads[&2]);
    assert_eq!((one.len(), two.len()), (2, 1), "{heads:?}");
    let review = |number: u64, commit: &str, state: &str| (number, commit.to_owned(), state.to_owned());
    let mut first =
        vec![review(1, &one[0], "CHANGES_REQUESTED"), review(1, &one[1], "COMMENTED"), review(2, &two[0], "COMMENTED")];
    first.sort();
    assert_eq!(example.reviewed(), first);
    let hub = example.hub();
    let of = |commit: &str| hub["reviews"].as_array().unwrap().iter().find(|r| r["commit_id"] == *commit).unwrap();
    // What she knew by herself, and what she was told to remember; each at its line.
    let remarks: Vec<(u64, String)> = of(&one[0])["comments"].as_array().unwrap().iter().map(remark).collect();
    assert_eq!(remarks.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [11, 12], "{remarks:?}");
    assert!(remarks[0].1.starts_with("The team's conventions: Never `print(`"), "{remarks:?}");
    let again = text(&of(&one[1])["body"]);
    assert!(again.contains(&format!("The review of {} had 2 remarks, this one has 0.", &one[0][..12])), "{again}");

    // What the watch knew is gone, as after a restart elsewhere.
    let scene = &example.scene;
    fs::remove_file(scene.path(&state_path("reviews"))).unwrap();
    example.tick_to_the_end(3);
    scene.tf(&["watch", "run"]).ok();
    assert_eq!((example.reviewed(), runs(scene).len()), (first.clone(), 3));
    // A push, two who look at once, and one of them ended again and again.
    let push = "cd \"$WORK/shop\"; git switch -q receipt; echo >> receipt.py; git commit -qam Longer; \
                git push -q \"$WORK/hub/acme/shop.git\" receipt; git rev-parse HEAD";
    let commit = example.bash(push).trim().to_owned();
    example.tick_to_the_end(4);
    let mut all = [first, vec![review(2, &commit, "COMMENTED")]].concat();
    all.sort();
    assert_eq!(example.reviewed(), all);
    let scene = &example.scene;
    runs(scene).iter().for_each(|run| scene.is_sound(run));
    // A push whose review arrives while its answer is held back, and the agent that waits for it is ended: the one that goes on
    // words its review differently, and that is the same review.
    let hold = example.scene.outside("hold");
    fs::write(&hold, "").unwrap();
    let commit = example.bash(&push.replace("Longer", "Still")).trim().to_owned();
    let begun = std::time::Instant::now();
    while !example.reviewed().iter().any(|(_, of, _)| *of == commit) {
        example.scene.tf(&["tick", "--all"]).ok();
        assert!(begun.elapsed().as_secs() < 240, "nobody reviewed the third push");
    }
    for container in docker_api::containers(&example.scene.id()) {
        docker_api::call("POST", &format!("/containers/{}/kill", text(&container["Id"])), &Value::Null);
    }
    fs::remove_file(&hold).unwrap();
    example.tick_to_the_end(5);
    all.push(review(2, &commit, "COMMENTED"));
    all.sort();
    assert_eq!(example.reviewed(), all);
    let scene = &example.scene;
    let every = runs(scene);
    every.iter().for_each(|run| scene.is_sound(run));
    let reused =
        every.iter().filter(|run| scene.read(&format!("runs/{run}/gate/traffic.jsonl")).contains("\"key_reused\""));
    assert_eq!(reused.count(), 1, "the second wording was asked for");
    // Nobody but the vault, the hub and its clients has the token.
    let token = fs::read_to_string(scene.outside("token")).unwrap();
    let found = Command::new("grep").args(["-rl", &token]).arg(scene.root()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");

    let servers = fs::read_to_string(example.scene.outside("servers")).unwrap();
    example.bash(&format!("{servers}\ncd \"$WORK/registry\"\n{end}"));
    example.scene.tf(&["agent", "list", "--all", "--json"]).ok().says("offboarded");
    let gone = example.scene.tf(&["watch", "run"]).any();
    assert_ne!(gone, Some(0), "the hub is gone and nobody says so");
}

fn commits(pull: &Value) -> (u64, Vec<String>) {
    (pull["number"].as_u64().unwrap(), serde_json::from_value(pull["commits"].clone()).unwrap())
}

fn remark(comment: &Value) -> (u64, String) {
    assert_eq!(comment["path"], json!("shop.py"));
    (comment["line"].as_u64().unwrap(), text(&comment["body"]))
}

#[test]
fn the_example_s_changes_apply_and_its_files_are_all_there() {
    let readme = fs::read_to_string(repository("examples/reviewer/README.md")).unwrap();
    for file in ["hub.py", "reviewer.py", "settings.toml", "changes/discount-mended.patch"] {
        assert!(readme.contains(file), "{file} is not spoken of");
        assert!(repository("examples/reviewer").join(file).is_file(), "{file}");
    }
    let named: Vec<PathBuf> = readme
        .split("](")
        .skip(1)
        .map(|rest| PathBuf::from(rest.split([')', '#']).next().unwrap()))
        .map(|path| repository("examples/reviewer").join(path))
        .collect();
    named.iter().for_each(|path| assert!(path.exists(), "{}", path.display()));
}
