//! The image that a deployment pins is there for as long as it may be started, whatever is cleared up.

use serde_json::json;

use super::stage::{PRELUDE, Ports, RUN, until};
use crate::docker_api;
use crate::scene::{Scene, text};

#[test]
fn clearing_up_leaves_what_a_stopped_deployment_is_started_from() {
    let _ports = Ports::take();
    let scene = Scene::with_own_base();
    std::fs::write(scene.path("policies/all.yaml"), "format: 1\nrules:\n- {effect: allow, kind: pip, name: '*'}\n")
        .unwrap();
    let script = format!("{PRELUDE}\nput('site/index.html', '<p>kept</p>')");
    let container = format!(
        "command: {}\ncapabilities: ['pip:six==1.16.0']\n\
         deploy: {{port: 8000, command: [python3, -m, http.server, '8000', --bind, 127.0.0.1], folder: site}}",
        json!(["python3", "-c", script])
    );
    scene.commands("deployed", &[("web", &container, &[])]);
    scene.start("deployed", RUN);
    scene.tick_until(RUN, |_| !scene.waiting(RUN).is_empty());
    let (id, digest) = scene.the_one(RUN);
    scene.tf(&["approve", &id, "--digest", &digest]).ok();
    until(&scene, "running");
    scene.tick_until(RUN, |shown| shown["status"] == "completed");
    let listed = scene.tf(&["image", "list", "--json"]).ok().json();
    let recipe = text(&listed["images"][0]["recipe"]);
    let image = format!("taskforge/agent:{}", &recipe[..12]);
    let name = format!("taskforge/deployed:{}-{id}", scene.id());
    scene.tf(&["deployment", "stop", &id, "--reason", "for now"]).ok();
    until(&scene, "stopped");

    // Also another registry, which knows nothing of it, finds a name that is not its to take.
    assert!(docker_api::image(&name).is_some(), "{name}");
    scene.tf(&["image", "gc", "--dry-run"]).ok().says(&format!("kept {image}: it is {name}, too"));
    scene.tf(&["image", "gc"]).ok().says(&format!("kept {image}: it is {name}, too"));
    scene.tf(&["deployment", "start", &id]).ok();
    until(&scene, "running");

    scene.tf(&["capability", "revoke", &id, "--reason", "no more"]).ok();
    scene.tf(&["image", "gc"]).ok().says(&format!("removed {image}"));
    assert!(docker_api::image(&name).is_none() && docker_api::image(&image).is_none());
}

#[test]
fn who_takes_back_a_package_is_told_which_deployments_go_on_with_it() {
    let _ports = Ports::take();
    let scene = Scene::new();
    std::fs::write(scene.path("policies/all.yaml"), "format: 1\nrules:\n- {effect: allow, kind: pip, name: '*'}\n")
        .unwrap();
    let script = format!("{PRELUDE}\nput('site/index.html', '<p>kept</p>')");
    let container = format!(
        "command: {}\ncapabilities: ['pip:six==1.16.0']\n\
         deploy: {{port: 8000, command: [python3, -m, http.server, '8000', --bind, 127.0.0.1], folder: site}}",
        json!(["python3", "-c", script])
    );
    scene.commands("deployed", &[("web", &container, &[]), ("busy", "command: [\"sleep\", \"1000\"]", &[])]);
    scene.start("deployed", RUN);
    scene.tick_until(RUN, |_| !scene.waiting(RUN).is_empty());
    let (id, digest) = scene.the_one(RUN);
    scene.tf(&["approve", &id, "--digest", &digest]).ok();
    let address = text(&until(&scene, "running")["address"]);
    let said = |scene: &Scene| scene.tf(&["deployment", "list"]).ok().stdout;
    assert!(!said(&scene).contains("still has"));

    let package = text(&scene.events(RUN, "capability.applied")[0]["data"]["id"]);
    let revoked = scene.tf(&["capability", "revoke", &package, "--reason", "it is bad"]).ok();
    revoked.says(&format!("Deployment {id} at {address} goes on with it"));
    let still = format!("still has pip:six==1.16.0, which is revoked (request {package})");
    assert!(said(&scene).contains(&still), "{}", said(&scene));
    scene.tf(&["deployment", "show", &id]).ok().says(&still);
    // Whoever takes that back as well has nothing left of it.
    let revoked = scene.tf(&["capability", "revoke", &id, "--reason", "with it"]).ok();
    assert!(!revoked.stdout.contains("goes on"));
    assert!(!said(&scene).contains("still has"));
    scene.tf(&["run", "cancel", RUN]).ok();
}
