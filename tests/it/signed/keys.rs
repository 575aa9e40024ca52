//! `taskforge keys`: from nothing to a signed decision.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

#[test]
fn from_nothing_to_a_signed_decision() {
    let scene = scene();
    let nobody = scene.tf(&["keys", "setup", "--name", "ada@example.org"]).exits(2);
    nobody.complains("nobody can be asked for the passphrase").complains("--no-passphrase");
    assert!(!scene.path("allowed_signers").exists());
    let done = scene.tf(&["keys", "setup", "--name", "ada@example.org", "--no-passphrase"]).ok();
    done.says("made just now").says("git add allowed_signers").says("signatures = \"required\"");
    let own = scene.outside("home/.config/taskforge");
    let mode = fs::metadata(own.join("signing_key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let line = must(openssh("ssh-keygen").args(["-l", "-f"]).arg(own.join("signing_key")).output().unwrap());
    done.says(line.split(' ').nth(1).unwrap());
    scene.tf(&["keys", "list"]).ok().says("ada@example.org").says("good").says("yours");
    let decision = asked(&scene, "r");
    scene.approve("r");
    ssh_keygen_verifies(&scene, "ada@example.org", DECISION, &scene.path(&path_of(&decision)));
    scene.tf(&["doctor"]).ok().says("signed: 1 key(s) may");
    assert_eq!(scene.tf(&["inbox", "--json"]).ok().json()["decisionsProven"], true);

    // Again changes nothing.
    let before = scene.read("allowed_signers");
    scene.tf(&["keys", "setup", "--name", "ada@example.org"]).ok().says("found");
    assert_eq!(scene.read("allowed_signers"), before);
    // Somebody else does not let themselves in by setting up a key.
    let home = scene.outside("grace").display().to_string();
    let grace = |more: &[&str]| {
        let all = [&["keys", "setup", "--name", "grace", "--no-passphrase"], more].concat();
        scene.tf(&all).env("HOME", &home).ok()
    };
    grace(&[])
        .says("names others")
        .says("grace namespaces=\"taskforge-decision,taskforge-unlock,taskforge-policy@*\" ssh-ed25519 ");
    assert_eq!(scene.read("allowed_signers"), before);
    grace(&["--add"]).says("Allowed");
    assert_eq!(scene.read("allowed_signers").lines().count(), before.lines().count() + 1);
    for name in ["", "a b", "*", "a,b", "!a", "a\"b", "#a", "a\nb"] {
        scene.tf(&["keys", "setup", "--name", name]).exits(2).complains("is no name to sign as");
    }
}

#[test]
fn a_key_that_an_agent_holds_is_taken_before_one_is_made() {
    let scene = scene();
    let agent = Agent::start(&scene.outside("home"));
    agent.add(&make_key(&scene.outside("keys/held"), "ed25519", &["-N", "secret phrase"]), "secret phrase");
    let socket = agent.socket.to_str().unwrap().to_owned();
    scene.tf(&["keys", "setup", "--name", "ada"]).env("SSH_AUTH_SOCK", &socket).ok().says("held by your ssh-agent");
    let decision = asked(&scene, "r");
    let (id, digest) = (decision["request"].as_str().unwrap(), decision["digest"].as_str().unwrap());
    // Without the agent only its public half is there.
    scene.tf(&["approve", id, "--digest", digest]).exits(2).complains("agent_key");
    scene.tf(&["approve", id, "--digest", digest]).env("SSH_AUTH_SOCK", &socket).ok();
    ssh_keygen_verifies(&scene, "ada", DECISION, &scene.path(&path_of(&decision)));
}

#[test]
fn a_key_that_could_never_count_is_not_set_up() {
    let scene = scene();
    for (name, kind, more, why) in [
        ("p521", "ecdsa", &["-b", "521"][..], "does not count here"),
        ("short", "rsa", &["-b", "1024"], "an RSA key of 1024 bits does not count here"),
        ("rsa", "rsa", &["-b", "2048"], "signs through an ssh-agent, and none here holds it"),
    ] {
        let key = make_key(&scene.outside(&format!("keys/{name}")), kind, more);
        let setup = scene.tf(&["keys", "setup", "--name", "eve", "--key", key.to_str().unwrap()]);
        setup.exits(2).complains(why);
        assert!(!scene.path("allowed_signers").exists(), "{name}: nobody could decide any more");
    }
    // One that lies in its usual place and cannot sign alone is passed over.
    make_key(&scene.outside("home/.ssh/id_rsa"), "rsa", &["-b", "2048"]);
    scene.tf(&["keys", "setup", "--name", "ada", "--no-passphrase"]).ok().says("made just now");
    let decision = asked(&scene, "r");
    scene.approve("r");
    ssh_keygen_verifies(&scene, "ada", DECISION, &scene.path(&path_of(&decision)));
}

#[test]
fn a_locked_key_file_is_asked_for_on_a_terminal_only() {
    let scene = scene();
    let key = make_key(&scene.outside("home/.ssh/id_ed25519"), "ed25519", &["-N", "open sesame"]);
    allow(&scene, &format!("ada {}", public(&key)));
    let decision = asked(&scene, "r");
    let (id, digest) = (decision["request"].as_str().unwrap(), decision["digest"].as_str().unwrap());
    let refused = scene.tf(&["approve", id, "--digest", digest]).exits(4);
    refused.complains("is encrypted, and nobody can be asked").complains("ssh-add");
    let on_terminal = |phrase: &str| {
        let command = format!("{} approve {id} --digest {digest}", env!("CARGO_BIN_EXE_taskforge"));
        let mut script = openssh("script");
        script.args(["-qec", &command, "/dev/null"]).env_clear().env("HOME", scene.outside("home"));
        script.env("PATH", "/usr/bin:/bin").current_dir(scene.root()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = script.spawn().unwrap();
        std::io::Write::write_all(child.stdin.as_mut().unwrap(), format!("{phrase}\n").as_bytes()).unwrap();
        let done = child.wait_with_output().unwrap();
        (done.status.code(), String::from_utf8_lossy(&done.stdout).into_owned())
    };
    let (code, said) = on_terminal("wrong");
    assert_eq!((code, said.contains("is not opened by this passphrase")), (Some(2), true), "{said}");
    assert_eq!(status(&scene, "r"), "waiting");
    let (code, said) = on_terminal("open sesame");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("Passphrase of") && said.contains("signed by ada"), "{said}");
    ssh_keygen_verifies(&scene, "ada", DECISION, &scene.path(&path_of(&decision)));
}

#[test]
fn key_files_and_settings_that_cannot_be_used_are_named() {
    let scene = signed();
    let key = scene.outside("home/.ssh/id_ed25519");
    let decision = asked(&scene, "r");
    let (id, digest) = (decision["request"].as_str().unwrap(), decision["digest"].as_str().unwrap());
    let approve = |named: &Path| {
        scene.tf(&["approve", id, "--digest", digest]).env("TASKFORGE_SIGNING_KEY", named.to_str().unwrap())
    };
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    approve(&key).exits(2).complains("others may read it (mode 0644)");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    approve(&scene.outside("nothing")).exits(2).complains("No such file");
    let rsa = make_key(&scene.outside("keys/rsa"), "rsa", &["-b", "2048"]);
    allow(&scene, &format!("ada {}\nada {}", public(&key), public(&rsa)));
    approve(&rsa).exits(2).complains("signs through an ssh-agent");
    // The public half is another pair's.
    let other = make_key(&scene.outside("keys/other"), "ed25519", &[]);
    fs::copy(key.with_extension("pub"), other.with_extension("pub")).unwrap();
    approve(&other).exits(2).complains("is not the private half");
    fs::write(&other, "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n").unwrap();
    approve(&other).exits(2).complains("keys/other");
    let config = scene.outside("home/.config/taskforge");
    fs::create_dir_all(&config).unwrap();
    fs::write(config.join("signing.toml"), "keys = \"x\"\n").unwrap();
    scene.tf(&["approve", id, "--digest", digest]).exits(2).complains("signing.toml").complains("keys");
    assert_eq!(status(&scene, "r"), "waiting");
    fs::write(config.join("signing.toml"), "key = \"~/.ssh/id_ed25519.pub\"\nname = \"ada\"\n").unwrap();
    scene.tf(&["approve", id, "--digest", digest]).ok();
}
