//! The images of a registry, looked at: what they hold, where, and what nobody needs any more.

use std::process::Command;

use serde_json::{Value, json};

use crate::docker_api;
use crate::python::environment;
use crate::scene::{Scene, text};

/// Each package of Python's is given by a rule.
fn allow_pip(scene: &Scene) {
    scene.write("policies/all.yaml", "format: 1\nrules:\n- {effect: allow, kind: pip, name: '*'}\n");
}

/// A run whose one node has `packages`, given by a rule.
fn run_with(scene: &Scene, run: &str, packages: &[&str]) -> String {
    allow_pip(scene);
    let more = format!("command: [\"true\"]\ncapabilities: {}", json!(packages));
    scene.commands(run, &[("work", &more, &[])]);
    scene.start(run, run);
    scene.tick_until(run, |shown| shown["status"] == "completed");
    let events = scene.events(run, "capability.applied");
    let image = events.last().unwrap()["data"]["image"].as_str().unwrap().to_owned();
    let listed = scene.tf(&["image", "list", "--json"]).ok().json();
    let listed = listed["images"].as_array().unwrap().iter().find(|listed| listed["id"] == image.as_str()).unwrap();
    assert_eq!(listed["status"], "built");
    listed["recipe"].as_str().unwrap().to_owned()
}

const STRICT: &str = "import sys\nfrom cyclonedx.schema import SchemaVersion\nfrom cyclonedx.validation.json import JsonStrictValidator\n\
                  found = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(sys.argv[1]).read())\nsys.exit(str(found) if found else 0)";

/// The bill as CycloneDX of an image is one by the standard's own program, which also knows that nothing may be in it twice.
pub fn validate_cyclonedx(scene: &Scene, image: &str) {
    let tools = environment("taskforge-sbom", "SBOM_TOOLS_VERSION", "ensure_sbom_tools").join("bin");
    let bill = scene.path(&format!("images/{}/sbom.cdx.json", &image[..12]));
    let check = Command::new(tools.join("python")).args(["-c", STRICT]).arg(bill).output().unwrap();
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
}

/// What the standards' own programs say of the bills.
fn validate(scene: &Scene, image: &str) {
    let tools = environment("taskforge-sbom", "SBOM_TOOLS_VERSION", "ensure_sbom_tools").join("bin");
    scene.tf(&["image", "sbom", image]).ok().says("pkg:deb/debian/libc6@");
    for (format, file) in [("cyclonedx", "sbom.cdx.json"), ("spdx", "sbom.spdx.json")] {
        let printed = scene.tf(&["image", "sbom", image, "--format", format]).ok();
        let path = format!("images/{}/{file}", &image[..12]);
        let (printed, kept): (Value, Value) =
            (serde_json::from_str(&printed.stdout).unwrap(), serde_json::from_str(&scene.read(&path)).unwrap());
        assert_eq!(printed, kept, "{path}");
    }
    let cyclonedx = scene.path(&format!("images/{}/sbom.cdx.json", &image[..12]));
    let spdx = scene.path(&format!("images/{}/sbom.spdx.json", &image[..12]));
    let mut checks = [
        Command::new(tools.join("python")).args(["-c", STRICT]).arg(&cyclonedx),
        Command::new(tools.join("python")).args(["-m", "spdx_tools.spdx.clitools.pyspdxtools", "-i"]).arg(&spdx),
    ]
    .map(|check| check.output().unwrap());
    for check in &mut checks {
        let said = String::from_utf8_lossy(&check.stdout).into_owned() + &String::from_utf8_lossy(&check.stderr);
        assert!(check.status.success(), "{said}");
    }
    // They would say no to what is not of their form.
    let mut wrong: Value = serde_json::from_str(&std::fs::read_to_string(&cyclonedx).unwrap()).unwrap();
    wrong["components"][0]["hashes"][0]["content"] = json!("no digest");
    std::fs::write(scene.path("wrong.json"), wrong.to_string()).unwrap();
    let wrong = Command::new(tools.join("python")).args(["-c", STRICT]).arg(scene.path("wrong.json")).output().unwrap();
    assert!(!wrong.status.success());
    let mut wrong: Value = serde_json::from_str(&std::fs::read_to_string(&spdx).unwrap()).unwrap();
    let packages = wrong["packages"].as_array_mut().unwrap();
    let digested = packages.iter_mut().find(|package| package["checksums"].is_array()).unwrap();
    digested["checksums"][0]["checksumValue"] = json!("no digest");
    std::fs::write(scene.path("wrong.spdx.json"), wrong.to_string()).unwrap();
    let mut check = Command::new(tools.join("python"));
    check.args(["-m", "spdx_tools.spdx.clitools.pyspdxtools", "-i"]).arg(scene.path("wrong.spdx.json"));
    let wrong = check.output().unwrap();
    let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(wrong.status.code() == Some(1) && said.contains("The document is invalid."), "{said}");
}

