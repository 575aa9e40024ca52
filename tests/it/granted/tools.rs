//! `tool:…`: several packages by one name, before a person's word, after it, and after the run that had them.

use std::fs;

use super::stage::{RUN, complete, said, stage};
use crate::scene::{Scene, text};

const LOOK: &str = r#"
import importlib.util, shutil
def there():
    return bool(shutil.which("jq")), importlib.util.find_spec("six") is not None
"#;

fn with_tool(script: &str) -> Scene {
    let scene = stage(&format!("{LOOK}\n{script}"));
    let settings = scene.read("taskforge.toml");
    let tools = "\n[tools.query]\napt = [\"jq\"]\npip = [\"six==1.17.0\"]\n\n[tools.other]\npip = [\"no-such-package-of-taskforge\"]\n";
    scene.write("taskforge.toml", settings + tools);
    scene
}

#[test]
fn all_packages_of_a_tool_are_there_after_one_decision_and_not_before() {
    let scene = with_tool(
        r#"
say(*there())
code, answer = ask("tool:query", 0)
say(code, *answer.get("granted", []))
sys.exit(code)
"#,
    );
    scene.start("granted", RUN);
    scene.drive(RUN, 11);
    assert_eq!(said(&scene), ["False False", "75"]);
    let (id, digest) = scene.the_one(RUN);
    let shown = scene.tf(&["approve", &id, "--show"]).ok();
    shown.says("Asked     tool:query").says("tool:query stands for apt:jq=").says("pip:six==1.17.0");
    shown.says("+ apt jq ").says("+ pip six ").says(&format!("Review    {digest}"));
    let resolution = &scene.events(RUN, "capability.resolved")[0]["data"]["resolution"];
    assert!(resolution["lock"]["apt"].as_array().unwrap().len() >= 2, "jq brings its library: {resolution:#}");
    assert_eq!(resolution["members"].as_array().unwrap().len(), 2);
    assert_eq!(scene.events(RUN, "image.building").len(), 0);
    scene.tf(&["approve", &id, "--digest", &digest]).ok();
    scene.drive(RUN, 0);
    assert_eq!(said(&scene)[2..], ["True True", "0 tool:query"]);
    // It is gone with the run: there is nothing left to take back.
    scene.tf(&["capability", "revoke", &id, "--reason", "no more"]).exits(7).complains("is completed");
    scene.is_sound(RUN);
    scene.start("granted", "r2");
    scene.drive("r2", 11);
    let theirs = fs::read_to_string(scene.path("runs/r2/nodes/work/workspace/said.txt")).unwrap();
    assert_eq!(theirs, "False False\n75\n");
}

#[test]
fn an_unknown_tool_is_refused_with_those_there_are() {
    let scene = with_tool("code, answer = ask(\"tool:browser\")\nsay(code, answer.get(\"comment\"), *there())");
    scene.start("granted", RUN);
    complete(&scene);
    assert_eq!(said(&scene), ["4 taskforge.toml defines no tool `browser`; there are: other, query False False"]);
    assert_eq!(scene.events(RUN, "capability.resolved").len(), 0);
    scene.is_sound(RUN);
}

#[test]
fn a_tool_with_a_package_that_cannot_be_had_cannot_be_had() {
    let scene = with_tool("code, answer = ask(\"tool:other\")\nsay(code, answer[\"status\"], answer.get(\"comment\"))");
    scene.start("granted", RUN);
    complete(&scene);
    let said = said(&scene);
    assert!(said[0].starts_with("4 unresolvable `pip:no-such-package-of-taskforge` of tool `other`"), "{said:?}");
    scene.is_sound(RUN);
}

#[test]
fn a_rule_against_a_package_holds_for_the_tool_that_brings_it() {
    let scene = with_tool("code, answer = ask(\"tool:query\")\nsay(code, answer.get(\"comment\"))");
    let rules = "format: 1\nrules:\n- {effect: allow, kind: tool, name: '*'}\n- {effect: deny, kind: pip, name: six, because: not six}\n";
    fs::write(scene.path("policies/p.yaml"), rules).unwrap();
    scene.start("granted", RUN);
    complete(&scene);
    assert_eq!(said(&scene), ["4 not six"]);
    let denied = &scene.events(RUN, "capability.denied")[0]["data"]["decision"]["by"];
    assert_eq!(text(denied), "policy:p.yaml:4");
    scene.is_sound(RUN);
}

#[test]
fn a_tool_of_no_packages_or_of_nonsense_is_an_error_of_the_settings() {
    for (tool, complaint) in [
        ("[tools.empty]\n", "tools.empty"),
        ("[tools.x]\npip = [\"a; b\"]\n", "tools.x"),
        ("[tools.x]\npip = [\"--index-url=x\"]\n", "tools.x"),
        ("[tools.\"A B\"]\npip = [\"six\"]\n", "tools.A B"),
        ("[tools.x]\ngem = [\"rails\"]\n", "gem"),
        ("[mounts]\nroots = [\"data\"]\n", "mounts.roots"),
        ("[mounts]\nroots = [\"/\"]\n", "mounts.roots"),
        ("[mounts]\nroots = [\"/data/../etc\"]\n", "mounts.roots"),
    ] {
        let scene = Scene::new();
        let settings = scene.read("taskforge.toml");
        scene.write("taskforge.toml", format!("{settings}\n{tool}"));
        scene.tf(&["run", "start", "sales-report"]).exits(2).complains(complaint);
        scene.write("taskforge.toml", settings);
    }
}
