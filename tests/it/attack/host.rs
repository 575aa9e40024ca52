//! What an agent leaves for the host to take in, and a host that is not what it seems.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::json;
use taskforge::run::id::{NodeId, RunId};

use super::world::{World, python};
use crate::container::{block, require_engine};

/// The operator's own user is the agent's here, so that the agent may close its folder to the host, too.
#[test]
fn an_operator_who_is_not_root_gets_everything_back() {
    let world = World::plain();
    let first = r#"
open("/workspace/report.md", "w").write("kept")
os.makedirs("/workspace/closed/deep"); os.chmod("/workspace/closed", 0)
open("/workspace/suid", "w").write("x"); os.chmod("/workspace/suid", 0o6777)
found(uid=os.getuid(), mode=oct(os.stat("/workspace/suid").st_mode))
os.chmod("/workspace", 0)
"#;
    let second = r#"
found(text=open("/inputs/first/report.md").read())
open("/workspace/report.md", "w").write("x"); os.chmod("/workspace/report.md", 0)
os.chmod("/workspace", 0)
"#;
    world.start(
        "plain",
        &[
            python("first", first).leaves("[nodes/first/report.md]"),
            python("second", second).needs("[first]").leaves("[nodes/second/report.md]"),
        ],
    );
    let shown = world.finish("plain");
    assert_eq!(shown["nodes"][0]["status"], "completed", "{shown:#}");
    assert_eq!(world.found("plain", "second")[0]["text"], "kept");
    let unreadable = shown["nodes"][1]["attempts"][0]["detail"].as_str().unwrap();
    // Root reads every mode.
    if !rustix::process::geteuid().is_root() || world.root().metadata().unwrap().permissions().mode() == 0 {
        assert!(unreadable.contains("cannot be read"), "{shown:#}");
    }
    // A file with the set-user-id bit is in nobody's reach.
    let mode = world.run_folder("plain").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "{mode:o}");
    world.must_be_sound("plain");
}

#[test]
fn outputs_are_files_of_the_workspace_or_nothing() {
    let world = World::new();
    let script = r#"
os.symlink("/etc/passwd", "/workspace/link.md")
os.makedirs("/workspace/d"); os.symlink("/", "/workspace/d/root")
os.mkfifo("/workspace/pipe.md")
s = socket.socket(socket.AF_UNIX); s.bind("/workspace/socket.md")
os.makedirs("/workspace/folder.md")
open("/workspace/sparse.md", "wb").truncate(900 << 20)
open("/workspace/empty.md", "w")
path = "/workspace"
for n in range(200):
    path += "/deep"
    os.mkdir(path)
for n in range(5000):
    open("/workspace/d/f%d\n\x1b[2J" % n, "w")
os.symlink("/workspace/loop", "/workspace/loop")
"#;
    let names = "[nodes/attack/link.md, nodes/attack/pipe.md, nodes/attack/socket.md, nodes/attack/folder.md, \
        nodes/attack/sparse.md, nodes/attack/empty.md, nodes/attack/d/root/etc/passwd, nodes/attack/loop]";
    world.start("outputs", &[python("attack", script).leaves(names)]);
    let shown = world.finish("outputs");
    let attempt = &shown["nodes"][0]["attempts"][0];
    assert_eq!(shown["nodes"][0]["status"], "failed", "{shown:#}");
    let detail = attempt["detail"].as_str().unwrap();
    for name in ["link.md", "pipe.md", "socket.md", "folder.md", "sparse.md", "empty.md", "d/root/etc/passwd", "loop"] {
        assert!(detail.contains(&format!("{name}: ")), "{name}: {detail}");
    }
    let left: Vec<_> = std::fs::read_dir(world.run_folder("outputs").join("nodes/attack"))
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(left.len(), 2, "{left:?}");
    world.must_be_sound("outputs");
}

#[test]
fn a_workspace_that_grows_beyond_its_limit_ends_the_attempt() {
    let world = World::new();
    let script = r#"
for n in range(2000):
    with open("/workspace/part%d" % n, "wb") as file:
        file.write(b"x" * (1 << 20))
    time.sleep(0.02)
time.sleep(600)
"#;
    let node = python("attack", script).with("resources: {disk: 32MiB, wall: 5m}");
    world.start("disk", &[node]);
    let shown = world.finish("disk");
    let detail = shown["nodes"][0]["attempts"][0]["detail"].as_str().unwrap();
    assert!(detail.contains("its workspace holds more than 33554432 bytes"), "{shown:#}");
    assert_eq!(shown["nodes"][0]["attempts"].as_array().unwrap().len(), 1, "{shown:#}");
    world.until("disk", |_| world.containers().is_empty());
}

fn copy(from: &Path, to: &Path) {
    let done = std::process::Command::new("cp").arg("-a").args([from, to]).output().unwrap();
    assert!(done.status.success(), "{done:?}");
}

#[test]
fn a_copied_registry_does_not_touch_the_originals_containers() {
    let world = World::new();
    world.start("live", &[python("attack", "time.sleep(600)")]);
    world.until("live", |shown| shown["nodes"][0]["status"] == "running");
    let before = world.containers();
    assert_eq!(before.len(), 2, "{before:?}");
    let elsewhere = world.folder().join("copy");
    copy(&world.root(), &elsewhere);
    let flag = elsewhere.display().to_string();
    for arguments in [
        &["tick", "live"][..],
        &["tick"],
        &["run", "watch", "live", "--drive"],
        &["run", "start", "--prompt", "x", "--model", "m"],
    ] {
        let done = world.taskforge(&[&["--registry", &flag], arguments].concat());
        assert!(!done.status.success(), "{arguments:?}: {done:?}");
        assert!(String::from_utf8_lossy(&done.stderr).contains("is a copy of"), "{done:?}");
    }
    world.taskforge(&["--registry", &flag, "run", "cancel", "live"]);
    assert_eq!(world.containers(), before);
    assert_eq!(world.show("live")["nodes"][0]["status"], "running");
}

#[test]
fn a_foreign_container_of_our_name_is_left_alone() {
    let world = World::new();
    let (run, node) = (RunId::parse("name").unwrap(), NodeId::parse("attack").unwrap());
    let name = taskforge::container::agent_name(world.id(), &run, &node, 1);
    let foreign =
        ["create", "--name", &name, "--label", "io.taskforge.registry=another", "taskforge/base:default", "true"];
    let made = std::process::Command::new("docker").args(foreign).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let removes = Removes(name.clone());
    let started = world.try_start("name", &[python("attack", "found(x=1)")]);
    let ticked = world.taskforge(&["tick", "name"]);
    let said = [started.stderr, ticked.stderr].map(|text| String::from_utf8(text).unwrap()).concat();
    let detail = world.show("name")["nodes"][0].to_string();
    assert!(format!("{said}{detail}").contains(&name), "{said}{detail}");
    let seen = block(require_engine().inspect(&name)).unwrap().unwrap();
    assert!(matches!(seen.state, taskforge::container::State::Created { .. }), "{seen:?}");
    assert_eq!(world.found("name", "attack"), Vec::<serde_json::Value>::new());
    drop(removes);
    // Out of the way, the run goes on.
    let shown = world.finish("name");
    assert_ne!(shown["status"], json!("running"));
}

struct Removes(String);

impl Drop for Removes {
    fn drop(&mut self) {
        let _ = std::process::Command::new("docker").args(["rm", "-f", &self.0]).output();
    }
}
