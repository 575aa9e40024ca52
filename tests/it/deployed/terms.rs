//! For how long and for whom a deployment is granted.

use chrono::{SubsecRound as _, Utc};

use super::stage::{Ports, RUN, SITE, deployment, deployments, page, proposed, records, stage, until, workflow};
use crate::scene::text;
use crate::signed::{allow, make_key, public};

#[test]
fn it_is_decided_on_as_it_was_proposed_and_on_no_other_list() {
    let _ports = Ports::take();
    let scene = stage(SITE);
    let (id, digest) = proposed(&scene);
    let edited = |list: &str| scene.tf(&["approve", &id, "--only", list]);
    edited("port:9000").exits(7).complains("a deployment is decided on as it was proposed");
    edited("net:a.example:443").exits(7).complains("net:a.example:443 is no port");
    edited("port:8000,port:8001").exits(7).complains("as it was proposed");
    edited("port:0").exits(2);
    // Nothing came of it: the same stands under the same digest.
    assert_eq!(scene.the_one(RUN), (id.clone(), digest.clone()));
    assert_eq!(scene.events(RUN, "capability.edited").len(), 0);
    scene.tf(&["approve", &id, "--digest", &digest]).ok();
    assert!(page(&until(&scene, "running"), "/").unwrap().contains("it works"));
}

#[test]
fn when_its_time_is_over_its_gate_lets_nobody_through_and_the_next_tick_takes_it_down() {
    let _ports = Ports::take();
    let scene = stage(SITE);
    let (id, digest) = proposed(&scene);
    let end = Utc::now().trunc_subsecs(0) + chrono::Duration::seconds(25);
    let approved = scene.tf(&["approve", &id, "--digest", &digest, "--until", &end.to_rfc3339()]).ok();
    approved.says(", until ");
    let row = until(&scene, "running");
    assert!(page(&row, "/").unwrap().contains("it works"));
    assert!(Utc::now() < end, "starting it took longer than it was granted for");
    // Nobody ticks, and a page is asked for all the time: the first that is not given comes after the end.
    while page(&row, "/").is_some() {
        assert!(Utc::now() < end + chrono::Duration::seconds(30), "it goes on");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert!(Utc::now() >= end, "it was cut before its time");
    assert_eq!(scene.events(RUN, "capability.expired").len(), 0);
    for _ in 0..2 {
        scene.tf(&["tick", RUN]).ok();
    }
    let expired = scene.events(RUN, "capability.expired");
    assert_eq!(expired.len(), 1, "{expired:#?}");
    assert!(text(&expired[0]["data"]["reason"]).starts_with("it was granted until "));
    assert_eq!(deployment(&scene)["status"], "revoked");
    scene.tf(&["capability", "show", &id]).ok().says("expired").says("it was granted until");
    assert!(!records(&scene, &id, "ingress.allowed").is_empty());
    scene.tf(&["audit", "verify", RUN]).ok();
    scene.is_sound(RUN);
}

#[test]
fn granted_for_its_workflow_a_later_run_deploys_the_same_files_without_asking_and_others_are_asked_about() {
    let _ports = Ports::take();
    let scene = stage(SITE);
    let key = make_key(&scene.outside("home/.ssh/id_ed25519"), "ed25519", &[]);
    allow(&scene, &format!("ada {}", public(&key)));
    let (id, digest) = proposed(&scene);
    scene.tf(&["approve", &id, "--digest", &digest, "--for", "workflow"]).ok();
    until(&scene, "running");
    scene.start("deployed", "r2");
    scene.tick_until("r2", |shown| shown["status"] == "completed");
    let approved = scene.events("r2", "capability.approved");
    assert_eq!(approved[0]["data"]["decision"]["by"], format!("grant:{id}"), "{approved:#?}");
    scene.tf(&["tick"]).ok();
    let rows = deployments(&scene);
    assert_eq!(rows.len(), 2, "{rows:#?}");
    assert_ne!(rows[0]["address"], rows[1]["address"]);
    let second = rows.iter().find(|row| row["run"] == "r2").unwrap();
    assert!(page(second, "/").unwrap().contains("it works"));
    scene.tf(&["audit", "verify", "r2"]).ok();
    // The same workflow with another page is another definition here, and other files besides.
    workflow(&scene, &SITE.replace("it works", "it works better"));
    scene.start("deployed", "r3");
    scene.tick_until("r3", |_| !scene.waiting("r3").is_empty());
    assert_eq!(scene.events("r3", "capability.approved").len(), 0);
    // Taken back, it is down in both, and no later run has it.
    let revoked = scene.tf(&["capability", "revoke", &id, "--reason", "enough"]).ok();
    revoked.says("Run r2 had it by that, and has it no more.");
    for row in deployments(&scene) {
        assert_eq!(row["status"], "revoked", "{row:#}");
        assert!(page(&row, "/").is_none());
    }
    workflow(&scene, SITE);
    scene.start("deployed", "r4");
    scene.tick_until("r4", |_| !scene.waiting("r4").is_empty());
    assert_eq!(scene.events("r4", "capability.approved").len(), 0);
    scene.is_sound("r2");
}

#[test]
fn its_records_stop_growing_and_whoever_comes_is_counted_all_the_same() {
    let _ports = Ports::take();
    let scene = stage(SITE);
    scene.write("taskforge.toml", scene.read("taskforge.toml") + "\n[deployments]\nrecords = \"4KiB\"\n");
    let (id, digest) = proposed(&scene);
    scene.tf(&["approve", &id, "--digest", &digest]).ok();
    let row = until(&scene, "running");
    for _ in 0..100 {
        assert!(page(&row, "/").unwrap().contains("it works"));
    }
    let path = scene.path(&format!("runs/{RUN}/deployments/{id}/gate/traffic.jsonl"));
    let size = std::fs::metadata(&path).unwrap().len();
    assert!(size < 8 << 10, "{size}");
    let alone = records(&scene, &id, "ingress.allowed").len();
    assert!(alone > 2 && alone < 50, "{alone}");
    let counting = records(&scene, &id, "ingress.counting");
    assert_eq!((counting.len(), &counting[0]["grant"]), (1, &id.as_str().into()));
    assert_eq!(records(&scene, &id, "ingress.counted").len(), 0, "the hour is not over");
    // With the grant the hour is over, and nobody is left out.
    scene.tf(&["capability", "revoke", &id, "--reason", "enough"]).ok();
    let counted = records(&scene, &id, "ingress.counted");
    assert_eq!(counted.len(), 1, "{counted:#?}");
    assert_eq!(counted[0]["ingress"], counting[0]["seq"]);
    let ended = records(&scene, &id, "ingress.ended");
    assert_eq!(counted[0]["connections"].as_u64().unwrap() as usize + ended.len(), 100);
    assert_eq!(counted[0]["verdicts"]["closed"], counted[0]["connections"]);
    assert!(counted[0]["bytesOut"].as_u64().unwrap() > counted[0]["bytesIn"].as_u64().unwrap());
    scene.tf(&["audit", "verify", RUN]).ok();
    scene.is_sound(RUN);
}
