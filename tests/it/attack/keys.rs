//! A provider's key: from its file to the gate, and nowhere else; gone with the gate.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::world::{PLAIN, World, python};
use crate::container::require_engine;

const KEY: &str = "sk-attack-5f2e9c7d1b3a";

/// A registry whose only provider is a server that nobody runs, with a key in a file.
fn with_key(world: &World) {
    let file = world.folder().join("key");
    fs::write(&file, format!("{KEY}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let owner = fs::metadata(world.root()).map(|meta| {
        use std::os::unix::fs::MetadataExt;
        (meta.uid(), meta.gid())
    });
    let (uid, gid) = owner.unwrap();
    chown(&file, Some(uid), Some(gid)).unwrap();
    let path = world.root().join("taskforge.toml");
    let id = world.id();
    let config = format!(
        "format = 1\nid = \"{id}\"\n[llm]\nmodel = \"m\"\n[llm.providers.up]\nkind = \"openai\"\n\
         baseUrl = \"http://127.0.0.1:9/v1\"\nkeyFile = \"{}\"\n[[llm.models]]\nmatch = \"*\"\nprovider = \"up\"\n",
        file.display()
    );
    fs::write(path, config).unwrap();
}

fn docker(arguments: &[&str]) -> String {
    let done = Command::new("docker").args(arguments).output().unwrap();
    format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr))
}

fn files_with(folder: &Path, text: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(meta) = path.symlink_metadata() else { continue };
        if meta.is_dir() {
            files_with(&path, text, found);
        } else if meta.is_file() && fs::read(&path).is_ok_and(|b| b.windows(text.len()).any(|w| w == text.as_bytes())) {
            found.push(path);
        }
    }
}

const SCRIPT: &str = r#"
body = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
answers = [gate("POST", "/v1/chat/completions", body), gate("GET", "/v1/models"), gate("GET", "/taskforge/v1/brief"),
           gate("POST", "/v1/chat/completions", dict(body, stream=True), {"authorization": "Bearer mine", "content-type": "application/json"})]
text = json.dumps(answers) + json.dumps(dict(os.environ))
found(statuses=[a[0] for a in answers], leaked="sk-" + "attack" in text)
open("/workspace/ready.txt", "w").write("x")
"#;

#[test]
fn a_key_reaches_the_gate_and_nothing_else() {
    let world = World::plain();
    with_key(&world);
    world.start("key", &[python("attack", &format!("{SCRIPT}\ntime.sleep(600)"))]);
    world.until("key", |_| !world.found("key", "attack").is_empty());
    let found = &world.found("key", "attack")[0];
    assert_eq!(found["leaked"], false, "{found:#}");
    assert_eq!(found["statuses"][0], 502, "{found:#}");
    let containers = world.containers();
    assert_eq!(containers.len(), 2);
    for name in &containers {
        for arguments in [&["inspect", name][..], &["logs", name], &["top", name, "-eo", "args"]] {
            assert!(!docker(arguments).contains("sk-attack"), "{arguments:?}");
        }
    }
    let secrets: Value =
        serde_json::from_str(&docker(&["inspect", containers.iter().find(|n| n.contains("gate")).unwrap()])).unwrap();
    let mounts = secrets[0]["Mounts"].as_array().unwrap();
    let mount = mounts.iter().find(|mount| mount["Destination"] == "/run/taskforge/secrets").unwrap();
    assert_eq!(mount["RW"], false);
    let folder = PathBuf::from(mount["Source"].as_str().unwrap());
    let mode = |path: &Path| path.symlink_metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&folder), mode(&folder.join("keys.json"))), (0o700, 0o400));
    let mut found = Vec::new();
    files_with(&world.root(), "sk-attack", &mut found);
    assert_eq!(found, Vec::<PathBuf>::new());
    // Whoever ends it, in whatever session.
    let killed = world.command(&["kill", "--reason", "test"]).env("XDG_RUNTIME_DIR", world.folder()).output().unwrap();
    assert!(killed.status.success(), "{killed:?}");
    assert!(!folder.exists());
    files_with(&world.root(), "sk-attack", &mut found);
    assert_eq!(found, Vec::<PathBuf>::new());
}

#[test]
fn a_key_is_gone_with_its_gate() {
    let world = World::new();
    with_key(&world);
    world.start("gone", &[python("attack", SCRIPT)]);
    world.finish("gone");
    world.until("gone", |_| world.containers().is_empty());
    let name = taskforge::container::gate_name(world.id(), &taskforge::run::id::RunId::parse("gone").unwrap());
    for base in ["/dev/shm", "/run"] {
        let uid = rustix::process::getuid().as_raw();
        assert!(!Path::new(base).join(format!("taskforge-{uid}")).join(&name).exists());
    }
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let world = World::new();
    with_key(&world);
    fs::set_permissions(world.folder().join("key"), fs::Permissions::from_mode(0o644)).unwrap();
    let started = world.try_start("open", &[python("attack", SCRIPT)]);
    world.taskforge(&["tick", "open"]);
    let shown = world.show("open").to_string();
    assert!(shown.contains("can be read by others") && !shown.contains("sk-attack"), "{shown} {started:?}");
    assert_eq!(world.found("open", "attack"), Vec::<Value>::new());
}

/// Anyone on the machine can make the folder first.
#[test]
fn a_planted_folder_for_keys_is_refused() {
    require_engine();
    if !rustix::process::geteuid().is_root() {
        // Only root can plant a folder of another user's here.
        return;
    }
    let world = World::of_user(Some((PLAIN.0 + 1, PLAIN.1 + 1)));
    with_key(&world);
    let planted = PathBuf::from(format!("/dev/shm/taskforge-{}", PLAIN.0 + 1));
    let _ = fs::remove_dir_all(&planted);
    fs::create_dir_all(&planted).unwrap();
    fs::set_permissions(&planted, fs::Permissions::from_mode(0o777)).unwrap();
    let removes = Removes(planted.clone());
    // In the mode that is wanted, so that only its owner gives it away.
    for mode in [0o777, 0o711] {
        fs::set_permissions(&planted, fs::Permissions::from_mode(mode)).unwrap();
        let started = world.try_start(&format!("planted-{mode:o}"), &[python("attack", SCRIPT)]);
        let said = String::from_utf8_lossy(&started.stderr).into_owned();
        assert!(said.contains("taskforge-31338"), "{started:?}");
        assert_eq!(fs::read_dir(&planted).unwrap().count(), 0);
    }
    drop(removes);
    let _own = Removes(planted);
    world.finish("planted-777");
}

struct Removes(PathBuf);

impl Drop for Removes {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
