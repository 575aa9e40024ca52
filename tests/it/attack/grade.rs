//! What the operator is told of the boxes: the grade of a live attempt, what lowers it, and a runtime that is not there.

use serde_json::{Value, json};

use super::world::{World, python};

fn docker(arguments: &[&str]) -> String {
    let done = std::process::Command::new("docker").args(arguments).output().unwrap();
    assert!(done.status.success(), "{arguments:?}: {done:?}");
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

fn set_runtime(world: &World, runtime: &str) {
    let file = world.root().join("taskforge.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("\n[containers]\n"), "{text}");
    std::fs::write(file, text.replace("\n[containers]\n", &format!("\n[containers]\nruntime = \"{runtime}\"\n")))
        .unwrap();
}

fn running(world: &World, run: &str) -> Value {
    world.until(run, |shown| shown["nodes"][0]["status"] == "running")
}

#[test]
fn an_attempt_that_has_ended_is_said_to_have_ended() {
    let world = World::new();
    world.start("over", &[python("work", "time.sleep(600)")]);
    running(&world, "over");
    assert!(world.taskforge(&["run", "cancel", "over"]).status.success());
    let ended = world.taskforge(&["container", "inspect", "over/work/1"]);
    assert_eq!(ended.status.code(), Some(3), "{ended:?}");
    assert!(String::from_utf8_lossy(&ended.stderr).contains("attempt 1 of node work has ended"), "{ended:?}");
}

#[test]
fn a_live_attempt_has_full_marks_and_a_plain_container_has_not() {
    let world = World::new();
    world.start("graded", &[python("work", "time.sleep(600)")]);
    running(&world, "graded");
    let found = world.json(&["container", "inspect", "graded/work"]);
    assert_eq!((&found["grade"], &found["deductions"]), (&json!(100), &json!([])), "{found:#}");
    assert_eq!((&found["attempt"], &found["role"]), (&json!(1), &json!("agent")));
    assert_eq!(found["plain"]["image"], found["image"]);
    assert_eq!(found["disk"], json!({"limit": 1 << 30, "enforced": "soft"}));
    let plain = found["plain"]["grade"].as_u64().unwrap();
    assert!(plain < 70, "{found:#}");
    let text = world.taskforge(&["container", "inspect", "graded/work/1"]);
    assert!(text.status.success(), "{text:?}");
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("Grade: 100 of 100.") && text.contains(&format!("same image: {plain} of 100")), "{text}");
    for nothing in ["graded/work/2", "graded/other", "other/work"] {
        assert_eq!(world.taskforge(&["container", "inspect", nothing]).status.code(), Some(3), "{nothing}");
    }
    for wrong in ["graded", "graded/work/x", "graded/work/1/2", "../x/y"] {
        assert_eq!(world.taskforge(&["container", "inspect", wrong]).status.code(), Some(2), "{wrong}");
    }
    // All of the registry: the agent and its gate, both whole.
    let all = world.json(&["doctor", "--containers"]);
    let grades: Vec<_> = all["containers"].as_array().unwrap().iter().map(|c| (&c["role"], &c["grade"])).collect();
    assert_eq!(grades.len(), 2, "{all:#}");
    assert!(grades.iter().all(|(_, grade)| **grade == 100), "{all:#}");
    assert_eq!(all["plain"]["grade"], found["plain"]["grade"]);
    assert_eq!((&all["runtimePresent"], &all["runtime"]), (&json!(true), &Value::Null));
    assert!(all["engine"]["runtimes"].as_array().unwrap().contains(&all["engine"]["defaultRuntime"]), "{all:#}");
    // Nothing that was made to compare with is left.
    assert_eq!(world.containers().len(), 2);
    // Somebody's own container under this registry's label is found, and each of its weaknesses has a name.
    let label = format!("io.taskforge.registry={}", world.id());
    let id =
        docker(&["create", "--privileged", "--network", "host", "--label", &label, "taskforge/base:default", "true"]);
    let weak = world.taskforge(&["--json", "doctor", "--containers"]);
    assert_eq!(weak.status.code(), Some(1));
    let weak: Value = serde_json::from_slice(&weak.stdout).unwrap();
    let worst = &weak["containers"][0];
    let lost: Vec<&str> =
        worst["deductions"].as_array().unwrap().iter().filter_map(|d| d["setting"].as_str()).collect();
    assert_eq!(&lost[..2], ["network", "privileged"], "{worst:#}");
    docker(&["rm", "-f", &id]);
}

#[test]
fn while_killed_nothing_is_made_to_compare_with() {
    let world = World::new();
    world.start("killed", &[python("work", "time.sleep(600)")]);
    assert!(world.taskforge(&["kill", "--reason", "test"]).status.success());
    let all = world.json(&["doctor", "--containers"]);
    assert_eq!((&all["containers"], &all["plain"]), (&json!([]), &Value::Null));
    assert_eq!(world.taskforge(&["container", "inspect", "killed/work/1"]).status.code(), Some(3));
}

#[test]
fn a_runtime_that_the_engine_lacks_is_refused_and_not_replaced() {
    let world = World::new();
    set_runtime(&world, "runsc-that-is-not-here");
    world.start("absent", &[python("work", "found(ran=True)")]);
    let shown = world.finish("absent");
    assert_eq!(shown["nodes"][0]["status"], "failed", "{shown:#}");
    let detail = shown["nodes"][0]["attempts"][0]["detail"].as_str().unwrap();
    assert!(detail.contains("no container runtime `runsc-that-is-not-here`"), "{detail}");
    assert_eq!(world.found("absent", "work"), Vec::<Value>::new());
    let all = world.taskforge(&["--json", "doctor", "--containers"]);
    assert_eq!(all.status.code(), Some(1), "{all:?}");
    let all: Value = serde_json::from_slice(&all.stdout).unwrap();
    assert_eq!((&all["runtime"], &all["runtimePresent"]), (&json!("runsc-that-is-not-here"), &json!(false)));
}

/// The Engine knows its own runtime by a second name, which is as good as another one to see that the name is obeyed.
#[test]
fn a_runtime_by_name_is_the_one_that_runs() {
    let world = World::new();
    let engine = world.json(&["doctor", "--containers"]);
    let default = &engine["engine"]["defaultRuntime"];
    let other = engine["engine"]["runtimes"].as_array().unwrap().iter().find(|name| {
        // The first generation of containerd's own has been taken out of it long since.
        *name != default && !name.as_str().unwrap().contains("v1.linux")
    });
    let other = other.expect("an Engine with a second runtime").as_str().unwrap().to_owned();
    set_runtime(&world, &other);
    world.start("named", &[python("work", "time.sleep(600)")]);
    running(&world, "named");
    let found = world.json(&["container", "inspect", "named/work"]);
    let row = found["rows"].as_array().unwrap().iter().find(|row| row["setting"] == "runtime").unwrap();
    assert_eq!((&row["actual"], &found["grade"]), (&json!(other), &json!(100)), "{found:#}");
    // What is configured now is what is expected: the one that runs under another name is seen.
    let text = std::fs::read_to_string(world.root().join("taskforge.toml")).unwrap();
    std::fs::write(world.root().join("taskforge.toml"), text.replace(&format!("runtime = \"{other}\"\n"), "")).unwrap();
    let found: Value =
        serde_json::from_slice(&world.taskforge(&["--json", "container", "inspect", "named/work"]).stdout).unwrap();
    assert_eq!((&found["grade"], &found["deductions"][0]["setting"]), (&json!(99), &json!("runtime")), "{found:#}");
}
