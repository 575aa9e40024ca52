//! Rules that allow something, where only what an approver signed counts.

use serde_json::json;

use super::*;

const RULES: &str = "format: 1\nrules:\n- {effect: allow, kind: net, name: 'a.example:443', because: ours}\n- {effect: deny, kind: net, name: 'b.example:443'}\n";

fn says(scene: &Scene, capability: &str) -> String {
    scene.tf(&["policy", "explain", capability]).ok().stdout
}

#[test]
fn an_unsigned_file_allows_nothing_and_denies_what_it_denies() {
    let scene = signed();
    scene.write("policies/p.yaml", RULES);
    let unsigned = says(&scene, "net:a.example:443");
    assert!(
        unsigned.contains("ask by p.yaml:3: it would allow this, but no approver has signed the file"),
        "{unsigned}"
    );
    assert!(says(&scene, "net:b.example:443").contains("deny by p.yaml:4"));
    let checked = scene.tf(&["policy", "check"]).exits(1);
    checked.says("warning: p.yaml: no approver has signed the file: what it allows is asked about");
    scene.tf(&["policy", "sign"]).ok().says("Signed policies/p.yaml by ada");
    scene.tf(&["policy", "check"]).ok();
    scene.tf(&["policy", "sign"]).ok().says("Signed already: policies/p.yaml by ada");
    assert!(says(&scene, "net:a.example:443").contains("allow by p.yaml:3: ours"));
    // The real tool says the same of it.
    let namespace = format!("taskforge-policy@{}", scene.id());
    ssh_keygen_verifies(&scene, "ada", &namespace, &scene.path("policies/p.yaml"));
    // A byte more, and it is another file.
    scene.write("policies/p.yaml", format!("{RULES}# more\n"));
    assert!(says(&scene, "net:a.example:443").contains("ask by p.yaml:3: it would allow this, but"));
    scene.tf(&["policy", "sign", "q.yaml"]).exits(2).complains("there is no file of rules policies/q.yaml");
}

#[test]
fn a_signature_of_another_kind_registry_or_person_allows_nothing() {
    let scene = signed();
    let own = scene.outside("home/.ssh/id_ed25519");
    let stranger = make_key(&scene.outside("keys/stranger"), "ed25519", &[]);
    let put = |key: &Path, namespace: &str| {
        scene.write("policies/p.yaml", RULES);
        std::fs::write(scene.path("policies/p.yaml.sig"), sign(key, namespace, RULES.as_bytes())).unwrap();
        says(&scene, "net:a.example:443")
    };
    let here = format!("taskforge-policy@{}", scene.id());
    assert!(put(&own, &here).contains("allow by p.yaml:3"), "what ssh-keygen signs counts");
    for (key, namespace) in [
        (&own, DECISION.to_owned()),
        (&own, "taskforge-policy".to_owned()),
        (&own, "taskforge-policy@01JD2Z3V5Q8M4K7N9P1R2S3T4V".to_owned()),
        (&stranger, here.clone()),
    ] {
        let said = put(key, &namespace);
        assert!(said.contains("ask by p.yaml:3: it would allow this, but"), "{namespace}: {said}");
    }
    for signature in [&b""[..], b"-----BEGIN SSH SIGNATURE-----\n", &[0xff; 100]] {
        std::fs::write(scene.path("policies/p.yaml.sig"), signature).unwrap();
        assert!(says(&scene, "net:a.example:443").contains("ask by p.yaml:3"));
    }
    put(&own, &here);
    allow(&scene, &format!("ada namespaces=\"{DECISION}\" {}", public(&own)));
    assert!(says(&scene, "net:a.example:443").contains("ask by p.yaml:3"), "a key for decisions alone");
    allow(&scene, "this is no line");
    let shut = scene.tf(&["policy", "explain", "net:a.example:443", "--json"]).ok().json();
    assert_eq!(shut["ruling"]["effect"], json!("ask"));
}

#[test]
fn without_approvers_there_is_nothing_to_sign() {
    let scene = scene();
    scene.write("policies/p.yaml", RULES);
    assert!(says(&scene, "net:a.example:443").contains("allow by p.yaml:3"));
    scene.tf(&["policy", "sign"]).exits(4).complains("allowed_signers");
}

#[test]
fn what_a_rule_granted_rests_on_the_signed_rules_that_are_kept_with_the_run() {
    let scene = signed();
    let rules = "format: 1\nrules:\n- {effect: allow, kind: net, name: 'h1.*'}\n";
    scene.write("policies/p.yaml", rules);
    scene.tf(&["policy", "sign"]).ok();
    crate::words::hosts(&scene, 2);
    scene.start("hosts", "r");
    let decided = scene.events("r", "capability.approved")[0]["data"]["decision"].clone();
    assert_eq!(decided["by"], "policy:p.yaml:3");
    let folder = format!("runs/r/policies/{}", &decided["file"].as_str().unwrap()[..12]);
    assert_eq!(scene.read(&format!("{folder}/p.yaml")), rules);
    ssh_keygen_verifies(
        &scene,
        "ada",
        &format!("taskforge-policy@{}", scene.id()),
        &scene.path(&format!("{folder}/p.yaml")),
    );
    // The registry's rules say something else now.
    scene.write("policies/p.yaml", RULES);
    scene.tf(&["tick", "r"]).ok();
    scene.tf(&["audit", "verify", "r"]).ok();
    let exported = scene.outside("run.tar");
    scene.tf(&["audit", "export", "r", "-o", exported.to_str().unwrap()]).ok();
    let unpacked = scene.outside("unpacked");
    tar::Archive::new(fs::File::open(&exported).unwrap()).unpack(&unpacked).unwrap();
    let script = || {
        let own = unpacked.join("r");
        let done = Command::new("python3").arg(own.join("verify.py")).arg(&own).output().unwrap();
        (done.status.code(), String::from_utf8_lossy(&done.stdout).into_owned())
    };
    assert_eq!(script().0, Some(0), "{}", script().1);
    let kept = unpacked.join("r").join(folder.strip_prefix("runs/r/").unwrap());
    fs::rename(kept.join("p.yaml.sig"), scene.outside("sig")).unwrap();
    let said = script();
    assert!(said.0 == Some(1) && said.1.contains("p.yaml, by which") && said.1.contains("is not signed"), "{said:?}");
    fs::copy(scene.path("allowed_signers"), kept.join("p.yaml.sig")).unwrap();
    assert!(script().1.contains("is signed by nobody who may"), "{:?}", script());
    fs::remove_file(kept.join("p.yaml")).unwrap();
    assert!(script().1.contains("the rules by which policy:p.yaml:3 granted"), "{:?}", script());
    // Rules of nobody's, which whoever writes there puts down, and the signature gone.
    let refused = |why: &str| {
        scene.tf(&["audit", "verify", "r"]).exits(8).says(why);
        scene.tf(&["tick", "r"]).exits(8).complains(why);
    };
    let signature = scene.path(&format!("{folder}/p.yaml.sig"));
    let whole = fs::read(&signature).unwrap();
    fs::remove_file(&signature).unwrap();
    refused("the same files say ask by p.yaml:3: it would allow this, but no approver has signed the file");
    fs::write(&signature, whole).unwrap();
    scene.write(&format!("{folder}/p.yaml"), format!("{rules}# more\n"));
    refused("the rules that it names lie nowhere in the run");
    scene.write(&format!("{folder}/p.yaml"), rules);
    scene.tf(&["audit", "verify", "r"]).ok();
}
