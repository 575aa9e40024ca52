//! A workspace that is an image: the kernel keeps its size, what was written is there again for the next attempt, and
//! nothing stays mounted, whoever is ended when.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::world::{Node, PATIENCE, World, python};

/// A registry whose workspaces are as `kind` says.
fn world(world: World, kind: &str) -> World {
    let path = world.root().join("taskforge.toml");
    let config = fs::read_to_string(&path).unwrap();
    let changed = config.replacen("[containers]\n", &format!("[containers]\nworkspace = \"{kind}\"\n"), 1);
    assert_ne!(config, changed);
    fs::write(&path, changed).unwrap();
    world
}

fn small(node: Node) -> Node {
    node.with("resources: {disk: 64MiB, wall: 5m}")
}

fn image(world: &World, run: &str) -> PathBuf {
    world.root().join(format!(".taskforge/workspaces/{run}/attack.ext4"))
}

fn workspace(world: &World, run: &str) -> PathBuf {
    world.run_folder(run).join("nodes/attack/workspace")
}

/// What is mounted within the registry, as this process sees it.
fn mounted(world: &World) -> Vec<String> {
    let root = world.root().canonicalize().unwrap();
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let points = table.lines().filter_map(|line| line.split(' ').nth(4));
    points.filter(|point| Path::new(point).starts_with(&root)).map(str::to_owned).collect()
}

/// The loop devices of `image`.
fn devices(image: &Path) -> usize {
    let image = image.canonicalize().unwrap();
    let loops = fs::read_dir("/sys/block").unwrap().flatten();
    let backing = loops.filter_map(|entry| fs::read_to_string(entry.path().join("loop/backing_file")).ok());
    backing.filter(|file| Path::new(file.trim_end()) == image).count()
}

