//! Signatures that prove nothing: each stands aside with its reason, the run goes on waiting, and a right one counts.

use serde_json::json;

use super::*;

/// A decision that lies there with its signature is refused for `reason`, and the run stays as it was.
fn is_refused(scene: &Scene, run: &str, decision: &Value, signature: &[u8], reason: &str) {
    put(scene, decision, Some(signature));
    scene.tf(&["tick", run]).ok();
    assert_eq!(status(scene, run), "waiting", "{reason}");
    let rejected = scene.events(run, "input.rejected");
    let said =
        rejected.last().unwrap_or_else(|| panic!("nothing was refused for {reason:?}"))["data"]["reason"].clone();
    assert!(said.as_str().unwrap().contains(reason), "{said} instead of {reason}");
    assert!(!scene.path(&path_of(decision)).exists() && !scene.path(&format!("{}.sig", path_of(decision))).exists());
    scene.tf(&["audit", "verify", run]).ok().says("sound");
}

#[test]
fn what_is_signed_for_something_else_counts_for_nothing() {
    let scene = signed();
    let key = scene.outside("home/.ssh/id_ed25519");
    let other = make_key(&scene.outside("keys/other"), "ed25519", &[]);
    let right = asked(&scene, "r");
    let by = |namespace: &str, decision: &Value| sign(&key, namespace, &bytes(decision));
    let with = |field: &str, value: &str| {
        let mut decision = right.clone();
        decision[field] = json!(value);
        decision
    };

    // Signed rightly, and for another purpose.
    is_refused(&scene, "r", &right, &by("file", &right), "for namespace \"file\"");
    is_refused(&scene, "r", &right, &by("taskforge-unlock", &right), "for namespace \"taskforge-unlock\"");
    is_refused(&scene, "r", &right, &by("taskforge-decision ", &right), "for namespace");
    // By somebody whom nobody named, or in another's name.
    is_refused(&scene, "r", &right, &sign(&other, DECISION, &bytes(&right)), "is not in allowed_signers");
    let posing = with("by", "operator:grace");
    is_refused(&scene, "r", &posing, &by(DECISION, &posing), "is not grace's");
    // Of another registry, or of none.
    let elsewhere = with("registry", "01JD2Z3V5Q8M4K7N9P1R2S3T4A");
    is_refused(&scene, "r", &elsewhere, &by(DECISION, &elsewhere), "of registry");
    let mut old = right.clone();
    old["format"] = json!(1);
    old.as_object_mut().unwrap().remove("registry");
    is_refused(&scene, "r", &old, &by(DECISION, &old), "names no registry");
    // Of yesterday: what was shown then is not what stands there now.
    let stale = with("digest", &"0".repeat(64));
    is_refused(&scene, "r", &stale, &by(DECISION, &stale), "stands there now");
    // Changed after it was signed, by a byte.
    let denied = with("verdict", "deny");
    is_refused(&scene, "r", &denied, &by(DECISION, &right), "does not fit what it lies beside");
    is_refused(&scene, "r", &with("comment", " "), &by(DECISION, &right), "does not fit");
    // Another request's decision under this one's name.
    let second = asked(&scene, "second");
    scene.write(&format!("{}.sig", path_of(&right)), by(DECISION, &second));
    scene.write(&path_of(&right), bytes(&second));
    scene.tf(&["tick", "r"]).ok();
    assert!(
        scene.events("r", "input.rejected").last().unwrap()["data"]["reason"]
            .as_str()
            .unwrap()
            .contains("another request")
    );
    // And another request's words under this one's signature.
    is_refused(&scene, "second", &second, &by(DECISION, &right), "does not fit");

    put(&scene, &right, Some(&by(DECISION, &right)));
    scene.tf(&["tick", "r"]).ok();
    assert_eq!(status(&scene, "r"), "completed", "after all that the right one counts");
    scene.is_sound("r");
}

