//! Lifting the kill switch where approvers are configured.

use super::*;

const UNLOCK: &str = "taskforge-unlock";

#[test]
fn only_who_may_sign_for_it_lifts_the_kill_switch() {
    let scene = signed();
    let key = public(&scene.outside("home/.ssh/id_ed25519"));
    scene.tf(&["kill", "--reason", "a look"]).ok();
    allow(&scene, &format!("ada namespaces=\"{DECISION}\" {key}"));
    scene.tf(&["unlock", "--reason", "fine"]).exits(4).complains("may not sign for namespace \"taskforge-unlock\"");
    let nobody = scene.tf(&["unlock", "--reason", "fine"]).env("HOME", "/nonexistent");
    nobody.exits(4).complains("no key of yours");
    scene.tf(&["kill", "--status"]).exits(10);
    allow(&scene, &format!("ada namespaces=\"taskforge-*\" {key}"));
    scene.tf(&["unlock", "--reason", "it was nothing"]).ok();
    let status = scene.tf(&["kill", "--status"]).ok();
    status.says("Armed").says("(a look, by ").says("(it was nothing, by operator:ada)");
    let history = scene.read(".taskforge/kill/history.jsonl");
    let last: Value = serde_json::from_str(history.lines().last().unwrap()).unwrap();
    let file = format!(".taskforge/kill/{}", last["lifted"]["statement"].as_str().unwrap());
    ssh_keygen_verifies(&scene, "ada", UNLOCK, &scene.path(&file));
    let said = scene.json(&file);
    assert_eq!((&said["reason"], &said["by"]), (&"it was nothing".into(), &"operator:ada".into()));
    // Each is looked at again, with what the line in the history says of it.
    scene.tf(&["audit", "verify"]).ok().says("sound  kill switch: 1 lift, 1 signed");
    for (path, from, to, why) in [
        (file.as_str(), "it was nothing", "it was nothinG", "says something else than this line"),
        (".taskforge/kill/history.jsonl", "a look", "a look!", "says something else than this line"),
        (".taskforge/kill/history.jsonl", "operator:ada", "operator:eve", "says something else than this line"),
    ] {
        let whole = scene.read(path);
        assert!(whole.contains(from), "{path}");
        scene.write(path, whole.replace(from, to));
        scene.tf(&["audit", "verify"]).exits(8).says(why);
        let all = scene.tf(&["audit", "verify", "--json"]).exits(8).json();
        let lifts = all.as_array().unwrap().last().unwrap();
        assert_eq!((&lifts["lifts"], &lifts["signatures"]), (&1.into(), &1.into()), "{all:#}");
        let problem = &lifts["problems"][0];
        assert_eq!((&problem["line"], &problem["byte"]), (&1.into(), &0.into()), "{all:#}");
        assert!(problem["what"].as_str().unwrap().contains(why), "{all:#}");
        scene.tf(&["doctor"]).exits(1).says(why);
        scene.write(path, whole);
    }
    let both = [file.clone(), ".taskforge/kill/history.jsonl".to_owned()];
    let whole = both.clone().map(|path| scene.read(&path));
    for (path, text) in both.iter().zip(&whole) {
        scene.write(path, text.replace("it was nothing", "a lie"));
    }
    scene.tf(&["audit", "verify"]).exits(8).says("does not fit what it lies beside");
    for (path, text) in both.iter().zip(&whole) {
        scene.write(path, text);
    }
    fs::rename(scene.path(&format!("{file}.sig")), scene.outside("sig")).unwrap();
    scene.tf(&["audit", "verify"]).exits(8).says("or its signature is gone");
    fs::rename(scene.outside("sig"), scene.path(&format!("{file}.sig"))).unwrap();
    allow(&scene, &format!("ada namespaces=\"{DECISION}\" {key}"));
    scene.tf(&["audit", "verify"]).exits(8).says("may not sign for namespace");
    allow(&scene, &format!("ada {key}"));
    scene.tf(&["audit", "verify"]).ok();
    assert_eq!((said["registry"].as_str().unwrap(), &said["killedAt"]), (scene.id().as_str(), &last["killed"]["at"]));
}