#[test]
fn images_are_listed_compared_found_billed_and_cleared() {
    let scene = Scene::with_own_base();
    scene.tf(&["image", "list"]).ok().says("No image was asked for.");
    let one = run_with(&scene, "one", &["pip:six==1.16.0"]);
    let two = run_with(&scene, "two", &["pip:six==1.17.0", "pip:idna==3.10"]);
    let (short_one, short_two) = (&one[..12], &two[..12]);

    let shown = scene.tf(&["image", "show", short_two]).ok();
    shown.says(&format!("taskforge/agent:{short_two}  built")).says("  pip:idna 3.10  sha256 ").says("runs      two");
    let diff = scene.tf(&["image", "diff", short_one, short_two]).ok();
    diff.says("+ pip:idna 3.10\n~ pip:six 1.16.0 -> 1.17.0\n");
    scene.tf(&["image", "diff", short_one, short_one]).ok().says("No difference.");
    let found = scene.tf(&["image", "find", "six", "--version", "1.17.*"]).ok();
    found.says(short_two).says("approved");
    assert!(!found.stdout.contains(short_one));
    scene.tf(&["image", "find", "left-pad"]).exits(3).complains("no image of this registry holds `left-pad`");
    scene.tf(&["image", "show", "ffffffffffff"]).exits(3).complains("no image `ffffffffffff`");
    scene.tf(&["image", "sbom", &two]).ok().says("pkg:pypi/six@1.17.0");
    validate(&scene, &two);
    // The bill has what the base holds, also of an image that another registry had built.
    for file in ["installed.json", "sbom.cdx.json", "sbom.spdx.json"] {
        std::fs::remove_file(scene.path(&format!("images/{short_two}/{file}"))).unwrap();
    }
    // What could not be searched makes no "no" of it.
    scene.write("images/0123456789ab/recipe.json", "{}");
    let unread = scene.tf(&["image", "find", "left-pad"]).exits(1);
    unread.complains("no image that could be searched holds `left-pad`; 2 could not be");
    unread
        .complains("images/0123456789ab: ")
        .complains(&format!("images/{short_two}: what its base holds is not known"));
    let listed = scene.tf(&["image", "find", "apt:libc6:amd64", "--json"]).ok().json();
    assert_eq!((listed["unsearched"].as_array().unwrap().len(), &listed["found"][0]["layer"]), (2, &json!("base")));
    std::fs::remove_dir_all(scene.path("images/0123456789ab")).unwrap();
    let found = scene.tf(&["image", "find", "apt:libc6"]).ok();
    found.complains("warning: not searched: images/");
    assert!(found.stdout.contains(short_one) && !found.stdout.contains(short_two), "{}", found.stdout);
    validate(&scene, &two);
    scene.tf(&["image", "find", "libc6"]).ok().says(short_two).says("base");

    // What has another name would not be gone.
    let second = format!("taskforge/test-second:{}", scene.id().to_lowercase());
    docker_api::name_image(&format!("taskforge/agent:{short_two}"), &second);
    let kept = scene.tf(&["image", "gc"]).ok();
    kept.says(&format!("kept taskforge/agent:{short_two}: it is {second}, too")).says("1 images");
    assert!(docker_api::image(&format!("taskforge/agent:{short_two}")).is_some());
    docker_api::remove_image(&second);
    run_with(&scene, "three", &["pip:six==1.16.0"]);

    // What is needed by a run that goes on is kept; what is not is not.
    let more = format!("command: [\"sleep\", \"1000\"]\ncapabilities: {}", json!(["pip:six==1.16.0"]));
    scene.commands("busy", &[("work", &more, &[])]);
    scene.start("busy", "busy");
    scene.tick_until("busy", |shown| shown["nodes"][0]["status"] == "running");
    let would = scene.tf(&["image", "gc", "--dry-run"]).ok();
    would.says(&format!("would remove taskforge/agent:{short_two}"));
    assert!(!would.stdout.contains(short_one) && docker_api::image(&format!("taskforge/agent:{short_two}")).is_some());
    let removed = scene.tf(&["image", "gc"]).ok();
    removed.says(&format!("removed taskforge/agent:{short_two}")).says("idna-3.10-py3-none-any.whl");
    assert!(docker_api::image(&format!("taskforge/agent:{short_two}")).is_none());
    assert!(docker_api::image(&format!("taskforge/agent:{short_one}")).is_some());
    let packages = std::fs::read_dir(scene.path(".taskforge/packages")).unwrap().flatten();
    let stored: Vec<_> = packages.filter(|file| !file.file_name().to_string_lossy().starts_with('.')).collect();
    assert_eq!(stored.len(), 1, "{stored:?}");
    // Its files say what it was.
    scene.tf(&["image", "show", short_two]).ok().says("removed");
    scene.tf(&["image", "gc"]).ok().says("0 images");
    // On the day that a package turns out to be bad it is taken back first, and asked for afterwards.
    let id = text(&scene.events("busy", "capability.approved")[0]["data"]["id"]);
    scene.tf(&["capability", "revoke", &id, "--reason", "it is bad"]).ok();
    let found = scene.tf(&["image", "find", "six", "--version", "1.16.0", "--json"]).ok();
    assert!(found.stdout.contains("\"busy\""), "{}", found.stdout);
    scene.tf(&["kill", "--reason", "done"]).ok();
}

