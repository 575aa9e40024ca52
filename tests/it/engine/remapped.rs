//! An Engine with `userns-remap`: who root is in a container is nobody on the host.

use std::os::unix::fs::MetadataExt as _;

use serde_json::Value;

use super::OwnEngine;
use crate::container::BASE;
use crate::deployed::stage as deployed;
use crate::granted::stage as granted;
use crate::image::index::{Index, Wheel};
use crate::scene::{Scene, ends, text};

const FIRST: u32 = 3_000_000_000;
const RUN: &str = "r1";

fn remapped() -> OwnEngine {
    // An account that every machine has, with sub-users that none has given away.
    let engine = OwnEngine::start(
        &["--userns-remap", "nobody:nogroup"],
        &format!("nobody:{FIRST}:65536\nnogroup:{FIRST}:65536\n"),
    );
    engine.take_base();
    engine
}

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

fn scene(engine: &OwnEngine) -> Scene {
    let scene = engine.scene();
    let command = serde_json::json!(["python3", "-c", SCRIPT]);
    let container = format!("command: {command}");
    let files: &[&str] = &["report.md", "seen.json"];
    scene.commands("mapped", &[("one", &container, files), ("two", &container, files)]);
    let text = scene.read("workflows/mapped.task.md");
    scene.write("workflows/mapped.task.md", text.replace("  - id: two\n", "  - id: two\n    needs: [one]\n"));
    scene
}

fn seen(scene: &Scene, node: &str) -> Value {
    scene.json(&format!("runs/{RUN}/nodes/{node}/seen.json"))
}

#[test]
fn a_run_goes_to_its_end_with_users_that_are_nobody_on_the_host() {
    let engine = remapped();
    let scene = scene(&engine);
    scene.set("network = \"host\"", "network = \"bridge\"");
    scene.start("mapped", RUN);
    scene.drive(RUN, 0);
    let shown = scene.show(RUN);
    for node in ["one", "two"] {
        assert_eq!(ends(&shown, node).len(), 1, "{shown:#}");
        let seen = seen(&scene, node);
        let uid = u32::try_from(seen["uid"].as_u64().unwrap()).unwrap();
        assert!((1000..65_536).contains(&uid), "{seen:#}");
        assert_eq!(seen["map"], serde_json::json!(["0", FIRST.to_string(), "65536"]), "{seen:#}");
        assert_eq!((&seen["tmp"], &seen["model"]), (&seen["uid"], &"replay_mismatch".into()), "{seen:#}");
        // What it wrote is on the host that of a user whom nobody there is, and was taken in all the same.
        let written = scene.path(&format!("runs/{RUN}/nodes/{node}/workspace/report.md")).metadata().unwrap();
        assert_eq!((written.uid(), written.mode() & 0o777), (FIRST + uid, 0o600));
        assert_eq!(scene.read(&format!("runs/{RUN}/nodes/{node}/report.md")), "done\n");
    }
    assert_eq!(seen(&scene, "two")["/inputs/one/report.md"], "done\n");
    let gate = scene.path(&format!("runs/{RUN}/gate")).metadata().unwrap();
    assert!(gate.uid() > FIRST + 1000, "{}", gate.uid());
    scene.tf(&["audit", "verify", RUN]).ok().says("sound");

    // Reported: by the check of the machine, beside the containers, and in JSON.
    scene.tf(&["doctor"]).ok().says("remapped: 65536 users from 3000000000:3000000000 on");
    let grades = scene.tf(&["doctor", "--containers", "--json"]).ok().json();
    assert_eq!(grades["engine"]["remap"]["uid"], FIRST, "{grades:#}");
}

#[test]
fn what_a_mapped_engine_cannot_give_is_refused_by_name() {
    let engine = remapped();
    let scene = scene(&engine);
    // The gate in the host's network, which such an Engine gives to nobody.
    let refused = scene.tf(&["run", "start", "mapped", "--run-id", RUN, "--detach"]).exits(2);
    refused.complains("set `gate.network = \"bridge\"`");
    scene.set("network = \"host\"", "network = \"bridge\"");
    // A run that was begun while nobody could be asked, and so with the host's own users.
    let early = scene.tf(&["run", "start", "mapped", "--run-id", "early", "--detach"]);
    early.env("DOCKER_HOST", "unix:///nowhere/docker.sock").ok();
    scene.drive("early", 1);
    let why = &ends(&scene.show("early"), "one")[0].1;
    assert!(why.contains("root in the container is \"0 3000000000 65536\" on the host"), "{why}");
    assert_eq!(engine.says(&["ps", "--quiet"]), "");
    assert!(!engine.says(&["images", "--quiet", BASE]).is_empty());
}

#[test]
fn an_approved_package_is_built_into_an_image_there() {
    let engine = remapped();
    let index = Index::on(engine.listener());
    index.offer("thing", &[&Wheel::new("thing", "1.0", &[])]);
    let scene = engine.scene();
    scene.set("network = \"host\"", "network = \"bridge\"");
    scene.set("extraCa = ", &format!("pipIndex = \"{}\"\nextraCa = ", index.simple()));
    let script =
        "import os, thing; open('/workspace/said.txt', 'w').write(f'{thing.version} {os.stat(thing.__file__).st_uid}')";
    let command = serde_json::json!(["python3", "-c", script]);
    let container = format!("command: {command}\ncapabilities: ['pip:thing==1.0']");
    scene.commands("granted", &[("work", &container, &["said.txt"])]);
    granted::start(&scene);
    scene.approve(granted::RUN);
    granted::complete(&scene);
    // Installed by the container's root, which is no root of the host's: it is root's in the agent's container.
    assert_eq!(scene.read("runs/r1/nodes/work/said.txt"), "1.0 0");
    // What was brought was hashed here and is the operator's; nothing else is left of the way.
    let stored: Vec<_> = std::fs::read_dir(scene.path(".taskforge/packages")).unwrap().flatten().collect();
    assert_eq!(stored.len(), 1, "{stored:?}");
    assert_eq!(stored[0].metadata().unwrap().uid(), 0);
    let image = &scene.events(granted::RUN, "capability.applied")[0]["data"]["image"];
    engine.says(&["image", "inspect", image.as_str().unwrap()]);
    scene.is_sound(granted::RUN);
}

#[test]
fn a_deployment_answers_on_the_engines_machine_and_on_no_other_address() {
    let _ports = deployed::Ports::take();
    let engine = remapped();
    let scene = engine.scene();
    scene.set("network = \"host\"", "network = \"bridge\"");
    deployed::workflow(&scene, deployed::SITE);
    let (id, digest) = deployed::proposed(&scene);
    scene.tf(&["approve", &id, "--digest", &digest]).ok();
    let row = deployed::until(&scene, "running");
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
    assert_eq!(deployed::records(&scene, &id, "ingress.allowed").len(), 1);
    let grades = scene.tf(&["doctor", "--containers", "--json"]).ok().json();
    assert!(grades.to_string().contains("none, or one of 127.0.0.1"), "{grades:#}");
    let shown = scene.tf(&["deployment", "show", &id, "--json"]).ok().json();
    assert_eq!(shown["container"]["grade"], 100, "{shown:#}");
    scene.tf(&["capability", "revoke", &id, "--reason", "enough"]).ok();
    assert!(page(&address).is_none());
    scene.is_sound(deployed::RUN);
}
