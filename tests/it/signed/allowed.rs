//! `allowed_signers` as OpenSSH reads it, and what is wrong with one.

use chrono::{Duration, Utc};

use super::*;

fn time(hours: i64) -> String {
    (Utc::now() + Duration::hours(hours)).format("%Y%m%d%H%M%SZ").to_string()
}

#[test]
fn a_key_counts_for_its_names_its_namespaces_and_its_time() {
    let scene = signed();
    let key = scene.outside("home/.ssh/id_ed25519");
    let ca = make_key(&scene.outside("keys/ca"), "ed25519", &[]);
    let own = public(&key);
    let decision = asked(&scene, "r");
    let (id, digest) = (decision["request"].as_str().unwrap(), decision["digest"].as_str().unwrap());
    for (line, why) in [
        (format!("ada namespaces=\"file,git\" {own}"), "may not sign for namespace"),
        (format!("ada namespaces=\"*,!taskforge-*\" {own}"), "may not sign for namespace"),
        (format!("ada valid-before=\"{}\" {own}", time(-1)), "had expired"),
        (format!("ada valid-after=\"{}\" {own}", time(1)), "was not valid yet"),
        (format!("grace@* {own}"), "is not ada's"),
        (format!("*,!ada {own}"), "is not ada's"),
        (format!("ada cert-authority {own}"), "no key of yours"),
        (format!("ada {}", public(&ca)), "no key of yours"),
    ] {
        allow(&scene, &line);
        scene.tf(&["approve", id, "--digest", digest]).exits(4).complains(why);
        // The same by hand.
        put(&scene, &decision, Some(&sign(&key, DECISION, &bytes(&decision))));
        scene.tf(&["tick", "r"]).ok();
        assert_eq!(status(&scene, "r"), "waiting", "{line}");
        assert!(!scene.path(&path_of(&decision)).exists(), "{line}: it was not set aside");
    }
    // Time that the signer claims reaches no further than time that we know.
    allow(&scene, &format!("ada valid-before=\"{}\" {own}", time(-1)));
    let mut early = decision.clone();
    early["at"] = serde_json::json!((Utc::now() - Duration::hours(2)).to_rfc3339());
    put(&scene, &early, Some(&sign(&key, DECISION, &bytes(&early))));
    scene.tf(&["tick", "r"]).ok();
    assert!(
        scene.events("r", "input.rejected").last().unwrap()["data"]["reason"].as_str().unwrap().contains("had expired")
    );
    allow(&scene, &format!("ada valid-after=\"{}\" {own}", time(-1)));
    put(&scene, &early, Some(&sign(&key, DECISION, &bytes(&early))));
    scene.tf(&["tick", "r"]).ok();
    assert_eq!(status(&scene, "r"), "waiting", "made before the key was valid");

    let good = format!(
        "# a comment\r\n\r\nbob,ada namespaces=\"file,taskforge-*\",valid-after=\"{}\",valid-before=\"{}\" {own} ada's key\r\n* cert-authority {}\r\n",
        time(-1),
        time(1),
        public(&ca)
    );
    allow(&scene, &good);
    scene.tf(&["approve", id, "--digest", digest]).ok();
    ssh_keygen_verifies(&scene, "ada", DECISION, &scene.path(&path_of(&decision)));
    let listed = scene.tf(&["keys", "list", "--json"]).ok().json();
    let states = ["good", "authority"].map(serde_json::Value::from);
    let approvers = listed["approvers"].as_array().unwrap();
    assert_eq!(approvers.iter().map(|a| a["state"].clone()).collect::<Vec<_>>(), states, "{listed:#}");
    scene.tf(&["keys", "list"]).ok().says("bob,ada").says("yours").says("authority");
}

