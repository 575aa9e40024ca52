//! Packages of Python, of Debian, of npm and of a tool: missing before the decision, there after it, and missing again in the next
//! attempt once they were taken back.

use super::index::stage as with_index;
use super::stage::{RUN, complete, said, stage, tick_until, wait_for_request};
use crate::image::index::{Index, Wheel};
use crate::scene::{Scene, text};

/// An agent that looks by `there`, asks for `wanted` while it has it not and for something else once it has, and ends
/// with its third attempt.
fn looks(there: &str, wanted: &str) -> String {
    format!(
        r#"
import importlib.util, os, shutil
there = bool({there})
say(there)
if len(open("/workspace/said.txt").read().split()) == 3:
    sys.exit(0)
ask("net:127.0.0.9:9" if there else "{wanted}", 0)
sys.exit(75)
"#
    )
}

/// Three attempts: without it, with it as granted, and without it again.
fn is_there_only_while_it_is_granted(scene: &Scene, wanted: &str) {
    scene.start("granted", RUN);
    wait_for_request(scene);
    let (id, digest) = scene.the_one(RUN);
    scene.tf(&["approve", &id, "--show"]).ok().says(&format!("Asked     {wanted}"));
    scene.tf(&["approve", &id, "--digest", &digest]).ok();
    tick_until(scene, "the second question", || {
        scene.waiting(RUN).iter().any(|item| item["what"] == "net:127.0.0.9:9").then_some(())
    });
    let revoked = scene.tf(&["capability", "revoke", &id, "--reason", "no more"]).ok();
    revoked.says("the next attempt is without it");
    let (other, digest) = scene.the_one(RUN);
    scene.tf(&["deny", &other, "--digest", &digest, "-m", "no"]).ok();
    complete(scene);
    assert_eq!(said(scene), ["False", "True", "False"]);
    let images: Vec<String> =
        scene.events(RUN, "node.dispatching").iter().map(|event| text(&event["data"]["plan"]["image"])).collect();
    assert_eq!(images.len(), 3);
    assert_eq!(images[0], images[2], "the base again");
    assert_ne!(images[0], images[1]);
    scene.is_sound(RUN);
}

#[test]
fn a_package_of_python() {
    let index = Index::start();
    index.offer("thing", &[&Wheel::new("thing", "1.0", &[])]);
    let scene = with_index(&index, &looks(r#"importlib.util.find_spec("thing")"#, "pip:thing==1.0"));
    is_there_only_while_it_is_granted(&scene, "pip:thing==1.0");
}

#[test]
fn a_package_of_debian() {
    let scene = stage(&looks(r#"shutil.which("jq")"#, "apt:jq"));
    is_there_only_while_it_is_granted(&scene, "apt:jq");
}

#[test]
fn a_package_of_npm() {
    let scene = stage(&looks(r#"os.path.exists("/node_modules/is-odd")"#, "npm:is-odd@3.0.1"));
    is_there_only_while_it_is_granted(&scene, "npm:is-odd@3.0.1");
}

#[test]
fn a_tool() {
    let there = r#"shutil.which("jq") and importlib.util.find_spec("six")"#;
    let scene = stage(&looks(there, "tool:query"));
    let tools = "\n[tools.query]\napt = [\"jq\"]\npip = [\"six==1.17.0\"]\n";
    scene.write("taskforge.toml", scene.read("taskforge.toml") + tools);
    is_there_only_while_it_is_granted(&scene, "tool:query");
}
