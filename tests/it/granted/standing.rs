//! Grants beyond one run: what a later run of the same workflow gets by them, and what it does not.

use serde_json::{Value, json};

use super::index::stage as with_index;
use super::server::Server;
use super::stage::{RUN, complete, stage, start};
use crate::image::index::{Index, Wheel};
use crate::scene::Scene;
use crate::signed::{allow, make_key, public};

fn said_in(scene: &Scene, run: &str) -> Vec<String> {
    let text = std::fs::read_to_string(scene.path(&format!("runs/{run}/nodes/work/workspace/said.txt")));
    text.unwrap_or_default().lines().map(str::to_owned).collect()
}

fn decision_in(scene: &Scene, run: &str) -> Value {
    scene.events(run, "capability.approved")[0]["data"]["decision"].clone()
}

/// A signed registry whose run `r1` was granted the way to `server` for its workflow: the request's id.
fn granted(server: &Server) -> (Scene, String) {
    let host = server.host();
    let scene = stage(&format!("say(*ask(\"net:{host}\"))\nsay(get(\"http://{host}/\"))"));
    let key = make_key(&scene.outside("home/.ssh/id_ed25519"), "ed25519", &[]);
    allow(&scene, &format!("ada {}", public(&key)));
    start(&scene);
    let (id, digest) = scene.the_one(RUN);
    let approved = scene.tf(&["approve", &id, "--digest", &digest, "--for", "workflow", "-m", "it needs that"]).ok();
    approved.says("for every run of workflow granted as it is now");
    complete(&scene);
    (scene, id)
}

#[test]
fn a_later_run_of_the_same_workflow_gets_it_without_asking_until_it_is_revoked() {
    let server = Server::start();
    let (scene, id) = granted(&server);
    let grant = scene.json(&format!("grants/{id}.json"));
    assert_eq!(grant["request"], id.as_str());
    let decision = scene.json(&format!("decisions/{id}.json"));
    assert_eq!((&decision["format"], &decision["scope"]["workflow"]["id"]), (&json!(3), &json!("granted")));
    scene.start("granted", "r2");
    scene.tick_until("r2", |shown| shown["status"] == "completed");
    assert_eq!(said_in(&scene, "r2")[1], "hello");
    let record = decision_in(&scene, "r2");
    assert_eq!(record["by"], format!("grant:{id}"));
    assert!(record["comment"].as_str().unwrap().contains("operator:ada granted it in run r1"), "{record}");
    let shown = &scene.events("r2", "capability.presented")[0]["data"]["presented"]["policy"];
    assert_eq!((&shown["effect"], &shown["rule"]), (&json!("allow"), &json!(format!("grant:{id}"))));
    let listed = scene.tf(&["capability", "list"]).ok();
    listed.says("Granted beyond one run").says(&format!("grant:{id}")).says("every run of workflow granted");
    for run in [RUN, "r2"] {
        scene.tf(&["audit", "verify", run]).ok();
        scene.is_sound(run);
    }
    let revoked = scene.tf(&["capability", "revoke", &id, "--reason", "no more"]).ok();
    revoked.says("It stands for no later run any more.");
    scene.start("granted", "r3");
    scene.tick_until("r3", |_| !scene.waiting("r3").is_empty());
    assert_eq!(scene.events("r3", "capability.approved").len(), 0);
    let listed = scene.tf(&["capability", "list", "--json"]).ok().json();
    assert_eq!(listed["standing"][0]["problem"], "it was revoked");
    scene.tf(&["audit", "verify", "r2"]).ok();
    // It stands in the journal of its run, which is over: taking away the file that says so brings nothing back.
    assert_eq!(scene.events(RUN, "capability.revoked").len(), 1);
    std::fs::remove_file(scene.path(&format!("grants/{id}.revoked.json"))).unwrap();
    scene.start("granted", "r4");
    scene.tick_until("r4", |_| !scene.waiting("r4").is_empty());
    assert_eq!(scene.events("r4", "capability.approved").len(), 0);
    let listed = scene.tf(&["capability", "list", "--json"]).ok().json();
    assert_eq!(listed["standing"][0]["problem"], "it was revoked");
    scene.tf(&["audit", "verify", RUN]).ok().says("sound");
}

