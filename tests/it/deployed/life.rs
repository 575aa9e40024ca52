//! From the proposal to the end: before a person's word, after it, after it was taken back.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use super::stage::{PRELUDE, Ports, RUN, SITE, deployment, deployments, page, proposed, records, stage, until};
use crate::docker_api;
use crate::scene::text;

#[test]
fn what_the_workflow_declares_is_proposed_once_the_node_is_done_and_the_run_waits_for_the_answer() {
    let _ports = Ports::take();
    let scene = stage("");
    let script = format!("{PRELUDE}\nput('site/index.html', '<p>declared</p>')");
    let container = format!(
        "command: {}\ndeploy: {{port: 8000, command: [python3, -m, http.server, '8000', --bind, 127.0.0.1], folder: site}}",
        serde_json::json!(["python3", "-c", script])
    );
    scene.commands("deployed", &[("web", &container, &[])]);
    scene.tf(&["workflow", "validate", "deployed"]).ok();
    let (id, digest) = proposed(&scene);
    let shown = scene.show(RUN);
    assert_eq!((&shown["status"], &shown["nodes"][0]["status"]), (&"running".into(), &"completed".into()));
    scene.tf(&["inbox"]).ok().says("port:8000 (python3 -m http.server 8000 --bind 127.0.0.1)").says("workflow");
    scene.tf(&["approve", &id, "--digest", &digest]).ok();
    scene.tick_until(RUN, |shown| shown["status"] == "completed");
    assert!(page(&until(&scene, "running"), "/").unwrap().contains("declared"));
    // As a capability like any other it has no command, and the workflow is wrong.
    scene.commands("wrong", &[("web", "command: [x]\ncapabilities: ['port:8000']", &[])]);
    scene.tf(&["workflow", "validate", "wrong"]).exits(2).says("deploy: {port");
    for wrong in [
        "{port: 0, command: [x]}",
        "{port: 8000}",
        "{port: 8000, command: [x], folder: ../x}",
        "{port: 4180, command: [x]}",
    ] {
        scene.commands("wrong", &[("web", &format!("command: [x]\ndeploy: {wrong}"), &[])]);
        scene.tf(&["workflow", "validate", "wrong"]).exits(2);
    }
}

#[test]
fn a_deployment_answers_after_the_approval_and_not_before_and_not_after_it_was_revoked() {
    let _ports = Ports::take();
    let scene = stage(SITE);
    let (id, digest) = proposed(&scene);
    assert_eq!(deployments(&scene).len(), 0, "nothing is offered before somebody has said so");
    let shown = scene.tf(&["approve", &id, "--show"]).ok();
    shown.says("Asked     port:8000").says("folder  site").says("command  \"python3\"").says("\"http.server\"");
    shown.says("0644          15  sha256:").says("index.html").says("image   sha256:").says("port    8000");

    scene.tf(&["approve", &id, "--digest", &digest]).ok();
    let row = until(&scene, "running");
    assert_eq!(text(&row["id"]), id);
    assert!(page(&row, "/").unwrap().contains("it works"), "{row:#}");
    assert!(page(&row, "/none").unwrap().starts_with("HTTP/1.0 404"));
    // The run is over, and what it was for goes on.
    scene.tick_until(RUN, |shown| shown["status"] == "completed");
    scene.tf(&["run", "logs", RUN]).ok().says(&format!("told {}", text(&row["address"])));
    scene.tf(&["tick"]).ok();
    assert!(page(&row, "/").unwrap().contains("it works"));
    scene.tf(&["run", "show", RUN]).ok().says("Deployed").says(&text(&row["address"]));
    scene.tf(&["audit", "verify", RUN]).ok().says("sound");
    let shown = scene.tf(&["deployment", "show", &id, "--json"]).ok().json();
    assert_eq!(shown["container"]["grade"], 100, "{shown:#}");

    // Who is connected when it is taken back is cut off, and it is on record.
    let mut held = TcpStream::connect(text(&row["address"])).unwrap();
    held.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    held.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n").unwrap();
    let begun = std::time::Instant::now();
    while records(&scene, &id, "ingress.allowed").len() < 4 {
        assert!(begun.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(10));
    }
    let revoked = scene.tf(&["capability", "revoke", &id, "--reason", "that is enough"]).ok();
    revoked.says("Revoked port:8000").says("its connections were cut");
    let mut rest = Vec::new();
    assert!(!matches!(held.read_to_end(&mut rest), Ok(count) if count > 0), "{rest:?}");
    assert!(page(&row, "/").is_none());
    assert_eq!(docker_api::containers(&scene.id()).len(), 0, "neither it nor its gate is left");
    assert_eq!(deployment(&scene)["status"], "revoked");
    let ended = records(&scene, &id, "ingress.ended");
    assert_eq!(ended.last().unwrap()["verdict"], "revoked", "{ended:#?}");
    assert_eq!(ended[0]["verdict"], "closed");
    assert_eq!(ended[0]["bytesIn"], 18, "{:#}", ended[0]);
    assert!(ended[0]["bytesOut"].as_u64().unwrap() > 15 && ended[0]["totalMs"].is_u64());
    scene.tf(&["tick"]).ok();
    assert_eq!(deployment(&scene)["status"], "revoked");
    scene.is_sound(RUN);
}
