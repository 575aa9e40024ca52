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
