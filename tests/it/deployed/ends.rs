//! What ends a deployment, and what brings it back: crashes, a reboot, the kill switch, a person, the run's own end.

use super::stage::{Ports, RUN, SITE, deployment, page, proposed, records, stage, until, workflow};
use crate::docker_api;
use crate::scene::{Scene, text};

fn running(scene: &Scene) -> (String, serde_json::Value) {
    let (id, digest) = proposed(scene);
    scene.tf(&["approve", &id, "--digest", &digest]).ok();
    let row = until(scene, "running");
    assert!(page(&row, "/").unwrap().contains("it works"));
    (id, row)
}

#[test]
fn after_a_reboot_the_next_tick_brings_it_back_where_it_was() {
    let _ports = Ports::take();
    let scene = stage(SITE);
    let (id, row) = running(&scene);
    scene.tick_until(RUN, |shown| shown["status"] == "completed");
    // What an Engine that went down leaves: nothing that runs, or nothing at all.
    for gone in ["kill", "remove"] {
        for container in docker_api::containers(&scene.id()) {
            let name = text(&container["Id"]);
            match gone {
                "kill" => drop(docker_api::call("POST", &format!("/containers/{name}/kill"), &serde_json::Value::Null)),
                _ => docker_api::remove(&name),
            }
        }
        assert!(page(&row, "/").is_none());
        // As cron has it: all runs, of which this one is over.
        let begun = std::time::Instant::now();
        while page(&row, "/").is_none() {
            assert!(begun.elapsed() < std::time::Duration::from_secs(100), "{:#}", deployment(&scene));
            scene.tf(&["tick"]).ok();
        }
        let back = deployment(&scene);
        assert_eq!((&back["address"], &back["status"]), (&row["address"], &"running".into()));
        assert!(page(&back, "/").unwrap().contains("it works"));
    }
    let lost = scene.events(RUN, "deployment.ended");
    assert!(lost.iter().all(|line| line["data"]["end"]["outcome"] == "lost"), "{lost:#?}");
    // Only its gate: the same start goes on behind a new one.
    let starts = deployment(&scene)["starts"].clone();
    let gates = docker_api::containers(&scene.id()).into_iter();
    let gate = gates.filter(|found| found["Labels"]["io.taskforge.role"] == "gate").map(|found| text(&found["Id"]));
    gate.for_each(|id| docker_api::remove(&id));
    scene.tf(&["tick"]).ok();
    assert!(page(&row, "/").unwrap().contains("it works"));
    assert_eq!(deployment(&scene)["starts"], starts);
    assert!(records(&scene, &id, "ingress.ended").len() >= 4, "one chain of records over all of it");
    scene.tf(&["audit", "verify", RUN]).ok().says("sound");
}

#[test]
fn one_that_fails_is_begun_again_after_a_pause_and_says_why() {
    let _ports = Ports::take();
    let scene = stage("");
    workflow(
        &scene,
        r#"
put("app.py", "import sys\nprint('begun', flush=True)\nsys.exit('no database')\n")
sys.exit(75 if deploy(8000, ["python3", "app.py"])[0] == 75 else 0)
"#,
    );
    let (id, digest) = proposed(&scene);
    scene.tf(&["approve", &id, "--digest", &digest]).ok();
    let row = until(&scene, "failing");
    assert_eq!((&row["failures"], &row["last"]["end"]["exitCode"]), (&1.into(), &1.into()), "{row:#}");
    assert_eq!(text(&row["last"]["end"]["detail"]), "exit code 1: no database");
    let listed = scene.tf(&["deployment", "list"]).ok();
    listed.says("failing").says("start 1 ended by itself: exit code 1: no database, 1 in a row, again after ");
    let last = chrono::DateTime::parse_from_rfc3339(&text(&row["last"]["at"])).unwrap();
    let again = chrono::DateTime::parse_from_rfc3339(&text(&row["notBefore"])).unwrap();
    assert_eq!((again - last).num_seconds(), 5);
    scene.tf(&["deployment", "logs", &id]).ok().says("begun").says("no database");
    assert_eq!(docker_api::containers(&scene.id()).iter().filter(|c| text(&c["Names"][0]).contains("web")).count(), 0);
    // A person need not wait for the pause.
    scene.tf(&["deployment", "start", &id]).ok();
    let begun = std::time::Instant::now();
    let row = loop {
        let row = deployment(&scene);
        if row["starts"].as_u64().unwrap() >= 2 && row["status"] == "failing" {
            break row;
        }
        assert!(begun.elapsed() < std::time::Duration::from_secs(60), "{row:#}");
        scene.tf(&["tick", RUN]).ok();
    };
    scene.tf(&["deployment", "logs", &id, "--start", "1"]).ok().says("no database");
    scene.tf(&["deployment", "logs", &id, "--start", "9"]).exits(3).complains("no start 9");
    scene.tf(&["capability", "revoke", &id, "--reason", "it does not work"]).ok();
    assert_eq!(deployment(&scene)["status"], "revoked", "{row:#}");
}

