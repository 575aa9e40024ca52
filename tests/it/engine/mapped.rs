//! What runs on any Engine whose containers' users are others on the host.

use std::os::unix::fs::MetadataExt as _;

use serde_json::Value;

use super::OwnEngine;
use crate::container::BASE;
use crate::deployed::stage as deployed;
use crate::granted::stage as granted;
use crate::image::index::{Index, Wheel};
use crate::scene::{Scene, text};

pub const RUN: &str = "r1";

/// The facts of the process itself, as the host sees and as it sees itself.
const SCRIPT: &str = r#"
import json, os, urllib.error, urllib.request
open("/workspace/report.md", "w").write("done\n")
os.chmod("/workspace/report.md", 0o600)
seen = {"uid": os.getuid(), "map": open("/proc/self/uid_map").read().split(), "tmp": os.stat("/home/agent").st_uid,
        "hello": json.load(urllib.request.urlopen("http://127.0.0.1:4180/taskforge/v1/hello"))}
body = json.dumps({"model": "recorded", "messages": [{"role": "user", "content": "hi"}]}).encode()
try:
    urllib.request.urlopen(urllib.request.Request("http://127.0.0.1:4180/v1/chat/completions", body, {"content-type": "application/json"}))
except urllib.error.HTTPError as error:
    seen["model"] = json.load(error)["error"]["code"]
for path in ("/inputs/one/report.md", "/inputs/sales.csv"):
    if os.path.exists(path): seen[path] = open(path).read()
json.dump(seen, open("/workspace/seen.json", "w"))
"#;

/// Two nodes, the second of which has what the first one left.
pub fn scene(engine: &OwnEngine) -> Scene {
    let scene = engine.scene();
    let command = serde_json::json!(["python3", "-c", SCRIPT]);
    let container = format!("command: {command}");
    let files: &[&str] = &["report.md", "seen.json"];
    scene.commands("mapped", &[("one", &container, files), ("two", &container, files)]);
    let text = scene.read("workflows/mapped.task.md");
    scene.write("workflows/mapped.task.md", text.replace("  - id: two\n", "  - id: two\n    needs: [one]\n"));
    scene
}

/// What the agent of a node saw.
pub fn seen(scene: &Scene, node: &str) -> Value {
    scene.json(&format!("runs/{RUN}/nodes/{node}/seen.json"))
}

/// A package is asked for, approved, built into an image of the Engine's, and there for the agent.
pub fn builds_an_image(engine: &OwnEngine, scene: &Scene) {
    let index = Index::on(engine.listener());
    index.offer("thing", &[&Wheel::new("thing", "1.0", &[])]);
    scene.set("extraCa = ", &format!("pipIndex = \"{}\"\nextraCa = ", index.simple()));
    let script =
        "import os, thing\nopen('/workspace/said.txt', 'w').write(f'{thing.version} {os.stat(thing.__file__).st_uid}')";
    let command = serde_json::json!(["python3", "-c", script]);
    let container = format!("command: {command}\ncapabilities: ['pip:thing==1.0']");
    scene.commands("granted", &[("work", &container, &["said.txt"])]);
    granted::start(scene);
    scene.approve(granted::RUN);
    granted::complete(scene);
    // Installed by the container's root, which is no root of the host's: it is root's in the agent's container.
    assert_eq!(scene.read("runs/r1/nodes/work/said.txt"), "1.0 0");
    // What was brought was hashed here and is the operator's; nothing else is left of the way.
    let packages = std::fs::read_dir(scene.path(".taskforge/packages")).unwrap().flatten();
    let stored: Vec<_> = packages.filter(|file| !file.file_name().to_string_lossy().starts_with('.')).collect();
    assert_eq!(stored.len(), 1, "{stored:?}");
    assert_eq!(stored[0].metadata().unwrap().uid(), scene.path("runs").metadata().unwrap().uid());
    let image = &scene.events(granted::RUN, "capability.applied")[0]["data"]["image"];
    engine.says(&["image", "inspect", image.as_str().unwrap()]);
    scene.is_sound(granted::RUN);
}

/// A deployment is asked for and approved, answers at the address that it is said to have and to nobody on the bridge, and
/// answers no more after it was revoked. What its container is in effect.
pub fn serves(engine: &OwnEngine, scene: &Scene) -> Value {
    let _ports = deployed::Ports::take();
    deployed::workflow(scene, deployed::SITE);
    let (id, digest) = deployed::proposed(scene);
    scene.tf(&["approve", &id, "--digest", &digest]).ok();
    let row = deployed::until(scene, "running");
    let page = |address: &str| engine.in_network(|| deployed::get(address, "/"));
    let address = text(&row["address"]);
    assert!(page(&address).unwrap().contains("it works"), "{row:#}");
    // Its gate has an address on the Engine's bridge, where it listens to the Engine and to no neighbour.
    let labels = ["io.taskforge.role=gate".to_owned(), format!("io.taskforge.node=deployment/{id}")];
    let [role, node] = labels.map(|label| format!("label={label}"));
    let gate = engine.says(&["ps", "--quiet", "--filter", &role, "--filter", &node]);
    let of_gate = engine.says(&["inspect", &gate, "--format", "{{.NetworkSettings.IPAddress}}"]);
    let (_, port) = address.rsplit_once(':').unwrap();
    let neighbour = format!(
        "import socket\ns = socket.create_connection(('{of_gate}', {port}), 5)\ns.send(b'GET / HTTP/1.0\\r\\n\\r\\n')\n\
         s.settimeout(30)\ntry: print(len(s.recv(9)))\nexcept ConnectionError: print(0)"
    );
    assert_eq!(engine.says(&["run", "--rm", BASE, "python3", "-c", &neighbour]), "0");
    assert_eq!(deployed::records(scene, &id, "ingress.allowed").len(), 1);
    let code = if engine.keeps_limits() { 0 } else { 1 };
    let grades = scene.tf(&["doctor", "--containers", "--json"]).exits(code).json();
    assert!(grades.to_string().contains("none, or one of 127.0.0.1"), "{grades:#}");
    let shown = scene.tf(&["deployment", "show", &id, "--json"]).ok().json();
    scene.tf(&["capability", "revoke", &id, "--reason", "enough"]).ok();
    assert!(page(&address).is_none());
    scene.is_sound(deployed::RUN);
    shown["container"].clone()
}
