//! `taskforge secret …`: what it takes, what it refuses, and that other programs read what it writes.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use super::{age, at_a_terminal, identity, set, vault};
use crate::scene::Scene;

const VALUE: &str = "ghp_5up3rS3cr3tT0ken/with+signs=0123";

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn age_reads_what_the_vault_writes_and_the_vault_what_age_writes() {
    let scene = vault();
    set(&scene, "github-token", &format!("{VALUE}\n"));
    let (file, key) = (scene.path(".taskforge/vault/github-token.age"), identity(&scene));
    let (file, key) = (file.display().to_string(), key.display().to_string());
    assert_eq!(age(&["-d", "-i", &key, &file], b""), VALUE.as_bytes());
    let listed = scene.tf(&["secret", "list", "--json"]).ok().json();
    let recipient = listed["recipients"][0].as_str().unwrap();
    for armor in [&[][..], &["-a"]] {
        let sealed = age(&[&["-r", recipient], armor].concat(), b"made elsewhere\n");
        let path = scene.outside("sealed.age");
        fs::write(&path, sealed).unwrap();
        let path = path.display().to_string();
        scene.tf(&["secret", "set", "other", "--from-age", &path]).ok().says("The secret other");
        let file = scene.path(".taskforge/vault/other.age").display().to_string();
        assert_eq!(age(&["-d", "-i", &key, &file], b""), b"made elsewhere");
    }
    // One that is for somebody else.
    let other = scene.outside("other.key").display().to_string();
    let made = std::process::Command::new("age-keygen").args(["-o", &other]).output().unwrap();
    let public = String::from_utf8(made.stderr).unwrap().trim().trim_start_matches("Public key: ").to_owned();
    let foreign = scene.outside("foreign.age");
    fs::write(&foreign, age(&["-r", &public], b"not for us")).unwrap();
    let refused = scene.tf(&["secret", "set", "x", "--from-age", &foreign.display().to_string()]).exits(4);
    refused.complains("is not encrypted to this identity");
    // An identity that age-keygen made, brought along before there is a vault, is as good as one of ours.
    let second = Scene::new();
    fs::create_dir_all(identity(&second).parent().unwrap()).unwrap();
    fs::copy(&other, identity(&second)).unwrap();
    fs::set_permissions(identity(&second), fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(second.tf(&["secret", "init", "--no-passphrase", "--json"]).ok().json()["recipient"], public.as_str());
    set(&second, "x", "y");
    assert_eq!(age(&["-d", "-i", &other, &second.path(".taskforge/vault/x.age").display().to_string()], b""), b"y");
    // Rotated to two recipients, either key opens it, and the old one does not.
    let before = fs::read(identity(&scene)).unwrap();
    let rotated = scene.tf(&["secret", "rotate", "--also", &public, "--json"]).ok().json();
    assert_eq!(
        (&rotated["secrets"], rotated["recipients"].as_array().unwrap().len()),
        (&json!(["github-token", "other"]), 2)
    );
    for key in [&key, &other] {
        assert_eq!(age(&["-d", "-i", key, &file], b""), VALUE.as_bytes());
    }
    let old = scene.outside("old.key");
    fs::write(&old, before).unwrap();
    let fails = std::process::Command::new("age").args(["-d", "-i"]).arg(&old).arg(&file).output().unwrap();
    assert!(!fails.status.success());
    scene.tf(&["secret", "set", "third"]).stdin("v").ok().says(&format!("with the key of {public}, too"));
}

#[test]
fn values_come_from_nowhere_but_a_prompt_a_file_or_stdin_and_nothing_shows_them() {
    let scene = vault();
    let folder = scene.path(".taskforge/vault");
    let (seen, code) = at_a_terminal(&scene, &["secret", "set", "typed"], &[VALUE]);
    assert_eq!(code, 0, "{seen}");
    assert!(seen.contains("Value of typed (it is not shown):") && !seen.contains(VALUE), "{seen}");
    scene.write("value.txt", format!("{VALUE}\n"));
    scene.tf(&["secret", "set", "filed", "--file", "value.txt"]).ok();
    fs::remove_file(scene.path("value.txt")).unwrap();
    set(&scene, "piped", VALUE);
    scene.tf(&["secret", "set", "piped", VALUE]).exits(2);
    let again = scene.tf(&["secret", "set", "piped", "--json"]).stdin("another-value-than-before").ok().json();
    assert_eq!(again["replaced"], true);
    let shown = scene.tf(&["secret", "show-metadata", "piped", "--json"]).ok().json();
    assert_eq!((&shown["versions"], &shown["changedBy"]), (&json!(2), &json!("operator:ada")));
    let text = scene.tf(&["secret", "show-metadata", "piped"]).ok();
    text.says("Versions   2").says("by operator:ada");
    scene.tf(&["secret", "list"]).ok().says("piped").says("filed").says("typed");
    assert_eq!(mode(&folder), 0o700);
    for name in ["typed.age", "filed.age", "piped.age", "log.jsonl"] {
        assert_eq!(mode(&folder.join(name)), 0o600, "{name}");
    }
    assert_eq!(mode(&identity(&scene)), 0o600);
    let log = scene.read(".taskforge/vault/log.jsonl");
    let kinds: Vec<Value> =
        log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["event"]["kind"].clone()).collect();
    assert_eq!(kinds, ["vault.created", "secret.set", "secret.set", "secret.set", "secret.set"]);
    for entry in fs::read_dir(&folder).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(VALUE.len()).any(|part| part == VALUE.as_bytes()));
    }
    // Never in git: `.taskforge` is the machine's own.
    assert!(scene.read(".gitignore").contains("/.taskforge/"));
    scene.tf(&["secret", "rm", "filed"]).ok().says("is gone");
    assert!(!folder.join("filed.age").exists());
    scene.tf(&["secret", "rm", "filed"]).exits(3);
    scene.tf(&["secret", "show-metadata", "filed"]).exits(3);
    for (name, value) in
        [("../x", "v"), ("X", "v"), ("a/b", "v"), ("", "v"), (".hidden", "v"), ("ok", ""), ("ok", "\n"), ("ok", "a\0b")]
    {
        scene.tf(&["secret", "set", name]).stdin(value).exits(2);
    }
    scene.tf(&["secret", "set", "ok"]).stdin("x".repeat(70_000)).exits(2);
}

