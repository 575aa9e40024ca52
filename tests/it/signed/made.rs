//! What we sign the real tool verifies, and what it signs counts here.

use std::fs;

use serde_json::json;

use super::*;

#[test]
fn ssh_keygen_verifies_what_is_signed_with_a_key_file() {
    let scene = scene();
    for (kind, bits) in [("ed25519", None), ("ecdsa", Some("256")), ("ecdsa", Some("384"))] {
        let name = format!("{kind}{}", bits.unwrap_or_default());
        let key = scene.outside(&format!("keys/{name}"));
        make_key(&key, kind, &bits.map(|bits| ["-b", bits]).unwrap_or(["-a", "1"]));
        allow(&scene, &format!("ada@example.org namespaces=\"{DECISION}\" {}", public(&key)));
        let decision = asked(&scene, &name);
        let id = decision["request"].as_str().unwrap();
        let said = scene
            .tf(&["approve", id, "--digest", decision["digest"].as_str().unwrap(), "--comment", "go"])
            .env("TASKFORGE_SIGNING_KEY", key.to_str().unwrap())
            .ok();
        said.says("signed by ada@example.org with SHA256:");
        ssh_keygen_verifies(&scene, "ada@example.org", DECISION, &scene.path(&path_of(&decision)));
        let record = decision_of(&scene, &name);
        assert_eq!((&record["proven"], &record["by"]), (&json!(true), &json!("operator:ada@example.org")));
        let listed = must(openssh("ssh-keygen").args(["-l", "-f"]).arg(&key).output().unwrap());
        assert!(listed.contains(record["key"].as_str().unwrap()), "{listed}");
        let verified = scene.tf(&["audit", "verify", &name]).ok();
        assert!(!verified.says("1 signed decision").stdout.contains("unproven"), "{}", verified.stdout);
        scene.is_sound(&name);
    }
}

#[test]
fn ssh_keygen_verifies_what_an_agent_signs() {
    let scene = scene();
    let agent = Agent::start(&scene.outside("home"));
    let agent_at = agent.socket.to_str().unwrap().to_owned();
    for (kind, more) in [("ed25519", ["-N", "open sesame"]), ("rsa", ["-b", "2048"]), ("ecdsa", ["-b", "256"])] {
        let key = make_key(&scene.outside(&format!("keys/{kind}")), kind, &more);
        agent.add(&key, "open sesame");
        allow(&scene, &format!("ada {}", public(&key)));
        let decision = asked(&scene, kind);
        let id = decision["request"].as_str().unwrap();
        let digest = decision["digest"].as_str().unwrap();
        scene.tf(&["approve", id, "--digest", digest]).env("SSH_AUTH_SOCK", &agent_at).ok().says("signed by ada");
        ssh_keygen_verifies(&scene, "ada", DECISION, &scene.path(&path_of(&decision)));
        scene.is_sound(kind);
    }
    // An agent that is locked says no, and nothing is decided.
    agent.lock(&scene.outside("keys/lock"));
    let decision = asked(&scene, "locked");
    let id = decision["request"].as_str().unwrap();
    let digest = decision["digest"].as_str().unwrap();
    let call = scene.tf(&["approve", id, "--digest", digest]).env("SSH_AUTH_SOCK", &agent_at);
    call.exits(4).complains("no key of yours may sign");
    assert_eq!(status(&scene, "locked"), "waiting");
}

#[test]
fn what_ssh_keygen_signs_counts() {
    let scene = scene();
    for (kind, more) in [("ed25519", ["-a", "1"]), ("rsa", ["-b", "2048"]), ("ecdsa", ["-b", "384"])] {
        let key = make_key(&scene.outside(&format!("keys/{kind}")), kind, &more);
        allow(&scene, &format!("*@example.org,ada {}", public(&key)));
        let mut decision = asked(&scene, kind);
        decision["by"] = json!("operator:grace@example.org");
        put(&scene, &decision, Some(&sign(&key, DECISION, &bytes(&decision))));
        scene.tf(&["tick", kind]).ok();
        let record = decision_of(&scene, kind);
        assert_eq!((&record["proven"], &record["by"]), (&json!(true), &json!("operator:grace@example.org")));
        let event = &scene.events(kind, "node.completed")[0];
        assert_eq!(event["actor"], "operator:grace@example.org", "whoever ticked did not decide");
        scene.is_sound(kind);
    }
}

/// The commands of docs/signing.md, as they stand there.
#[test]
fn a_decision_is_checked_by_hand_as_the_documentation_says() {
    let scene = signed();
    let decision = asked(&scene, "r");
    let (id, digest) = (decision["request"].as_str().unwrap(), decision["digest"].as_str().unwrap());
    scene.tf(&["approve", id, "--digest", digest]).ok();
    let text = fs::read_to_string(crate::model_server::repository("docs/signing.md")).unwrap();
    let section = text.split_once("\n## Checking a decision by hand\n").unwrap().1;
    let blocks: Vec<&str> = section.split("```\n").skip(1).step_by(2).collect();
    assert_eq!(blocks.len(), 2, "{blocks:?}");
    let run = |block: &str| {
        let script =
            block.replace("ada@example.org", "ada").replace("ID.json", &format!("{id}.json")).replace("RUN", "r");
        let mut shell = std::process::Command::new("sh");
        shell.args(["-euc", &script]).current_dir(scene.root()).output().unwrap()
    };
    let verified = must(run(blocks[0]));
    assert!(verified.starts_with("Good \"taskforge-decision\" signature for ada with ED25519 key "), "{verified}");
    let found = must(run(blocks[1]));
    assert!(found.contains("\"node.completed\"") && found.contains(&format!("decisions/{id}.json")), "{found}");
    // And they say no where something is not as it was.
    let file = format!("decisions/{id}.json");
    let changed = scene.read(&file).replace("\"approve\"", "\"deny\"");
    scene.write(&file, changed);
    for block in blocks {
        assert!(!run(block).status.success(), "{block}");
    }
}

#[test]
fn a_denial_is_signed_and_verified_like_an_approval() {
    let scene = signed();
    let decision = asked(&scene, "no");
    let (id, digest) = (decision["request"].as_str().unwrap(), decision["digest"].as_str().unwrap());
    scene.tf(&["deny", id, "--digest", digest, "-m", "not today"]).ok().says("signed by ada");
    ssh_keygen_verifies(&scene, "ada", DECISION, &scene.path(&path_of(&decision)));
    assert_eq!(status(&scene, "no"), "failed");
    scene.tf(&["audit", "verify", "no"]).ok().says("1 signed decision");
    fs::remove_file(scene.path(&format!("{}.sig", path_of(&decision)))).unwrap();
    scene.tf(&["audit", "verify", "no"]).exits(8).says("has lost its signature");
}

#[test]
fn without_approvers_decisions_are_unproven_and_it_is_said() {
    let scene = scene();
    asked(&scene, "r");
    scene.tf(&["inbox"]).ok().says("Decisions are unproven");
    assert_eq!(scene.tf(&["inbox", "--json"]).ok().json()["decisionsProven"], false);
    scene.tf(&["doctor"]).ok().says("unproven: whoever runs as this user can decide");
    scene.approve("r");
    scene.tf(&["audit", "verify", "r"]).ok().says("unproven: no signatures are configured");
    scene.tf(&["keys", "list"]).ok().says("unproven");
    // Approvers who come later make nothing proven that was not.
    let key = make_key(&scene.outside("home/.ssh/id_ed25519"), "ed25519", &[]);
    allow(&scene, &format!("ada {}", public(&key)));
    scene.tf(&["audit", "verify", "r"]).ok().says("before approvers were configured");
}