#[test]
fn a_file_that_cannot_be_read_lets_nobody_decide() {
    let scene = signed();
    let key = scene.outside("home/.ssh/id_ed25519");
    let own = public(&key);
    let decision = asked(&scene, "r");
    let (id, digest) = (decision["request"].as_str().unwrap(), decision["digest"].as_str().unwrap());
    for (line, why) in [
        ("grace".to_owned(), "a name, and no key"),
        ("grace ssh-ed25519 AAAA".to_owned(), "line 3"),
        (format!("grace {}", own.replace("ssh-ed25519", "ssh-tomorrow")), "line 3"),
        (format!("grace valid-before=\"tomorrow\" {own}"), "is no time"),
        (format!("grace valid-before=20300101 {own}"), "has no \"value\""),
        (format!("grace namespaces=\"a {own}"), "has no \"value\""),
        (format!("grace namespaces=\"a\",namespaces=\"b\" {own}"), "twice"),
        (format!("grace no-touch-required {own}"), "neither a key nor an option"),
        (format!("grace valid-after=\"20300101\",valid-before=\"20290101\" {own}"), "is not behind"),
        (format!("grace,, {own}"), "an empty name"),
        (format!("\"grace {own}"), "a quote is not closed"),
        (format!("grace\u{0} {own}"), "a control character"),
    ] {
        allow(&scene, &format!("ada {own}\n{line}"));
        let refused = scene.tf(&["approve", id, "--digest", digest]).exits(4);
        refused.complains("allowed_signers, line 3").complains(why);
        put(&scene, &decision, Some(&sign(&key, DECISION, &bytes(&decision))));
        scene.tf(&["tick", "r"]).exits(4).complains("allowed_signers, line 3");
        assert_eq!(status(&scene, "r"), "waiting", "{line}");
        scene.tf(&["doctor"]).exits(1).says("bad   decisions");
        // Nothing was wrong with the decision: it counts once the file can be read.
        assert!(scene.path(&path_of(&decision)).exists());
    }
    let mut latin = format!("ada {own} ").into_bytes();
    latin.push(0xe9);
    scene.write("allowed_signers", latin);
    scene.tf(&["tick", "r"]).exits(4).complains("is not UTF-8");
    allow(&scene, &format!("ada {own}"));
    scene.tf(&["tick", "r"]).ok();
    assert_eq!(status(&scene, "r"), "completed");
}

#[test]
fn a_file_that_is_gone_lets_nobody_decide() {
    let scene = signed();
    let decision = asked(&scene, "pinned");
    std::fs::remove_file(scene.path("allowed_signers")).unwrap();
    let (id, digest) = (decision["request"].as_str().unwrap(), decision["digest"].as_str().unwrap());
    scene.tf(&["approve", id, "--digest", digest]).exits(4).complains("is not there");
    // A run that begins now is unproven, unless the settings say otherwise.
    asked(&scene, "later");
    scene.approve("later");
    scene.set("signatures = \"auto\"", "signatures = \"required\"");
    let required = asked(&scene, "required");
    let (id, digest) = (required["request"].as_str().unwrap(), required["digest"].as_str().unwrap());
    scene.tf(&["approve", id, "--digest", digest]).exits(4).complains("is not there");
    scene.tf(&["doctor"]).exits(1).says("bad   decisions");
    // A link that leads nowhere is not nobody's word for everybody's.
    scene.set("signatures = \"required\"", "signatures = \"auto\"");
    std::os::unix::fs::symlink("nowhere", scene.path("allowed_signers")).unwrap();
    asked(&scene, "linked");
    let (id, digest) = scene.the_one("linked");
    scene.tf(&["approve", &id, "--digest", &digest]).exits(1).complains("allowed_signers");
    // A file that the registry's writers cannot change.
    std::fs::remove_file(scene.path("allowed_signers")).unwrap();
    let key = public(&scene.outside("home/.ssh/id_ed25519"));
    std::fs::write(scene.outside("allowed"), format!("ada {key}\n")).unwrap();
    let elsewhere = scene.outside("allowed").display().to_string();
    scene.set("allowedSigners = \"allowed_signers\"", &format!("allowedSigners = \"{elsewhere}\""));
    for run in ["pinned", "required", "linked"] {
        scene.approve(run);
        assert_eq!(decision_of(&scene, run)["proven"], true);
        scene.tf(&["audit", "verify", run]).ok().says("1 signed decision");
    }
}

#[test]
fn what_was_decided_before_anybody_could_sign_is_driven_on_only_as_long_as_signatures_are_not_required() {
    let scene = scene();
    asked(&scene, "r");
    scene.approve("r");
    crate::words::hosts(&scene, 2);
    scene.start("hosts", "open");
    let (id, digest) = first(&scene, "open");
    scene.tf(&["approve", &id, "--digest", &digest]).ok();
    let key = make_key(&scene.outside("home/.ssh/id_ed25519"), "ed25519", &[]);
    allow(&scene, &format!("ada {}", public(&key)));
    scene.tf(&["tick", "open"]).ok();
    scene.tf(&["audit", "verify", "open"]).ok().says("before approvers were configured");
    scene.set("signatures = \"auto\"", "signatures = \"required\"");
    scene.tf(&["tick", "open"]).exits(8).complains("took effect without a signature");
    scene.tf(&["audit", "verify", "open"]).exits(8).says("took effect without a signature");
}