#[test]
fn a_dotenv_file_is_taken_whole_or_not_at_all_and_is_data() {
    let scene = vault();
    let proof = scene.outside("executed").display().to_string();
    let good = format!("# keys\nexport GITHUB_TOKEN='{VALUE}'\nTRAP='$(touch {proof})'\nEMPTY_NOT=\"a b\\n\"\n");
    scene.write("keys.env", &good);
    scene.tf(&["secret", "import", "keys.env"]).ok().says("github-token\ntrap\nempty-not\n3 taken.");
    assert!(!std::path::Path::new(&proof).exists());
    let file = scene.path(".taskforge/vault/trap.age").display().to_string();
    let key = identity(&scene).display().to_string();
    assert_eq!(age(&["-d", "-i", &key, &file], b""), format!("$(touch {proof})").as_bytes());
    // What is there is not replaced unseen, and then nothing is taken.
    scene.write("more.env", "NEW=1value\nTRAP=other\n");
    scene
        .tf(&["secret", "import", "more.env"])
        .exits(7)
        .complains("there is a secret `trap` already; nothing was taken");
    assert!(!scene.path(".taskforge/vault/new.age").exists());
    scene.tf(&["secret", "import", "more.env", "--only", "NEW"]).ok();
    scene.tf(&["secret", "import", "more.env", "--replace"]).ok();
    for (text, line) in [
        ("A=$(id)\n", 1),
        ("B=1\nC=`id`\n", 2),
        ("D=\"x\n", 1),
        ("E\n", 1),
        ("F=1\nF=2\n", 2),
        ("__=x\n", 0),
        ("A_B=1x\nA__B=\n", 0),
    ] {
        scene.write("bad.env", text);
        let refused = scene.tf(&["secret", "import", "bad.env", "--json"]).exits(2).error();
        let message = refused["message"].as_str().unwrap();
        assert!(line == 0 || message.contains(&format!("line {line} ")), "{text:?}: {message}");
        assert!(!message.contains("$(id)"), "{message}");
    }
    let names = scene.tf(&["secret", "list", "--json"]).ok().json();
    assert_eq!(names["secrets"].as_array().unwrap().len(), 4, "{names}");
}