#[test]
fn armour_is_read_to_the_letter() {
    let scene = signed();
    let key = scene.outside("home/.ssh/id_ed25519");
    let right = asked(&scene, "r");
    let armour = String::from_utf8(sign(&key, DECISION, &bytes(&right))).unwrap();
    let lines: Vec<&str> = armour.lines().collect();
    let whole = |inside: &[&str]| format!("{}\n{}\n{}\n", lines[0], inside.join("\n"), lines[lines.len() - 1]);
    let inside = &lines[1..lines.len() - 1];
    for (signature, reason) in [
        (format!("x\n{armour}"), "does not begin with"),
        (format!("{armour}{armour}"), "something else than lines of base64"),
        (armour.replace("BEGIN SSH SIGNATURE", "BEGIN PGP SIGNATURE"), "does not begin with"),
        (whole(&[&inside[..1], &["a b"], &inside[1..]].concat()), "something else than lines of base64"),
        (whole(&[&["Comment: ok"], inside].concat()), "something else than lines of base64"),
        (whole(&[&inside[..1], &[""], &inside[1..]].concat()), "something else than lines of base64"),
        (whole(&inside[1..]), "cannot be read"),
        (whole(&inside[..1]), "cannot be read"),
        (whole(&[inside, &["QUJD"]].concat()), "cannot be read"),
        (whole(&["U1NIU0lH"]), "cannot be read"),
        (whole(&vec!["QUJD"; 9000]), "larger than 16 KiB"),
        (armour.replacen('\n', "\u{a0}\n", 2), "is not ASCII"),
    ] {
        is_refused(&scene, "r", &right, signature.as_bytes(), reason);
    }
    // A file of which the end is not there is no wrong signature: it may be growing.
    for half in ["", "\n", &armour[..armour.len() / 2]] {
        put(&scene, &right, Some(half.as_bytes()));
        scene.tf(&["tick", "r"]).ok();
        assert!(scene.path(&path_of(&right)).exists() && status(&scene, "r") == "waiting");
        scene.tf(&["inbox"]).ok().complains("is not signed and does not count");
    }
    // Line ends that a checkout on another system turned are no forgery.
    put(&scene, &right, Some(armour.replace('\n', "\r\n").as_bytes()));
    scene.tf(&["tick", "r"]).ok();
    assert_eq!(status(&scene, "r"), "completed");
}

#[test]
fn nothing_unsigned_counts_wherever_it_comes_from() {
    let scene = signed();
    let right = asked(&scene, "r");
    put(&scene, &right, None);
    scene.tf(&["tick", "r"]).ok();
    for action in ["approve", "skip"] {
        scene.tf(&["control", action, "r", "ask"]).exits(7).complains("takes a decision");
    }
    scene.tf(&["helper", "transition-node", "r", "ask", "completed"]).exits(1);
    // By hand, in the projections that OpenTask's programs edit.
    let mut state = scene.json("runs/r/state.json");
    state["nodes"][0]["status"] = json!("completed");
    scene.write("runs/r/state.json", state.to_string());
    scene.tf(&["tick", "r"]).ok();
    assert_eq!(status(&scene, "r"), "waiting");
    // By hand, without anybody's key.
    let id = right["request"].as_str().unwrap();
    let call = scene.tf(&["approve", id, "--digest", right["digest"].as_str().unwrap()]).env("HOME", "/nonexistent");
    call.exits(4).complains("no key of yours may sign").complains("taskforge keys setup");
    assert_eq!(status(&scene, "r"), "waiting");
    // The one that lay there makes room for one that counts.
    scene.tf(&["approve", id, "--digest", right["digest"].as_str().unwrap()]).ok();
    assert_eq!(decision_of(&scene, "r")["proven"], true);
    scene.is_sound_so_far("r");
}

#[test]
fn in_opentask_s_own_registry_approvers_count_as_well() {
    let scene = Scene::empty();
    for folder in ["workflows", "runs", "roles"] {
        std::fs::create_dir_all(scene.path(folder)).unwrap();
    }
    scene.write("workflows/ask.task.md", ASK);
    let key = make_key(&scene.outside("home/.ssh/id_ed25519"), "ed25519", &[]);
    scene.tf(&["run", "create", "--workflow-path", "ask", "--run-id", "before"]).ok();
    scene.tf(&["tick", "before"]).ok();
    allow(&scene, &format!("ada {}", public(&key)));
    scene.tf(&["run", "create", "--workflow-path", "ask", "--run-id", "after"]).ok();
    scene.tf(&["tick", "after"]).ok();
    for run in ["before", "after"] {
        scene.tf(&["control", "approve", run, "ask"]).exits(7);
        assert_eq!(status(&scene, run), "waiting", "{run}");
        scene.approve(run);
        assert_eq!(decision_of(&scene, run)["proven"], true);
    }
}