#[test]
fn revoking_it_takes_it_from_a_run_that_has_it() {
    let server = Server::start();
    let host = server.host();
    let scene = stage(&format!(
        r#"
say(*ask("net:{host}"))
held = urllib.request.urlopen("http://{host}/hold", timeout=100)
held.read(1)
say("holding")
try:
    held.read()
except Exception:
    say("cut")
"#
    ));
    start(&scene);
    let (id, digest) = scene.the_one(RUN);
    scene.tf(&["approve", &id, "--digest", &digest, "--for", "workflow"]).ok();
    scene.start("granted", "r2");
    let holds = |run: &str| said_in(&scene, run).iter().any(|line| line == "holding");
    scene.tick_until("r2", |_| holds("r2"));
    scene.tick_until(RUN, |_| holds(RUN));
    let revoked = scene.tf(&["capability", "revoke", &id, "--reason", "no more", "--json"]).ok().json();
    assert_eq!((&revoked["standing"], &revoked["cut"]), (&json!(true), &json!(true)));
    assert_eq!((&revoked["withIt"][0]["run"], &revoked["withIt"][0]["problem"]), (&json!("r2"), &json!("")));
    for run in [RUN, "r2"] {
        scene.tick_until(run, |shown| shown["status"] == "completed");
    }
    for run in [RUN, "r2"] {
        assert_eq!(said_in(&scene, run).last().unwrap(), "cut");
        assert_eq!(scene.events(run, "capability.revoked").len(), 1);
        scene.is_sound(run);
    }
    let request = scene.events("r2", "capability.approved")[0]["data"]["id"].clone();
    let shown = scene.tf(&["capability", "show", request.as_str().unwrap()]).ok();
    shown.says(&format!("by grant:{id}")).says("for the test").says("no more");
}

#[test]
fn another_definition_a_changed_grant_and_another_workflow_are_asked_about() {
    let server = Server::start();
    let (scene, id) = granted(&server);
    let workflow = scene.read("workflows/granted.task.md");
    let waits = |run: &str| {
        scene.tick_until(run, |_| !scene.waiting(run).is_empty());
        assert_eq!(scene.events(run, "capability.approved").len(), 0, "{run}");
    };
    // A byte more in the definition.
    scene.write("workflows/granted.task.md", workflow.replace("title: granted", "title: Granted"));
    scene.start("granted", "changed");
    waits("changed");
    // The same bytes under another name of the workflow.
    scene.write("workflows/granted.task.md", &workflow);
    scene.write("workflows/other.task.md", workflow.replace("workflowId: granted", "workflowId: other"));
    scene.start("other", "other");
    waits("other");
    // A grant file that says more than was shown.
    let grant = scene.read(&format!("grants/{id}.json"));
    let port = server.port.to_string();
    let other = Server::start();
    scene.write(&format!("grants/{id}.json"), grant.replace(&port, &other.port.to_string()));
    scene.start("granted", "forged");
    waits("forged");
    let listed = scene.tf(&["capability", "list", "--json"]).ok().json();
    assert_eq!(listed["standing"][0]["problem"], "it is not what was shown when it was decided");
    scene.write(&format!("grants/{id}.json"), &grant);
    // A decision that nobody signed so.
    let decision = scene.read(&format!("decisions/{id}.json"));
    scene.write(&format!("decisions/{id}.json"), decision.replace("it needs that", "it needs all"));
    scene.start("granted", "unsigned");
    waits("unsigned");
    scene.write(&format!("decisions/{id}.json"), &decision);
    // A rule that denies beats it.
    let rule = format!("format: 1\nrules:\n- {{effect: deny, kind: net, name: '*:{port}', because: not now}}\n");
    scene.write("policies/p.yaml", rule);
    scene.start("granted", "denied");
    scene.tick_until("denied", |shown| shown["status"] == "completed");
    assert!(said_in(&scene, "denied")[0].contains("not now"));
    std::fs::remove_file(scene.path("policies/p.yaml")).unwrap();
    // And as it was it stands.
    scene.start("granted", "again");
    scene.tick_until("again", |shown| shown["status"] == "completed");
    assert_eq!(said_in(&scene, "again")[1], "hello");
}

#[test]
fn a_standing_package_is_the_very_files_that_were_shown() {
    let index = Index::start();
    let wheel = Wheel::new("thing", "1.0", &[]);
    index.offer("thing", &[&wheel]);
    let scene = with_index(
        &index,
        "import importlib.util\nsay(importlib.util.find_spec('thing') is not None)\ncode, answer = ask('pip:thing', 0)\nsay(code)\nsys.exit(code)",
    );
    start(&scene);
    let (id, digest) = scene.the_one(RUN);
    scene.tf(&["approve", &id, "--digest", &digest, "--for", "workflow"]).ok();
    complete(&scene);
    // The index has moved on: what was shown is what is given, and nothing is asked of the index.
    index.offer("thing", &[&wheel, &Wheel::new("thing", "2.0", &[])]);
    let before = index.seen().len();
    scene.start("granted", "r2");
    scene.tick_until("r2", |shown| shown["status"] == "completed");
    assert_eq!(said_in(&scene, "r2"), ["False", "75", "True", "0"]);
    assert_eq!(decision_in(&scene, "r2")["by"], format!("grant:{id}"));
    assert_eq!(index.seen().len(), before);
    let image = |run: &str| scene.events(run, "capability.applied")[0]["data"]["image"].clone();
    assert_eq!(image(RUN), image("r2"));
    for run in [RUN, "r2"] {
        scene.tf(&["audit", "verify", run]).ok();
        scene.is_sound(run);
    }
}