#[test]
fn a_kill_removes_it_and_only_a_person_brings_it_back() {
    let _ports = Ports::take();
    let scene = stage(SITE);
    let (id, row) = running(&scene);
    scene.tick_until(RUN, |shown| shown["status"] == "completed");
    scene.tf(&["kill", "--reason", "it looks odd"]).ok();
    assert!(page(&row, "/").is_none());
    assert_eq!(docker_api::containers(&scene.id()).len(), 0);
    for command in [&["tick"][..], &["tick", RUN], &["deployment", "start", &id]] {
        scene.tf(command).exits(10);
    }
    assert_eq!(docker_api::containers(&scene.id()).len(), 0, "nothing starts while the switch is on");
    scene.tf(&["unlock", "--reason", "it was nothing"]).ok();
    scene.tf(&["tick"]).ok();
    assert!(page(&row, "/").is_none());
    let down = deployment(&scene);
    assert_eq!((&down["status"], &down["down"]["reason"]), (&"stopped".into(), &"killed: it looks odd".into()));
    assert_eq!(down["last"]["end"]["outcome"], "killed");
    scene.tf(&["deployment", "start", &id]).ok().says(&format!("runs at {}", text(&row["address"])));
    assert!(page(&row, "/").unwrap().contains("it works"));
}

#[test]
fn a_person_stops_it_and_starts_it_and_its_port_is_kept() {
    let _ports = Ports::take();
    let scene = stage(SITE);
    let (id, row) = running(&scene);
    let port = text(&row["address"]).replace("127.0.0.1:", "");
    scene.tf(&["deployment", "stop", &port, "--reason", "lunch"]).ok().says("is kept for it");
    assert!(page(&row, "/").is_none());
    scene.tf(&["tick", RUN]).ok();
    scene.tf(&["deployment", "list"]).ok().says("stopped by operator:ada: lunch");
    scene.tf(&["deployment", "show", &id]).ok().says("stopped").says("Command   python3 -m http.server 8000");
    scene.tf(&["deployment", "start", &id[..12]]).ok().says("runs at");
    assert!(page(&row, "/").unwrap().contains("it works"));
    scene.tf(&["deployment", "start", &id]).ok().says("runs at");
    scene.tf(&["deployment", "show", "nothing"]).exits(3).complains("deployment list");
}

#[test]
fn a_run_that_is_cancelled_takes_its_deployments_with_it() {
    let _ports = Ports::take();
    let scene = stage("");
    workflow(
        &scene,
        &super::stage::SITE.replace("sys.exit(0 if", "import time\nif code == 0: time.sleep(600)\nsys.exit(0 if"),
    );
    let (id, row) = running(&scene);
    scene.tf(&["run", "cancel", RUN, "--reason", "enough"]).ok();
    scene.tick_until(RUN, |shown| shown["deployments"][0]["status"] == "stopped");
    assert!(page(&row, "/").is_none());
    assert_eq!(deployment(&scene)["last"]["end"]["detail"], "the run was cancelled");
    scene.tf(&["deployment", "start", &id]).exits(7);
    // What is stopped keeps its port, until it is taken back: of a run that is over as well.
    scene.tf(&["capability", "revoke", &id, "--reason", "enough"]).ok().says("is free");
    scene.is_sound(RUN);
}
