//! A run with an agent that proposes a deployment, and a client on this machine.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::scene::{Scene, text};

pub const RUN: &str = "r1";

/// What every script can use: `put(path, text)` leaves a file, `deploy(port, command, folder)` proposes it and gives
/// the exit code and what the verb printed.
pub const PRELUDE: &str = r#"
import json, os, subprocess, sys
def put(path, text, mode=0o644):
    path = os.path.join("/workspace", path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    open(path, "w").write(text)
    os.chmod(path, mode)
def deploy(port, command, folder=None, wait=0):
    verb = ["/taskforge/bin/taskforge", "agent", "request", f"port:{port}", "--reason", "for the test", "--wait", str(wait)]
    verb += ["--folder", folder] if folder else []
    done = subprocess.run(verb + ["--"] + command, capture_output=True, text=True)
    print(done.returncode, done.stdout, done.stderr, flush=True)
    return done.returncode, json.loads(done.stdout or "{}")
SERVE = ["python3", "-m", "http.server", "8000", "--bind", "127.0.0.1"]
"#;

/// The ports are the machine's: what one registry has stopped, another may be given. One test at a time, in other
/// processes, too.
pub struct Ports(#[allow(dead_code)] File);

impl Ports {
    pub fn take() -> Self {
        let path = std::env::temp_dir().join("taskforge-test-ports.lock");
        let file = File::options().create(true).append(true).open(path).unwrap();
        file.lock().unwrap();
        Self(file)
    }
}

/// A registry whose workflow runs `script` as node `web`.
pub fn stage(script: &str) -> Scene {
    let scene = Scene::new();
    workflow(&scene, script);
    scene
}

pub fn workflow(scene: &Scene, script: &str) {
    let command = json!(["python3", "-c", format!("{PRELUDE}\n{script}")]);
    scene.commands("deployed", &[("web", &format!("command: {command}"), &[])]);
}

/// A page that is served by Python, proposed and waited for.
pub const SITE: &str = r#"
put("site/index.html", "<p>it works</p>")
code, answer = deploy(8000, SERVE, "site")
if code == 75: sys.exit(75)
print("told", answer.get("published"), flush=True)
sys.exit(0 if code == 0 else 3)
"#;

/// Starts the run and waits until its proposal can be decided on; its id and the digest of what is shown.
pub fn proposed(scene: &Scene) -> (String, String) {
    scene.start("deployed", RUN);
    scene.drive(RUN, 11);
    scene.the_one(RUN)
}

/// The deployments of the registry.
pub fn deployments(scene: &Scene) -> Vec<Value> {
    scene.tf(&["deployment", "list", "--json"]).ok().json()["deployments"].as_array().unwrap().clone()
}

pub fn deployment(scene: &Scene) -> Value {
    let mut all = deployments(scene);
    assert_eq!(all.len(), 1, "{all:#?}");
    all.remove(0)
}

/// Ticks the run until its deployment is `status`; the deployment.
pub fn until(scene: &Scene, status: &str) -> Value {
    let begun = Instant::now();
    loop {
        scene.tf(&["tick", RUN]).ok();
        let found = deployment(scene);
        if found["status"] == status {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "it is not {status}: {found:#}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What a client on this machine is answered on `address`; none if it is not let through.
pub fn get(address: &str, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    (!answer.is_empty()).then_some(answer)
}

/// What is served at the deployment's address.
pub fn page(row: &Value, path: &str) -> Option<String> {
    get(&text(&row["address"]), path)
}

/// The records of the deployment's own gate.
pub fn records(scene: &Scene, id: &str, kind: &str) -> Vec<Value> {
    let text = scene.read(&format!("runs/{RUN}/deployments/{id}/gate/traffic.jsonl"));
    let all = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    all.filter(|record| record["kind"] == kind).collect()
}