fn gone(world: &World, run: &str) {
    assert_eq!(mounted(world), [""; 0]);
    // The kernel lets go of a device a moment after the last container that had it.
    let begun = Instant::now();
    while devices(&image(world, run)) > 0 {
        assert!(begun.elapsed() < PATIENCE, "the loop device is still there");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The last attempt of the only node.
fn last(shown: &Value) -> Value {
    shown["nodes"][0]["attempts"].as_array().unwrap().last().unwrap().clone()
}

#[test]
fn ten_gigabytes_end_at_the_limit_and_the_run_says_why() {
    let world = world(World::new(), "image");
    let script = r#"
written, number = 0, 0
block = os.urandom(1 << 20)
try:
    while written < 10 << 30:
        number += 1
        with open(f"/workspace/{number}", "wb", 0) as file:
            for _ in range(7):
                written += file.write(block)
except OSError as error:
    found(written=written, errno=error.errno)
    sys.exit(1)
found(written=written, errno=0)
"#;
    let found = world.attack("fill", small(python("attack", script)));
    let written = found["written"].as_u64().unwrap();
    assert!((60 << 20..=72 << 20).contains(&written), "{found}");
    assert_eq!(found["errno"], 28, "ENOSPC");
    let shown = world.show("fill");
    assert_eq!(shown["status"], "failed");
    assert_eq!(last(&shown)["outcome"], "over_disk", "{shown:#}");
    let said = shown.to_string();
    assert!(said.contains(&format!("its workspace holds more than {} bytes", 64 << 20)), "{said}");
    let taken = fs::metadata(image(&world, "fill")).unwrap().blocks() * 512;
    assert!(taken <= 77 << 20, "{taken}");
    gone(&world, "fill");
    world.must_be_sound("fill");
}

/// A folder, and nobody ticks: what fills it is ended all the same, and the next tick says of what.
#[test]
fn a_folder_is_kept_within_its_limit_between_ticks() {
    let world = World::new();
    let script = r#"
for number in range(1000):
    with open(f"/workspace/{number}", "wb") as file:
        file.write(b"x" * (8 << 20))
    time.sleep(0.1)
time.sleep(600)
"#;
    world.start("fill", &[small(python("attack", script))]);
    let name = world.containers().into_iter().find(|name| name.contains("attack")).unwrap();
    let engine = crate::container::require_engine();
    assert_eq!(crate::container::block(engine.wait(&name)).unwrap(), 73);
    let shown = world.finish("fill");
    assert_eq!(last(&shown)["outcome"], "over_disk", "{shown:#}");
    // Fifty times as much would have been written by then.
    let taken: u64 =
        fs::read_dir(workspace(&world, "fill")).unwrap().flatten().map(|file| file.metadata().unwrap().len()).sum();
    assert!(taken > 64 << 20 && taken < 2 << 30, "{taken}");
    world.must_be_sound("fill");
}

#[test]
fn what_was_written_is_there_again_and_the_settings_in_force_are_told() {
    let world = world(World::new(), "image");
    let script = r#"
import pathlib
note = pathlib.Path("/workspace/note")
if note.exists():
    pathlib.Path("/workspace/out.md").write_text(note.read_text() + "second")
    found(there=sorted(os.listdir("/workspace")))
    sys.exit(0)
note.write_text("first ")
found(there=sorted(os.listdir("/workspace")))
while not pathlib.Path("/workspace/never").exists():
    time.sleep(0.05)
"#;
    world.start("again", &[small(python("attack", script)).leaves("[nodes/attack/out.md]")]);
    world.until("again", |_| !world.found("again", "attack").is_empty());
    let inspected = world.json(&["container", "inspect", "again/attack"]);
    assert_eq!(inspected["disk"], json!({"limit": 64 << 20, "enforced": "image"}), "{inspected}");
    assert_eq!(inspected["grade"], 100);
    assert_eq!(world.json(&["doctor", "--containers"])["disk"], "image");
    // The container alone holds it: here nothing is mounted, and nothing lies in the folder.
    assert_eq!(mounted(&world), [""; 0]);
    assert_eq!(devices(&image(&world, "again")), 1);
    assert_eq!(fs::read_dir(workspace(&world, "again")).unwrap().count(), 0);

    // A command that was ended with the workspace open left it mounted, on the same device.
    let status = Command::new("mount")
        .args(["-t", "ext4", "-o", "loop"])
        .args([image(&world, "again"), workspace(&world, "again")])
        .status();
    assert!(status.unwrap().success());
    assert_eq!((mounted(&world).len(), devices(&image(&world, "again"))), (1, 1));
    world.taskforge(&["tick", "again"]);
    assert_eq!(mounted(&world), [""; 0]);

    // The container is taken away from outside: the next attempt finds what this one has written.
    let removed = world.containers().into_iter().filter(|name| name.contains("attack")).collect::<Vec<_>>();
    for name in &removed {
        let done = Command::new("docker").args(["rm", "-f", name]).output().unwrap();
        assert!(done.status.success(), "{done:?}");
    }
    let shown = world.finish("again");
    assert_eq!(shown["status"], "completed", "{shown:#}");
    assert_eq!(world.found("again", "attack").last().unwrap()["there"], json!(["note", "out.md"]));
    let out = fs::read_to_string(world.run_folder("again").join("nodes/attack/out.md")).unwrap();
    assert_eq!(out, "first second");
    gone(&world, "again");
    world.must_be_sound("again");
}

#[test]
fn a_kill_leaves_nothing_mounted() {
    let world = world(World::new(), "image");
    let script = "open('/workspace/x', 'w').write('x')\nfound(ready=True)\ntime.sleep(3600)";
    world.start("killed", &[small(python("attack", script))]);
    world.until("killed", |_| !world.found("killed", "attack").is_empty());
    let status = Command::new("mount")
        .args(["-t", "ext4", "-o", "loop"])
        .args([image(&world, "killed"), workspace(&world, "killed")])
        .status();
    assert!(status.unwrap().success());
    let killed = world.taskforge(&["kill", "--reason", "enough"]);
    assert!(killed.status.success(), "{killed:?}");
    gone(&world, "killed");
    let lifted = world.taskforge(&["unlock", "--reason", "done"]);
    assert!(lifted.status.success(), "{lifted:?}");
    gone(&world, "killed");
}

#[test]
fn who_cannot_have_an_image_is_refused_one_and_told_so() {
    let plain = world(World::plain(), "image");
    plain.start("refused", &[small(python("attack", "found(ran=True)"))]);
    let shown = plain.finish("refused");
    assert_eq!(last(&shown)["outcome"], "not_started", "{shown:#}");
    assert!(shown.to_string().contains("it cannot be an image: only root can mount one"), "{shown:#}");

    let auto = world(World::plain(), "auto");
    auto.start("soft", &[small(python("attack", "found(ran=True)\ntime.sleep(3600)"))]);
    auto.until("soft", |_| !auto.found("soft", "attack").is_empty());
    let inspected = auto.json(&["container", "inspect", "soft/attack"]);
    assert_eq!(inspected["disk"]["enforced"], "soft", "{inspected}");
    assert_eq!(auto.json(&["doctor", "--containers"])["disk"], "soft");
}

/// What a run leaves here when its folder is removed is taken away with the images that nobody needs.
#[test]
fn workspaces_of_a_run_that_is_gone_are_cleared_up() {
    let world = world(World::new(), "image");
    for run in ["stays", "goes"] {
        world.attack(run, small(python("attack", "found(x=1)")));
    }
    fs::remove_dir_all(world.run_folder("goes")).unwrap();
    let all = |arguments: &[&str]| world.json(&[&["image", "gc"], arguments].concat())["workspaces"].clone();
    let found = all(&["--dry-run"]);
    assert_eq!((&found[0]["run"], found.as_array().unwrap().len()), (&json!("goes"), 1), "{found}");
    assert!(found[0]["size"].as_u64().unwrap() > 0, "{found}");
    assert!(image(&world, "goes").exists());
    assert_eq!(all(&[]), found);
    assert!(!image(&world, "goes").exists() && image(&world, "stays").exists());
    assert_eq!(all(&[]), json!([]));
}
