//! The shim and the built-in agent where they belong: PID 1 of a container without network, with a read-only root and
//! another uid, mounted from the built binary.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::{Value, json};

use crate::fake_gate::{FakeGate, calls};

const IMAGE: &str = "taskforge/base:default";

struct Container {
    name: String,
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rm", "-f", &self.name]).output();
    }
}

fn docker(arguments: &[&str]) -> Output {
    Command::new("docker")
        .args(arguments)
        .output()
        .expect("the `docker` client is missing: `apt-get install docker.io`, then start the Engine")
}

struct Place {
    folder: tempfile::TempDir,
    gate: FakeGate,
}

fn place() -> Place {
    let version = docker(&["version", "--format", "{{.Server.Version}}"]);
    assert!(version.status.success(), "no Docker Engine answers: `apt-get install docker.io` and start it");
    let image = docker(&["image", "inspect", IMAGE]);
    assert!(image.status.success(), "the image {IMAGE} is missing: `./demo` makes it");
    let folder = tempfile::tempdir().unwrap();
    for name in ["gate", "workspace"] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
        let everyone = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(folder.path().join(name), everyone).unwrap();
    }
    // The folder of the test itself is its user's only.
    let passable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), passable).unwrap();
    let gate = FakeGate::start(&folder.path().join("gate/gate.sock"));
    Place { folder, gate }
}

impl Place {
    fn run(&self, environment: &[&str], argv: &[&str]) -> Output {
        let unique = self.folder.path().file_name().unwrap().to_string_lossy().replace('.', "");
        let container = Container { name: format!("tf-test-agent-{unique}") };
        let mount = |from: &Path, to: &str| format!("{}:{to}", from.display());
        let binary = mount(Path::new(env!("CARGO_BIN_EXE_taskforge")), "/taskforge/bin/taskforge:ro");
        let gate = mount(&self.folder.path().join("gate"), "/taskforge/gate:ro");
        let workspace = mount(&self.folder.path().join("workspace"), "/workspace");
        let proxy = "http://127.0.0.1:4180";
        let mut arguments: Vec<String> =
            ["run", "--rm", "--network=none", "--read-only", "--cap-drop=ALL"].map(str::to_owned).to_vec();
        arguments
            .extend(["--security-opt=no-new-privileges", "--user=12345:12345", "--memory=256m"].map(str::to_owned));
        arguments.extend(["--pids-limit=64", "--tmpfs=/tmp", "--tmpfs=/home/agent:mode=1777"].map(str::to_owned));
        arguments.push(format!("--name={}", container.name));
        for volume in [binary, gate, workspace] {
            arguments.extend(["-v".to_owned(), volume]);
        }
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
            arguments.push(format!("--env={name}={proxy}"));
        }
        arguments.push("--env=HOME=/home/agent".into());
        arguments.extend(environment.iter().map(|variable| format!("--env={variable}")));
        arguments.extend([IMAGE, "/taskforge/bin/taskforge", "agent", "init", "--"].map(str::to_owned));
        arguments.extend(argv.iter().map(|argument| (*argument).to_owned()));
        docker(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

#[test]
fn the_built_in_agent_works_behind_the_gate() {
    let place = place();
    let proxied = "python3 -c \"import urllib.request as r; \
                   print(r.build_opener(r.ProxyHandler({})).open('http://127.0.0.1:4180/taskforge/v1/hello').status)\"";
    place.gate.script([
        calls(&[
            ("1", "shell", json!({"command": "pip install --no-cache-dir pygal"})),
            ("2", "shell", json!({"command": proxied})),
            ("3", "shell", json!({"command": "id -u; touch /x || echo read-only; cat /proc/1/cmdline | tr '\\0' ' '"})),
            ("4", "write_file", json!({"path": "report.md", "content": "# report"})),
        ]),
        calls(&[("5", "finish", json!({"summary": "done"}))]),
    ]);
    let output = place.run(&[], &["/taskforge/bin/taskforge", "agent", "loop"]);
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{text}");
    let state = place.gate.state();
    let results: Vec<Value> = state.chats[1]["messages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|message| message["role"] == "tool")
        .map(|message| serde_json::from_str(message["content"].as_str().unwrap()).unwrap())
        .collect();
    assert_ne!(results[0]["exit"], 0, "{text}");
    assert_eq!(results[0]["refused"][0]["code"], "capability_required", "{}", results[0]);
    assert_eq!(results[1]["stdout"], "200\n", "{}", results[1]);
    let identity = results[2]["stdout"].as_str().unwrap();
    assert!(identity.starts_with("12345\nread-only\n/taskforge/bin/taskforge agent init"), "{identity}");
    assert_eq!(std::fs::read_to_string(place.folder.path().join("workspace/report.md")).unwrap(), "# report");
}

#[test]
fn as_pid_1_the_deadline_reaches_even_what_left_the_group() {
    let place = place();
    let deadline = (chrono::Utc::now() + Duration::from_secs(4)).to_rfc3339();
    // The daemon has a session of its own and says goodbye only if TERM reaches it.
    let script = "setsid sh -c 'trap \"echo bye > /workspace/bye; exit\" TERM; : > /workspace/up; \
                  while :; do sleep 0.05; done' & while :; do sleep 0.05; done";
    let output = place.run(&[&format!("TASKFORGE_DEADLINE={deadline}")], &["sh", "-c", script]);
    assert_eq!(output.status.code(), Some(124), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(place.folder.path().join("workspace/up").exists());
    assert!(place.folder.path().join("workspace/bye").exists());
}

#[test]
fn as_pid_1_it_forwards_the_engines_stop() {
    let place = place();
    let script = "trap 'exit 9' TERM; : > /workspace/up; while :; do sleep 0.05; done";
    let output = std::thread::scope(|scope| {
        let running = scope.spawn(|| place.run(&[], &["sh", "-c", script]));
        crate::fake_gate::until("the program runs", || place.folder.path().join("workspace/up").exists());
        let unique = place.folder.path().file_name().unwrap().to_string_lossy().replace('.', "");
        docker(&["kill", "--signal=TERM", &format!("tf-test-agent-{unique}")]);
        running.join().unwrap()
    });
    assert_eq!(output.status.code(), Some(9), "{}", String::from_utf8_lossy(&output.stderr));
}
