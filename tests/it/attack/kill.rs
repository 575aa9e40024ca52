//! The kill switch from the outside: nothing starts by any door, and what runs is cut off before it is dead.

use serde_json::json;

use super::world::{World, approval, python};
use crate::container::{block, require_engine};

const KILLED: i32 = 10;

fn is_killed(world: &World, arguments: &[&str]) {
    let done = world.taskforge(arguments);
    assert!(!done.status.success(), "{arguments:?}: {done:?}");
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(said.contains("kill"), "{arguments:?}: {said}");
}

#[test]
fn no_door_starts_anything() {
    let world = World::new();
    let nodes = || [approval("person", "[]"), python("work", "found(x=1)").needs("[person]")];
    world.start("before", &nodes());
    let killed = world.json(&["kill", "--reason", "test"]);
    assert_eq!(killed["unfinished"], json!([]), "{killed:#}");
    let refused = world.try_start("after", &nodes());
    assert_eq!(refused.status.code(), Some(KILLED), "{refused:?}");
    assert!(!world.run_folder("after").exists());
    let id = world.json(&["inbox"])["waiting"][0]["id"].as_str().unwrap().to_owned();
    let digest = world.json(&["approve", &id, "--show"])["digest"].as_str().unwrap().to_owned();
    // A decision may be made, and nothing comes of it yet.
    let approved = world.taskforge(&["approve", &id, "--digest", &digest]);
    assert!(approved.status.success(), "{approved:?}");
    let recipe = "0".repeat(64);
    is_killed(&world, &["tick"]);
    is_killed(&world, &["tick", "before"]);
    is_killed(&world, &["run", "watch", "before", "--drive"]);
    is_killed(&world, &["run", "start", "--prompt", "x", "--model", "recorded"]);
    assert!(!world.taskforge(&["image", "build", "--recipe", &recipe, "--run", "before"]).status.success());
    world.taskforge(&["control", "resume", "before"]);
    world.taskforge(&["run", "retry", "before", "work"]);
    assert_eq!(world.containers(), Vec::<String>::new());
    assert_eq!(world.found("before", "work"), Vec::<serde_json::Value>::new());
    assert!(world.taskforge(&["unlock", "--reason", "test"]).status.success());
    world.taskforge(&["control", "resume", "before"]);
    let shown = world.finish("before");
    assert_eq!(shown["status"], "completed", "{shown:#}");
    world.must_be_sound("before");
}

#[test]
fn what_runs_is_cut_off_and_ended() {
    let world = World::new();
    let script = r#"
seen = []
open("/workspace/ready.txt", "w").write("x")
while True:
    try:
        status = [gate("POST", "/taskforge/v1/progress", {"message": "alive"})[0], gate("GET", "/taskforge/v1/hello")[0],
                  gate("POST", "/v1/chat/completions", {"model": "recorded", "messages": []})[0]]
    except OSError as error:
        status = type(error).__name__
    print("SAW", status, flush=True)
    if status == [423, 423, 423]:
        open("/workspace/cut.txt", "w").write("x")
        time.sleep(600)
    time.sleep(0.05)
"#;
    world.start("cut", &[python("work", script)]);
    let workspace = world.run_folder("cut").join("nodes/work/workspace");
    world.until("cut", |_| workspace.join("ready.txt").exists());
    // Only the file, as of a `kill` that died right after it: the gate alone cuts.
    std::fs::write(world.root().join(".taskforge/kill/lock.json"), "anything").unwrap();
    let begun = std::time::Instant::now();
    while !workspace.join("cut.txt").exists() {
        assert!(begun.elapsed() < super::world::PATIENCE, "{}", world.log("cut", "work", "stdout"));
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    // A container that somebody starts now gets no greeting from the gate, and ends by itself.
    let name = world.containers().into_iter().find(|name| name.contains("work")).unwrap();
    let engine = require_engine();
    let docker = |arguments: &[&str]| std::process::Command::new("docker").args(arguments).output().unwrap();
    docker(&["kill", &name]);
    docker(&["start", &name]);
    assert_eq!(block(engine.wait(&name)).unwrap(), 72);
    // Whatever is called next finishes it.
    let ticked = world.taskforge(&["tick", "cut"]);
    assert_eq!(ticked.status.code(), Some(KILLED), "{ticked:?}");
    assert_eq!(world.containers(), Vec::<String>::new());
    let shown = world.show("cut");
    assert_eq!((&shown["status"], &shown["nodes"][0]["status"]), (&json!("paused"), &json!("ready")), "{shown:#}");
    let messages = world.journal("cut").matches(r#""message": "alive""#).count();
    world.taskforge(&["tick", "cut"]);
    assert_eq!(world.journal("cut").matches(r#""message": "alive""#).count(), messages);
    world.must_be_sound("cut");
}

/// Starting, deciding and killing at once: whatever wins, nothing runs afterwards.
#[test]
fn a_kill_among_starts_leaves_nothing_running() {
    let world = World::new();
    for run in ["one", "two", "three"] {
        world.start(run, &[approval("person", "[]"), python("work", "time.sleep(600)").needs("[person]")]);
    }
    let mut children = Vec::new();
    for item in world.json(&["inbox"])["waiting"].as_array().unwrap() {
        let (id, digest) = (item["id"].as_str().unwrap(), item["digest"].as_str().unwrap());
        children.push(world.command(&["approve", id, "--digest", digest]).spawn().unwrap());
        children.push(world.command(&["tick"]).spawn().unwrap());
    }
    // Somewhere in the middle of it.
    while world.containers().is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(5));
        if children.iter_mut().all(|child| child.try_wait().unwrap().is_some()) {
            break;
        }
    }
    let killed = world.json(&["kill", "--reason", "test"]);
    assert_eq!(killed["unfinished"], json!([]), "{killed:#}");
    assert_eq!(world.containers(), Vec::<String>::new());
    for mut child in children {
        child.wait().unwrap();
    }
    assert_eq!(world.containers(), Vec::<String>::new());
    world.taskforge(&["tick"]);
    for run in ["one", "two", "three"] {
        assert!(!world.show(run)["nodes"].to_string().contains(r#""status":"running""#));
        world.must_be_sound(run);
    }
}