#[test]
fn a_decision_that_loses_its_proof_stops_the_run() {
    let scene = scene();
    let key = make_key(&scene.outside("home/.ssh/id_ed25519"), "ed25519", &[]);
    allow(&scene, &format!("ada {}", public(&key)));
    let second = "  - id: then\n    title: And now?\n    kind: approval\n    needs: [ask]\n    prompt: Look.\n---\n";
    scene.write("workflows/ask.task.md", ASK.trim_end().trim_end_matches("---").to_owned() + second);
    let right = asked(&scene, "r");
    scene.approve("r");
    scene.tf(&["tick", "r"]).ok();
    let file = path_of(&right);
    let signature = scene.read(&format!("{file}.sig"));
    let not_driven = |what: &str| {
        scene.tf(&["tick", "r"]).exits(8).complains(what).complains("taskforge audit verify r");
        scene.tf(&["audit", "verify", "r"]).exits(8).says(what);
    };
    std::fs::remove_file(scene.path(&format!("{file}.sig"))).unwrap();
    not_driven("has lost its signature");
    scene.write(&format!("{file}.sig"), sign(&key, "file", scene.read(&file).as_bytes()));
    not_driven("for namespace \"file\"");
    scene.write(&format!("{file}.sig"), &signature);
    // The key is in other hands: its line is taken out, and what it signed counts no more.
    let other = make_key(&scene.outside("keys/other"), "ed25519", &[]);
    allow(&scene, &format!("ada {}", public(&other)));
    not_driven("is not in allowed_signers");
    // Who left keeps what they decided: their line ends.
    let ends = (chrono::Utc::now() + chrono::Duration::hours(1)).format("%Y%m%d%H%M%SZ");
    allow(&scene, &format!("ada valid-before=\"{ends}\" {}", public(&key)));
    scene.tf(&["tick", "r"]).ok();
    scene.tf(&["audit", "verify", "r"]).ok().says("1 signed decision");
    // Who may sign, as somebody else knows it.
    scene.write("../elsewhere", format!("ada {}\n", public(&other)));
    scene.tf(&["audit", "verify", "r", "--allowed-signers", "../elsewhere"]).exits(8).says("is not in allowed_signers");
}

#[test]
fn of_two_approvers_at_once_one_decides() {
    let scene = scene();
    let keys = ["ada", "grace"].map(|name| make_key(&scene.outside(&format!("keys/{name}")), "ed25519", &[]));
    let line = |name: &str, key: &Path| format!("{name} {}", public(key));
    allow(&scene, &format!("{}\n{}", line("ada", &keys[0]), line("grace", &keys[1])));
    for round in 0..3 {
        let run = format!("r{round}");
        let decision = asked(&scene, &run);
        let (id, digest) = (decision["request"].as_str().unwrap(), decision["digest"].as_str().unwrap());
        let start = |key: &Path, verb: &[&str]| {
            let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_taskforge"));
            command.env_clear().env("HOME", scene.outside("home")).env("TASKFORGE_SIGNING_KEY", key);
            command.current_dir(scene.root()).args(verb).args([id, "--digest", digest]);
            command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap()
        };
        let both = [start(&keys[0], &["approve"]), start(&keys[1], &["deny", "-m", "no"])];
        let codes = both.map(|child| child.wait_with_output().unwrap().status.code().unwrap());
        let won = codes.iter().position(|code| *code == 0).unwrap();
        assert!([7, 3].contains(&codes[1 - won]), "{codes:?}");
        let decided = scene.events(&run, "node.completed").len() + scene.events(&run, "node.failed").len();
        assert_eq!(decided, 1);
        let file: Value = scene.json(&path_of(&decision));
        assert_eq!(file["by"], ["operator:ada", "operator:grace"][won]);
        assert_eq!(status(&scene, &run), ["completed", "failed"][won]);
        ssh_keygen_verifies(&scene, ["ada", "grace"][won], DECISION, &scene.path(&path_of(&decision)));
        scene.tf(&["audit", "verify", &run]).ok().says("1 signed decision");
    }
}
