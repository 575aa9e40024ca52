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
    assert_eq!((said["registry"].as_str().unwrap(), &said["killedAt"]), (scene.id().as_str(), &last["killed"]["at"]));
}
