//! An Engine without root, of an ordinary user who is the operator too: root in a container is that user, and everybody
//! else in it is one of the ids that are subordinate to them.

use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;

use serde_json::json;

use super::mapped::{self, RUN, seen};
use super::own::{OwnEngine, Shared};
use crate::container::BASE;
use crate::scene::{Scene, ends};

/// An operator whom no machine has, and the first of their subordinate ids.
const OPERATOR: u32 = 2_800_000_000;
const FIRST: u32 = 2_900_000_000;

fn rootless() -> Arc<OwnEngine> {
    static ROOTLESS: Shared = Shared::new();
    ROOTLESS.take(|| {
        let engine = OwnEngine::rootless(OPERATOR, FIRST);
        engine.take_base();
        engine
    })
}

/// With the settings that such an Engine asks for, on a machine whose control groups are of version 1.
fn scene(engine: &OwnEngine) -> Scene {
    let scene = mapped::scene(engine);
    scene.set("network = \"host\"", "network = \"bridge\"");
    scene.set("[containers]", "[containers]\nallowUnenforcedLimits = true");
    scene
}

#[test]
fn a_run_goes_to_its_end_without_root_anywhere() {
    let engine = rootless();
    let scene = scene(&engine);
    scene.start("mapped", RUN);
    scene.drive(RUN, 0);
    let shown = scene.show(RUN);
    for node in ["one", "two"] {
        assert_eq!(ends(&shown, node).len(), 1, "{shown:#}");
        let seen = seen(&scene, node);
        let uid = u32::try_from(seen["uid"].as_u64().unwrap()).unwrap();
        assert!((1000..65_536).contains(&uid), "{seen:#}");
        let map = json!(["0", OPERATOR.to_string(), "1", "1", FIRST.to_string(), "65536"]);
        assert_eq!((&seen["map"], &seen["tmp"]), (&map, &seen["uid"]), "{seen:#}");
        assert_eq!(seen["model"], "replay_mismatch", "{seen:#}");
        // What it wrote is a subordinate id's, closed to everybody else, and was taken in all the same.
        let written = scene.path(&format!("runs/{RUN}/nodes/{node}/workspace/report.md")).metadata().unwrap();
        assert_eq!((written.uid(), written.mode() & 0o777), (FIRST + uid - 1, 0o600));
        let copy = scene.path(&format!("runs/{RUN}/nodes/{node}/report.md"));
        assert_eq!(
            (copy.metadata().unwrap().uid(), std::fs::read_to_string(copy).unwrap().as_str()),
            (OPERATOR, "done\n")
        );
    }
    assert_eq!(seen(&scene, "two")["/inputs/one/report.md"], "done\n");
    let gate = scene.path(&format!("runs/{RUN}/gate")).metadata().unwrap();
    assert!(gate.uid() > FIRST + 1000 - 1, "{}", gate.uid());
    scene.tf(&["audit", "verify", RUN]).ok().says("sound");

    // Reported: by the check of the machine, beside the containers, and in JSON.
    scene.tf(&["doctor"]).ok().says("rootless: 65537 users");
    let grades = scene.tf(&["doctor", "--containers", "--json"]).ok().json();
    assert_eq!((&grades["engine"]["rootless"], &grades["engine"]["remap"]["size"]), (&json!(true), &json!(65_537)));
    assert_eq!(grades["lenient"], true);
    assert_eq!(grades["engine"]["unenforced"].as_array().unwrap().is_empty(), engine.keeps_limits(), "{grades:#}");
}

#[test]
fn what_a_rootless_engine_cannot_give_is_refused_by_name() {
    let engine = rootless();
    let scene = mapped::scene(&engine);
    let start = |scene: &Scene, run: &str, code| {
        let ended = scene.tf(&["run", "start", "mapped", "--run-id", run, "--detach"]).exits(code);
        assert!(code == 0 || !scene.path(&format!("runs/{run}")).exists(), "nothing is left behind");
        ended
    };
    if !engine.keeps_limits() {
        // Without a word of the operator's nothing starts without limits.
        let refused = start(&scene, RUN, 1);
        refused.complains("enforces no limit of memory, processes, processors");
        refused.complains("containers.allowUnenforcedLimits");
        scene.tf(&["doctor"]).exits(1).says("not enforced on this machine");
        scene.set("[containers]", "[containers]\nallowUnenforcedLimits = true");
        scene.tf(&["doctor"]).ok().says("containers.allowUnenforcedLimits");
    }
    start(&scene, RUN, 2).complains("the Engine is rootless, and gives the host's network to nobody");
    scene.set("network = \"host\"", "network = \"bridge\"");
    // The setting is looked at again when something is started.
    if !engine.keeps_limits() {
        let more = "command: ['true']\ncapabilities: ['net:192.0.2.1:443']";
        scene.commands("asks", &[("one", more, &[])]);
        scene.start("asks", "begun");
        scene.drive("begun", 11);
        scene.set("allowUnenforcedLimits = true", "allowUnenforcedLimits = false");
        scene.approve("begun");
        scene.drive("begun", 1);
        let why = &ends(&scene.show("begun"), "one")[0].1;
        assert!(why.contains("enforces no limit of memory"), "{why}");
        scene.set("allowUnenforcedLimits = false", "allowUnenforcedLimits = true");
    }
    // A run that was begun while nobody could be asked, and so with the operator's own user.
    let early = scene.tf(&["run", "start", "mapped", "--run-id", "early", "--detach"]);
    early.env("DOCKER_HOST", "unix:///nowhere/docker.sock").ok();
    scene.drive("early", 1);
    let why = &ends(&scene.show("early"), "one")[0].1;
    assert!(
        why.contains("is \"0 of a rootless Engine\" on the host by the kernel's map, and this run is for 0"),
        "{why}"
    );
    // Another user than the Engine's, even root.
    let mut other = Scene::empty();
    other.env("DOCKER_HOST", &engine.host());
    other.tf(&["init", "."]).ok();
    other.commands("mapped", &[("one", "command: ['true']", &[])]);
    start(&other, RUN, 1).complains("rootless, and its user namespace is not this process's");
    assert_eq!([&scene, &other].map(|scene| engine.containers_of(scene)), [0, 0]);
    assert!(!engine.says(&["images", "--quiet", BASE]).is_empty());
}

#[test]
fn an_approved_package_is_built_into_an_image_there() {
    let engine = rootless();
    mapped::builds_an_image(&engine, &scene(&engine));
}

#[test]
fn a_deployment_answers_and_its_grade_names_the_limits_that_are_in_no_force() {
    let engine = rootless();
    let container = mapped::serves(&engine, &scene(&engine));
    let lost: Vec<&str> =
        container["deductions"].as_array().unwrap().iter().map(|lost| lost["setting"].as_str().unwrap()).collect();
    let limits = ["memory (bytes)", "processes and threads", "processors (billionths)", "memory and swap (bytes)"];
    match engine.keeps_limits() {
        true => assert_eq!(container["grade"], 100, "{container:#}"),
        false => assert_eq!((&container["grade"], lost), (&json!(91), limits.to_vec()), "{container:#}"),
    }
}

#[test]
fn kill_ends_what_runs_there() {
    let engine = rootless();
    let scene = scene(&engine);
    scene.commands("long", &[("one", "command: [sleep, '1000']", &[])]);
    scene.start("long", RUN);
    scene.tick_until(RUN, |shown| shown["nodes"][0]["status"] == "running");
    assert_eq!(engine.containers_of(&scene), 2);
    scene.tf(&["kill", "--reason", "enough"]).ok();
    assert_eq!(engine.containers_of(&scene), 0);
}