const TWO_IN_TURN: &str = r#"---
workflowId: work
title: Work
nodes:
- id: first
  title: First
  kind: session_turn
  prompt: work
  outputs: {mode: notify}
  container:
    runtime: command
    command: [sh, -c, "while [ ! -e go ]; do sleep 0.05; done"]
    capabilities: ["pip:six==1.16.0"]
- id: second
  title: Second
  kind: session_turn
  prompt: work
  outputs: {mode: notify}
  needs: [first]
  container:
    runtime: command
    command: [python3, -c, "import six"]
---
"#;

#[test]
fn an_image_that_somebody_took_away_is_built_again_before_a_node_needs_it() {
    let scene = Scene::with_own_base();
    allow_pip(&scene);
    scene.write("workflows/work.task.md", TWO_IN_TURN);
    let until_it_runs = |run: &str| {
        scene.start("work", run);
        scene.tick_until(run, |shown| shown["nodes"][0]["status"] == "running");
    };
    let go = |run: &str| std::fs::write(scene.path(&format!("runs/{run}/nodes/first/workspace/go")), "").unwrap();
    until_it_runs("work");
    let taken = scene.tf(&["image", "list", "--json"]).ok().json()["images"][0]["recipe"].as_str().unwrap().to_owned();
    let name = format!("taskforge/agent:{}", &taken[..12]);
    docker_api::remove_image(&name);
    assert!(docker_api::image(&name).is_none());
    go("work");
    scene.tick_until("work", |shown| shown["status"] == "completed");
    assert_eq!(scene.events("work", "image.building").len(), 2);
    scene.is_sound("work");

    // Where another image has its name it cannot be built: the attempt says so, and no tick tries for ever.
    until_it_runs("other");
    assert_eq!(scene.events("other", "image.building").len(), 0);
    docker_api::remove_image(&name);
    docker_api::name_image(scene.own_base(), &name);
    go("other");
    let shown = scene.tick_until("other", |shown| shown["status"] == "failed");
    assert_eq!(scene.events("other", "image.building").len(), 1);
    assert!(shown["nodes"][1].to_string().contains("was removed, and is not there again: "), "{shown:#}");
    docker_api::remove_image(&name);
    // An old failure is none of a new try.
    scene.tf(&["run", "retry", "other", "second"]).ok();
    scene.tick_until("other", |shown| shown["status"] == "completed");
    assert_eq!(scene.events("other", "image.building").len(), 2);
    scene.is_sound("other");
}

#[test]
fn an_image_is_built_again_upon_a_base_that_has_changed() {
    let scene = Scene::with_own_base();
    let old = run_with(&scene, "one", &["pip:six==1.16.0"]);
    scene.tf(&["image", "refresh"]).ok().says("Every image is upon its base as it is.");
    docker_api::own_base_holding(scene.own_base(), "a newer base");
    let short = &old[..12];
    let would = scene.tf(&["image", "refresh", "--dry-run", "--json"]).ok().json();
    let new = would["images"][0]["to"].as_str().unwrap().to_owned();
    assert_eq!((&would["images"][0]["built"], docker_api::image(&new).is_some()), (&json!(false), false));
    let done = scene.tf(&["image", "refresh", short]).ok();
    done.says(&format!("taskforge/agent:{short} -> {new}\n~ base {}, made anew\n", scene.own_base()));
    assert!(docker_api::image(&new).is_some());
    scene.tf(&["image", "show", &new]).ok().says("  pip:six 1.16.0  sha256 ").says("runs      none");
    scene.tf(&["image", "refresh"]).ok().says(&format!("taskforge/agent:{short} built already as {new}"));
    // What was approved for a run is what it keeps; what is asked for now finds its image built.
    scene.start("one", "again");
    scene.tick_until("again", |shown| shown["status"] == "completed");
    assert_eq!(scene.events("again", "image.building").len(), 0);
    let applied = scene.events("again", "capability.applied");
    assert_eq!(docker_api::image(&new).unwrap()["Id"], applied[0]["data"]["image"]);
}
