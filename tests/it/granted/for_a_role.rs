//! A grant for a role: what later runs get by it whose agents work as that role, and what others do not.

use serde_json::json;

use super::server::Server;
use super::stage::{PRELUDE, RUN, complete, start};
use crate::hired::role;
use crate::scene::Scene;
use crate::signed::{allow, make_key, public};

/// A workflow whose one node asks for the way to `host` as `role`, or as nobody in particular.
fn workflow(scene: &Scene, name: &str, host: &str, role: &str) {
    let script = format!("{PRELUDE}\nsay(*ask(\"net:{host}\"))\nsay(get(\"http://{host}/\"))");
    let role = if role.is_empty() { String::new() } else { format!("\nrole: {role}") };
    let command = json!(["python3", "-c", script]);
    scene.commands(name, &[("work", &format!("command: {command}{role}"), &["said.txt"])]);
}

#[test]
fn a_later_run_with_an_agent_of_the_role_gets_it_and_one_of_another_role_does_not() {
    let server = Server::start();
    let scene = Scene::new();
    let key = make_key(&scene.outside("home/.ssh/id_ed25519"), "ed25519", &[]);
    allow(&scene, &format!("ada {}", public(&key)));
    role(&scene, "clerk", "");
    role(&scene, "guest", "");
    let host = server.host();
    workflow(&scene, "granted", &host, "clerk");
    start(&scene);
    let (id, digest) = scene.the_one(RUN);
    let approved = scene.tf(&["approve", &id, "--digest", &digest, "--for", "role", "-m", "clerks need it"]).ok();
    approved.says("role clerk");
    complete(&scene);
    assert_eq!(scene.json(&format!("decisions/{id}.json"))["scope"], json!({"role": {"name": "clerk"}}));

    // Whatever the workflow.
    workflow(&scene, "another", &host, "clerk");
    scene.start("another", "r2");
    scene.tick_until("r2", |shown| shown["status"] == "completed");
    let decision = scene.events("r2", "capability.approved")[0]["data"]["decision"].clone();
    assert_eq!(decision["by"], format!("grant:{id}"));
    assert!(decision["comment"].as_str().unwrap().contains("operator:ada granted it in run r1"), "{decision}");

    workflow(&scene, "guests", &host, "guest");
    workflow(&scene, "nobodys", &host, "");
    for (workflow, run) in [("guests", "r3"), ("nobodys", "r4")] {
        scene.start(workflow, run);
        scene.tick_until(run, |_| !scene.waiting(run).is_empty());
        assert_eq!(scene.events(run, "capability.approved").len(), 0, "{run}");
    }
    // The same run, a node of each role: what one is given is not the other's.
    let ask = |role: &str| {
        let script = format!("{PRELUDE}\nsay(*ask(\"net:{host}\"))\nsay(get(\"http://{host}/\"))");
        format!("command: {}\nrole: {role}", json!(["python3", "-c", script]))
    };
    scene.commands("both", &[("clerk", &ask("clerk"), &[]), ("guest", &ask("guest"), &[])]);
    scene.start("both", "r5");
    scene.tick_until("r5", |shown| shown["nodes"][0]["status"] == "completed" && !scene.waiting("r5").is_empty());
    let approved = scene.events("r5", "capability.approved");
    assert_eq!((approved.len(), scene.waiting("r5").len()), (1, 1), "{approved:#?}");

    scene.tf(&["capability", "list"]).ok().says("role clerk");
    scene.tf(&["audit", "verify", "r2"]).ok();
    scene.tf(&["capability", "revoke", &id, "--reason", "no more"]).ok().says("It stands for no later run any more.");
    scene.start("another", "r6");
    scene.tick_until("r6", |_| !scene.waiting("r6").is_empty());
    assert_eq!(scene.events("r6", "capability.approved").len(), 0);
}