#[test]
fn a_passphrase_keeps_the_vault_shut_until_it_is_unlocked() {
    let mut scene = Scene::new();
    let (seen, code) = at_a_terminal(&scene, &["secret", "init"], &["correct horse", "correct horse"]);
    assert_eq!(code, 0, "{seen}");
    assert!(!seen.contains("correct horse"));
    // To put something in needs no key.
    set(&scene, "x", VALUE);
    let key = fs::read(identity(&scene)).unwrap();
    assert!(key.starts_with(b"age-encryption.org/v1\n") && !String::from_utf8_lossy(&key).contains("AGE-SECRET-KEY"));
    // To take it out does, and nobody is here to be asked.
    let sealed = scene.path(".taskforge/vault/x.age").display().to_string();
    let locked = scene.tf(&["secret", "set", "y", "--from-age", &sealed, "--json"]).exits(11).error();
    assert!(locked["message"].as_str().unwrap().contains("the vault is locked"), "{locked}");
    assert!(locked["hints"][0].as_str().unwrap().contains("secret unlock"), "{locked}");
    scene.tf(&["secret", "rotate"]).exits(11);
    let (seen, code) = at_a_terminal(&scene, &["secret", "unlock"], &["wrong horse"]);
    assert_eq!(code, 4, "{seen}");
    assert!(seen.contains("is not opened by this passphrase"), "{seen}");
    // By a file for whoever cannot be asked; others may not read it.
    let file = scene.outside("passphrase");
    fs::write(&file, "correct horse\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    scene.env("TASKFORGE_VAULT_PASSPHRASE_FILE", &file.display().to_string());
    scene.tf(&["secret", "set", "y", "--from-age", &sealed]).exits(4).complains("others may read");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    scene.tf(&["secret", "set", "y", "--from-age", &sealed]).ok();
    let unlocked = scene.tf(&["secret", "unlock", "--json"]).ok().json();
    let copy = std::path::PathBuf::from(unlocked["unlocked"].as_str().unwrap());
    assert_eq!(mode(&copy), 0o600);
    scene.env("TASKFORGE_VAULT_PASSPHRASE_FILE", "");
    scene.tf(&["secret", "set", "z", "--from-age", &sealed]).ok();
    // A new key, behind the same passphrase, and what is unlocked follows.
    scene.tf(&["secret", "rotate"]).exits(11);
    scene.env("TASKFORGE_VAULT_PASSPHRASE_FILE", &file.display().to_string());
    scene.tf(&["secret", "rotate"]).ok().says("3 secrets encrypted anew");
    scene.env("TASKFORGE_VAULT_PASSPHRASE_FILE", "");
    scene.tf(&["secret", "set", "w", "--from-age", &sealed]).ok();
    // The kill switch shuts it, and lifting the switch does not open it.
    scene.tf(&["kill", "--reason", "stop"]).ok();
    assert!(!copy.exists());
    scene.tf(&["unlock", "--reason", "go on"]).ok();
    scene.tf(&["secret", "set", "v", "--from-age", &sealed]).exits(11);
    scene.env("TASKFORGE_VAULT_PASSPHRASE_FILE", &file.display().to_string());
    scene.tf(&["secret", "unlock"]).ok();
    scene.env("TASKFORGE_VAULT_PASSPHRASE_FILE", "");
    assert!(copy.exists());
    assert_eq!(scene.tf(&["secret", "lock", "--json"]).ok().json()["wasUnlocked"], true);
    assert!(!copy.exists());
    scene.tf(&["secret", "set", "v", "--from-age", &sealed]).exits(11);
    assert_eq!(scene.tf(&["secret", "lock", "--json"]).ok().json()["wasUnlocked"], false);
}

#[test]
fn loose_modes_lost_identities_and_changed_files_are_named_refusals() {
    let scene = Scene::new();
    scene.tf(&["secret", "set", "x"]).stdin("v").exits(3).complains("there is no vault yet");
    scene.tf(&["secret", "list"]).ok().says("The vault is empty");
    scene.tf(&["secret", "init", "--no-passphrase"]).ok();
    scene.tf(&["secret", "init", "--no-passphrase"]).exits(7).complains("there is an identity");
    set(&scene, "a", VALUE);
    set(&scene, "b", "another-value");
    let (key, folder) = (identity(&scene), scene.path(".taskforge/vault"));
    let sealed = folder.join("a.age").display().to_string();
    let open = || scene.tf(&["secret", "set", "probe", "--from-age", &sealed]);
    let chmod = |path: &std::path::Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    chmod(&key, 0o640);
    open().exits(4).complains("others may read the identity").complains("mode 0640").complains("chmod 600");
    chmod(&key, 0o600);
    chmod(&folder, 0o750);
    scene.tf(&["secret", "list"]).exits(4).complains("others may get at").complains("mode 0750");
    chmod(&folder, 0o700);
    chmod(&folder.join("a.age"), 0o644);
    scene.tf(&["secret", "list"]).exits(4).complains("a.age");
    chmod(&folder.join("a.age"), 0o600);
    open().ok();
    // Two that were swapped, one that age wrote behind our back, one that is cut, one that is gone.
    let rotate = || scene.tf(&["secret", "rotate"]);
    let (a, b) = (fs::read(folder.join("a.age")).unwrap(), fs::read(folder.join("b.age")).unwrap());
    fs::write(folder.join("a.age"), &b).unwrap();
    fs::write(folder.join("b.age"), &a).unwrap();
    rotate().exits(8).complains("`a` is not what the vault's log says it is");
    fs::write(folder.join("a.age"), &a[..a.len() - 1]).unwrap();
    rotate().exits(8);
    fs::remove_file(folder.join("a.age")).unwrap();
    rotate().exits(8).complains("is missing");
    fs::write(folder.join("a.age"), &a).unwrap();
    fs::write(folder.join("b.age"), &b).unwrap();
    chmod(&folder.join("a.age"), 0o600);
    rotate().ok();
    // The identity is lost: nothing makes another one over it.
    fs::rename(&key, scene.outside("away.key")).unwrap();
    rotate().exits(3).complains("there is no identity");
    scene.tf(&["secret", "init", "--no-passphrase"]).exits(3).complains("are encrypted to age1");
    fs::write(&key, "AGE-SECRET-KEY-1NONSENSE\n").unwrap();
    chmod(&key, 0o600);
    rotate().exits(2).complains("a line is no X25519 key");
    fs::rename(scene.outside("away.key"), &key).unwrap();
    rotate().ok();
    // The log: a byte, a line, a line of somebody else's.
    let log = folder.join("log.jsonl");
    let text = fs::read_to_string(&log).unwrap();
    for changed in [
        text.replacen("ada", "eve", 1),
        text.lines().skip(1).map(|l| format!("{l}\n")).collect(),
        format!("{text}{{\"seq\":1}}\n"),
    ] {
        fs::write(&log, changed).unwrap();
        scene.tf(&["secret", "list"]).exits(8).complains("the vault's log is not what was written");
    }
    // Half a line, as a crash leaves it, is none.
    fs::write(&log, format!("{text}{{\"seq\":99,\"ti")).unwrap();
    set(&scene, "c", "behind it");
    assert_eq!(scene.tf(&["secret", "list", "--json"]).ok().json()["secrets"].as_array().unwrap().len(), 4);
}

#[test]
fn a_value_that_was_staged_and_logged_counts_whatever_came_between() {
    let scene = vault();
    set(&scene, "a", "the first value of it");
    let folder = scene.path(".taskforge/vault");
    let first = fs::read(folder.join("a.age")).unwrap();
    set(&scene, "a", "the second value of it");
    // As a crash between the log and the rename leaves it.
    fs::rename(folder.join("a.age"), folder.join("a.age.new")).unwrap();
    fs::write(folder.join("a.age"), &first).unwrap();
    fs::set_permissions(folder.join("a.age"), fs::Permissions::from_mode(0o600)).unwrap();
    scene.tf(&["secret", "rotate"]).ok();
    let key = identity(&scene).display().to_string();
    assert_eq!(age(&["-d", "-i", &key, &folder.join("a.age").display().to_string()], b""), b"the second value of it");
    // As a crash between the staging and the log leaves it: it was never set.
    fs::write(folder.join("a.age.new"), &first).unwrap();
    fs::set_permissions(folder.join("a.age.new"), fs::Permissions::from_mode(0o600)).unwrap();
    scene.tf(&["secret", "rotate"]).ok();
    assert_eq!(age(&["-d", "-i", &key, &folder.join("a.age").display().to_string()], b""), b"the second value of it");
}

#[test]
fn a_log_that_is_gone_is_said_wherever_somebody_looks_and_nothing_is_made_over_it() {
    let scene = vault();
    set(&scene, "a", "the value of it");
    let log = scene.path(".taskforge/vault/log.jsonl");
    let kept = fs::read(&log).unwrap();
    for emptied in [false, true] {
        fs::remove_file(&log).unwrap();
        if emptied {
            fs::write(&log, "").unwrap();
            fs::set_permissions(&log, fs::Permissions::from_mode(0o600)).unwrap();
        }
        for command in [&["secret", "list"][..], &["secret", "init", "--no-passphrase"], &["secret", "rotate"]] {
            scene.tf(command).exits(8).complains("the vault's log").complains("is gone").complains("a");
        }
        let checks = scene.tf(&["doctor", "--json"]).printed();
        let checks: serde_json::Value = serde_json::from_str(&checks).unwrap();
        let vault = checks.as_array().unwrap().iter().find(|check| check["name"] == "vault").unwrap();
        assert_eq!(vault["grade"], "bad", "{vault}");
        assert!(vault["detail"].as_str().unwrap().contains("is gone"), "{vault}");
        fs::write(&log, &kept).unwrap();
        fs::set_permissions(&log, fs::Permissions::from_mode(0o600)).unwrap();
    }
    assert_eq!(scene.tf(&["secret", "list", "--json"]).ok().json()["secrets"].as_array().unwrap().len(), 1);
}