#[test]
fn an_expired_key_brings_nothing_into_force_by_a_time_that_it_claims() {
    let scene = signed();
    crate::words::hosts(&scene, 2);
    scene.start("hosts", "r");
    let (id, digest) = first(&scene, "r");
    scene.tf(&["approve", &id, "--digest", &digest]).ok();
    scene.tf(&["tick", "r"]).ok();
    let key = scene.outside("home/.ssh/id_ed25519");
    let decided = scene.events("r", "capability.approved")[0].clone();
    // The same decision, signed anew with a time of before it was asked for, in a journal that fits it.
    let path = format!("decisions/{id}.json");
    let mut early = scene.json(&path);
    early["at"] = serde_json::json!((Utc::now() - Duration::hours(2)).to_rfc3339());
    let text = bytes(&early);
    let signature = sign(&key, DECISION, &text);
    let digest = |bytes: &[u8]| {
        use sha2::Digest as _;
        sha2::Sha256::digest(bytes).iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
    };
    let then = &decided["data"]["decision"];
    let edits = [
        (then["file"].as_str().unwrap().to_owned(), digest(&text)),
        (then["signature"].as_str().unwrap_or("none").to_owned(), digest(&signature)),
        (then["at"].as_str().unwrap().to_owned(), early["at"].as_str().unwrap().to_owned()),
    ];
    put(&scene, &early, Some(&signature));
    super::rewritten::rewrite(&scene, "r", &|line: &str| {
        if !line.contains("\"capability.approved\"") {
            return line.to_owned();
        }
        edits.iter().fold(line.to_owned(), |line, (from, to)| line.replace(from, to))
    });
    scene.tf(&["tick", "r"]).exits(8).complains("before anybody had asked");
    // And one whose key is over when it comes into force.
    allow(&scene, &format!("ada valid-before=\"{}\" {}", time(-1), public(&key)));
    scene.tf(&["tick", "r"]).exits(8);
}

/// In a mount table of its own, so that nothing of it is ever the machine's.
#[test]
fn the_machines_own_list_counts_whatever_the_registry_says() {
    let scene = signed();
    let decision = asked(&scene, "r");
    let (id, digest) = (decision["request"].as_str().unwrap(), decision["digest"].as_str().unwrap());
    let own = public(&scene.outside("home/.ssh/id_ed25519"));
    let etc = scene.outside("etc");
    fs::create_dir_all(etc.join("taskforge")).unwrap();
    fs::copy("/etc/passwd", etc.join("passwd")).unwrap();
    let there = |line: &str, arguments: &str| {
        fs::write(etc.join("taskforge/allowed_signers"), format!("{line}\n")).unwrap();
        let script = format!(
            "mount --bind {} /etc && exec {} {arguments} --registry {}",
            etc.display(),
            env!("CARGO_BIN_EXE_taskforge"),
            scene.root().display()
        );
        let mut call = Command::new("unshare");
        call.args(["--mount", "sh", "-c", &script]).stdin(Stdio::null());
        call.env("HOME", scene.outside("home")).env("USER", "ada").env("LOGNAME", "ada").env_remove("SSH_AUTH_SOCK");
        let done = call.output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        (done.status.code(), said)
    };
    // The registry's own list has her, and its settings ask for nothing.
    let approve = format!("approve {id} --digest {digest}");
    let other = make_key(&scene.outside("keys/other"), "ed25519", &[]);
    let (code, said) = there(&format!("ada {}", public(&other)), &approve);
    assert!(code == Some(4) && said.contains("no key of yours"), "{said}");
    let (code, said) = there(&format!("ada {own}"), &approve);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = there(&format!("ada {}", public(&other)), "audit verify r");
    assert_eq!(code, Some(8), "{said}");
    let (code, said) = there(&format!("ada {own}"), "audit verify r");
    assert!(code == Some(0) && said.contains("1 signed decision"), "{said}");
    let (_, said) = there(&format!("ada {own}"), "doctor");
    assert!(said.contains("1 key(s) may, by /etc/taskforge/allowed_signers"), "{said}");
}
