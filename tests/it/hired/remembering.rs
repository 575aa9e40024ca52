//! An agent's memory through the gate: bounded, its own only, and there after everything else is gone.

use serde_json::{Value, json};

use super::{agent_journal, hire};
use crate::docker_api;
use crate::scene::{Scene, text};

const PRELUDE: &str = r#"
import json, subprocess, sys, time, os
out = open("/workspace/said.txt", "a")
def say(*words):
    print(*words, file=out, flush=True)
def memory(*words, text=None):
    done = subprocess.run(["/taskforge/bin/taskforge", "agent", "memory", *words], capture_output=True, input=text or b"")
    return done.returncode, json.loads(done.stdout or b"{}")
"#;

/// A run of one node that is a script of `agent`.
fn script(scene: &Scene, run: &str, agent: &str, script: &str) {
    let container = format!("command: {}\nagent: {agent}", json!(["python3", "-c", format!("{PRELUDE}\n{script}")]));
    scene.commands(run, &[("work", &container, &["said.txt"])]);
    scene.start(run, run);
}

fn said(scene: &Scene, run: &str) -> Vec<String> {
    scene.read(&format!("runs/{run}/nodes/work/said.txt")).lines().map(str::to_owned).collect()
}

const ALL: &str = "allowedActions: [memory.get, memory.set, memory.list, memory.rm]";

#[test]
fn what_is_written_is_read_at_once_and_in_the_next_task() {
    let scene = Scene::new();
    hire(&scene, "ada", ALL);
    scene.tf(&["memory", "set", "ada", "given", "by a person"]).ok();
    script(
        &scene,
        "first",
        "ada",
        r#"
say(memory("get", "given")[1]["value"])
say(memory("set", "a", "one")[0])
say(memory("get", "a")[1]["value"])
say(memory("set", "a", "-", text="two ü".encode())[0])
say(memory("set", "b", "x")[0], memory("rm", "b")[0], memory("get", "b")[0], memory("rm", "b")[0])
say([entry["key"] for entry in memory("list")[1]["memory"]])
"#,
    );
    scene.drive("first", 0);
    assert_eq!(said(&scene, "first"), ["by a person", "0", "one", "0", "0 0 3 3", "['a', 'given']"]);
    assert_eq!(scene.tf(&["memory", "get", "ada", "a"]).ok().stdout, "two ü\n");
    let changes: Vec<Value> =
        agent_journal(&scene, "ada").into_iter().filter(|line| text(&line["event"]).starts_with("memory.")).collect();
    assert_eq!(changes.len(), 5, "each once: {changes:#?}");
    scene.is_sound("first");
    script(&scene, "second", "ada", r#"say(memory("get", "a")[1]["value"])"#);
    scene.drive("second", 0);
    assert_eq!(said(&scene, "second"), ["two ü"]);
    // The next run's gate knows how much was written in the one before; what a person writes is not the agent's.
    let told = scene.json("runs/second/gate/memory/ada.json");
    assert_eq!(told["written"], json!({"day": chrono::Utc::now().date_naive(), "changes": 4, "bytes": 3 + 6 + 1}));
    let length = std::fs::metadata(scene.path("agents/ada/events.jsonl")).unwrap().len();
    assert!((1..=length).contains(&told["journal"].as_u64().unwrap()), "{told}");
}

#[test]
fn bounds_and_roles_are_kept_by_the_gate() {
    let scene = Scene::new();
    hire(&scene, "ada", ALL);
    hire(&scene, "eve", "allowedActions: [memory.get]");
    scene.tf(&["memory", "set", "ada", "secret", "ada's own"]).ok();
    script(
        &scene,
        "bounds",
        "ada",
        r#"
for key in ["../x", "A", ".a", "a" * 101, "a b"]:
    say(memory("set", key, "x")[0])
say(memory("set", "large", "-", text=b"x" * 16385)[1]["error"]["code"])
say(memory("set", "esc", "a\x1b[2J")[1]["error"]["code"])
say(memory("set", "bytes", "-", text=b"\xff")[0])
say([memory("set", f"k{n}", "x")[0] for n in range(255)].count(0))
say(memory("set", "more", "x")[1]["error"]["message"])
"#,
    );
    scene.drive("bounds", 0);
    let heard = said(&scene, "bounds");
    assert_eq!(heard[..9], ["2", "2", "2", "2", "2", "memory_refused", "memory_refused", "2", "255"]);
    assert!(heard[9].contains("256 are the most"), "{heard:?}");
    assert_eq!(scene.tf(&["memory", "list", "ada", "--json"]).ok().json().as_array().unwrap().len(), 256);
    // Another agent: its own memory only, and what its role allows.
    script(
        &scene,
        "other",
        "eve",
        r#"
say(memory("get", "secret")[0])
say(memory("set", "a", "x")[1]["error"]["message"])
say(memory("list")[0])
say(os.path.exists("/gate"), os.listdir("/taskforge/gate"))
"#,
    );
    scene.drive("other", 0);
    let heard = said(&scene, "other");
    assert_eq!((heard[0].as_str(), heard[2].as_str()), ("3", "4"), "{heard:?}");
    assert!(heard[1].contains("the role of agent `eve` does not allow memory.set"), "{heard:?}");
    assert_eq!(heard[3], "False ['gate.sock']");
    assert_eq!(scene.tf(&["memory", "list", "eve", "--json"]).ok().json(), json!([]));
    // A node that is no hired agent's has none.
    scene.commands(
        "none",
        &[(
            "work",
            "command: [sh, -c, '/taskforge/bin/taskforge agent memory list > said.txt; test $? = 4']",
            &["said.txt"],
        )],
    );
    scene.start("none", "none");
    scene.drive("none", 0);
    assert!(said(&scene, "none")[0].contains("is no hired agent's"));
}

#[test]
fn what_was_acknowledged_survives_the_gate_the_container_and_the_host() {
    let scene = Scene::new();
    hire(&scene, "ada", ALL);
    script(
        &scene,
        "r",
        "ada",
        r#"
if not os.path.exists("/workspace/again"):
    say(memory("set", "kept", "yes")[0])
    open("/workspace/again", "w").close()
    time.sleep(600)
say(memory("get", "kept")[1]["value"])
"#,
    );
    // Nobody ticks until everything is gone: the message lies in the inbox alone.
    let since = std::time::Instant::now();
    while !scene.path("runs/r/nodes/work/workspace/again").exists() {
        assert!(since.elapsed().as_secs() < 120, "it does not get there");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let containers = docker_api::containers(&scene.id());
    assert_eq!(containers.len(), 2, "the agent's and the gate's");
    containers.iter().filter_map(|container| container["Id"].as_str()).for_each(docker_api::remove);
    scene.drive("r", 0);
    assert_eq!(said(&scene, "r"), ["0", "yes"]);
    let kept: Vec<Value> =
        agent_journal(&scene, "ada").into_iter().filter(|line| line["event"] == "memory.set").collect();
    assert_eq!(kept.len(), 1, "taken in once: {kept:#?}");
    scene.is_sound("r");
}
