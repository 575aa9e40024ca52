//! An Engine with `userns-remap`: who root is in a container is nobody on the host.

use std::os::unix::fs::MetadataExt as _;

use serde_json::Value;

use super::OwnEngine;
use crate::container::BASE;
use crate::scene::{Scene, ends};

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
