//! Other OCI runtimes than the Engine's default, by the name that `taskforge.toml` says: the real ones of Debian.

use std::process::Command;

use serde_json::json;

use super::OwnEngine;
use crate::scene::{Scene, ends};

const RUN: &str = "r1";

/// Where a program is, or a failure that names what installs it.
fn program(name: &str) -> String {
    let path = format!("/usr/bin/{name}");
    assert!(Command::new(&path).arg("--version").output().is_ok(), "`{name}` is missing: `apt-get install {name}`");
    path
}

/// What a node does under any of them: it has its box, speaks to the gate, writes, and leaves by its own exit code.
const SCRIPT: &str = r#"
import json, os, socket, urllib.error, urllib.request
seen = {"uid": os.getuid(), "hello": json.load(urllib.request.urlopen("http://127.0.0.1:4180/taskforge/v1/hello"))}
status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
seen["capabilities"] = status["CapEff"].strip()
for name, attempt in (("root", lambda: open("/root-file", "w")), ("net", lambda: socket.create_connection(("192.0.2.1", 80), 2)),
                      ("input", lambda: open("/taskforge/bin/x", "w"))):
    try:
        attempt(); seen[name] = "worked"
    except OSError:
        seen[name] = "refused"
seen["version"] = open("/proc/version").read()
json.dump(seen, open("/workspace/seen.json", "w"))
"#;

fn scene(engine: &OwnEngine, runtime: &str) -> Scene {
    let scene = engine.scene();
    scene.set("[containers]", &format!("[containers]\nruntime = \"{runtime}\""));
    let command = json!(["python3", "-c", SCRIPT]);
    scene.commands("other", &[("work", &format!("command: {command}"), &["seen.json"])]);
    scene
}

/// A run to its end under `runtime`, called with `arguments` before what the Engine gives it. What its agent saw, and what
/// one saw afterwards for which no runtime was named.
fn works(runtime: &str, arguments: &str) -> [serde_json::Value; 2] {
    let folder = tempfile::tempdir().unwrap();
    let (path, called) = (folder.path().join(runtime), folder.path().join("called"));
    let script =
        format!("#!/bin/sh\necho \"$@\" >> {}\nexec {} {arguments} \"$@\"\n", called.display(), program(runtime));
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let engine = OwnEngine::start(&["--add-runtime", &format!("{runtime}={}", path.display())], "");
    engine.take_base();
    let scene = scene(&engine, runtime);
    scene.tf(&["doctor"]).ok().says(&format!("{runtime}, as configured"));
    scene.start("other", RUN);
    scene.drive(RUN, 0);
    assert_eq!(ends(&scene.show(RUN), "work").len(), 1);
    // The agent's container was made by it, and no other: the gate's is the Engine's own to choose.
    let made_once = || {
        let called = std::fs::read_to_string(&called).unwrap();
        assert_eq!(called.lines().filter(|line| line.contains(" create ")).count(), 1, "{called}");
    };
    made_once();
    let seen = scene.json(&format!("runs/{RUN}/nodes/work/seen.json"));
    let refused = json!("refused");
    assert_eq!((&seen["root"], &seen["net"], &seen["input"]), (&refused, &refused, &refused), "{seen:#}");
    assert!(seen["uid"].as_u64().unwrap() >= 1000 && seen["capabilities"] == "0000000000000000", "{seen:#}");
    scene.tf(&["audit", "verify", RUN]).ok();
    // One that the Engine does not have is never replaced by another.
    scene.set(&format!("runtime = \"{runtime}\""), "runtime = \"kata\"");
    scene.start("other", "r2");
    scene.drive("r2", 1);
    let why = &ends(&scene.show("r2"), "work")[0].1;
    assert!(why.contains("kata"), "{why}");
    scene.set("runtime = \"kata\"", "");
    scene.start("other", "r3");
    scene.drive("r3", 0);
    made_once();
    [seen, scene.json("runs/r3/nodes/work/seen.json")]
}

#[test]
fn crun_runs_an_agent_in_the_same_box() {
    works("crun", "");
}

/// The attack is to learn which kernel the host runs. The named runtime holds it off, where that is missing nothing starts,
/// and with that row of the table taken away it succeeds.
#[test]
fn runsc_runs_an_agent_on_a_kernel_of_its_own() {
    let [with, without] = works("runsc", "--platform=ptrace --network=none --fsgofer-host-uds");
    let host = json!(std::fs::read_to_string("/proc/version").unwrap());
    assert_ne!(with["version"], host, "{with:#}");
    assert_eq!(without["version"], host, "{without:#}");
}
