//! An Engine with `userns-remap`: who root is in a container is nobody on the host.

use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;

use super::mapped::{self, RUN, seen};
use super::own::{OwnEngine, Shared};
use crate::container::BASE;
use crate::scene::ends;

const FIRST: u32 = 3_000_000_000;

fn remapped() -> Arc<OwnEngine> {
    static REMAPPED: Shared = Shared::new();
    REMAPPED.take(|| {
        // An account that every machine has, with sub-users that none has given away.
        let engine = OwnEngine::start(
            &["--userns-remap", "nobody:nogroup"],
            &format!("nobody:{FIRST}:65536\nnogroup:{FIRST}:65536\n"),
        );
        engine.take_base();
        engine
    })
}

#[test]
fn a_run_goes_to_its_end_with_users_that_are_nobody_on_the_host() {
    let engine = remapped();
    let scene = mapped::scene(&engine);
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
    let scene = mapped::scene(&engine);
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
    assert_eq!(engine.containers_of(&scene), 0);
    assert!(!engine.says(&["images", "--quiet", BASE]).is_empty());
}

#[test]
fn an_approved_package_is_built_into_an_image_there() {
    let engine = remapped();
    let scene = mapped::scene(&engine);
    scene.set("network = \"host\"", "network = \"bridge\"");
    mapped::builds_an_image(&engine, &scene);
}

#[test]
fn a_deployment_answers_on_the_engines_machine_and_on_no_other_address() {
    let engine = remapped();
    let scene = mapped::scene(&engine);
    scene.set("network = \"host\"", "network = \"bridge\"");
    let container = mapped::serves(&engine, &scene);
    assert_eq!(container["grade"], 100, "{container:#}");
}
