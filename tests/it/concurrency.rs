//! Sixteen at a time: every verb that changes a run, ticks and controls, on one run and on many. What was acknowledged is
//! there once, a contested step has one winner, and readers neither wait nor see half of anything.

use std::collections::BTreeMap;
use std::fs::File;
use std::process::{Command, Output};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{FlockOperation, flock};
use serde_json::{Value, json};

use crate::scene::Scene;

const PROCESSES: usize = 16;

/// The same numbers for the same seed (xorshift64*): a failure says its seed, and the seed gives the same calls.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from((self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % sides as u64).unwrap()
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.roll(from.len())]
    }
}

fn seed() -> u64 {
    let seed = std::env::var("TASKFORGE_CONCURRENCY_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()));
    println!("TASKFORGE_CONCURRENCY_SEED={seed} gives the same calls again");
    seed
}

/// A registry with a workflow of `count` nodes for sessions, none of which needs another.
fn scene(count: usize) -> Scene {
    let scene = Scene::new();
    let mut text = "---\nworkflowId: wide\ntitle: Wide\nnodes:\n".to_owned();
    for index in 0..count {
        text += &format!(
            "  - {{id: n{index}, title: N{index}, kind: session_turn, prompt: work, outputs: {{mode: notify}}}}\n"
        );
    }
    scene.write("workflows/wide.task.md", text + "---\n");
    scene
}

fn taskforge(scene: &Scene, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_taskforge"))
        .env_clear()
        .env("HOME", scene.outside("home"))
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .current_dir(scene.root())
        .args(arguments)
        .output()
        .unwrap()
}

fn scaffold(scene: &Scene, run: &str) -> Output {
    let arguments = ["helper", "scaffold", "--workflow-path", "workflows/wide.task.md", "--run-id", run];
    taskforge(scene, &[&arguments[..], &["--source-session-key", "agent:main:main"]].concat())
}

fn printed(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    })
}

/// Runs `work` in as many threads, each of which starts one process after the other; meanwhile `watch` again and again.
fn at_once(work: impl Fn(usize) + Sync, watch: impl Fn() + Sync) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                watch();
            }
        });
        let workers: Vec<_> = (0..PROCESSES)
            .map(|index| {
                let work = &work;
                scope.spawn(move || work(index))
            })
            .collect();
        let ended: Vec<_> = workers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        done.store(true, Ordering::SeqCst);
        watcher.join().unwrap();
        ended.into_iter().for_each(|ended| ended.unwrap());
    });
}

/// One call of any kind on `run`; what it was told is in the journal if it exited 0, said by the unique `word`.
fn any_call(scene: &Scene, run: &str, dice: &mut Dice, word: &str, nodes: usize) -> Option<Told> {
    let node = format!("n{}", dice.roll(nodes));
    let (arguments, told): (Vec<&str>, Option<Told>) = match dice.roll(16) {
        0..=3 => {
            let to = dice.pick(&["ready", "running", "waiting", "completed", "failed", "skipped"]);
            (vec!["helper", "transition-node", run, &node, to, "--message", word], Some(Told::Once(word.to_owned())))
        }
        4 | 5 => (vec!["helper", "progress", run, word], Some(Told::Once(word.to_owned()))),
        6 => {
            let kind = dice.pick(&["node-session", "child-session", "node-run"]);
            let arguments = vec!["helper", "bind", run, kind, "--node-id", &node, "--value", word, "--message", word];
            (arguments, Some(Told::Once(word.to_owned())))
        }
        7 => {
            (vec!["helper", "bind", run, "cron", "--value", word, "--message", word], Some(Told::Once(word.to_owned())))
        }
        8 => (vec!["node", "result", run, &node, "completed", "--summary", word], Some(Told::Summary(word.to_owned()))),
        9 => (vec!["event", "append", run, "note.made", "--message", word], Some(Told::Once(word.to_owned()))),
        10 => {
            let said = vec!["helper", "result", run, &node, "--status", "completed", "--summary", word];
            (said, Some(Told::Summary(word.to_owned())))
        }
        11 => {
            let added = vec!["helper", "add-node", run, "--id", word, "--title", word, "--kind", "session_turn"];
            ([&added[..], &["--needs", &node, "--prompt", "work"]].concat(), Some(Told::Added(word.to_owned())))
        }
        12 => (vec!["helper", "rewire", run, &node, "--needs", "n0"], None),
        13 => (vec!["helper", dice.pick(&["validate", "next", "status"]), run], None),
        14 => {
            let action = dice.pick(&["pause", "resume"]);
            (vec!["control", action, run], None)
        }
        _ => (vec!["tick", run], None),
    };
    let output = taskforge(scene, &arguments);
    let code = output.status.code();
    let stderr = String::from_utf8_lossy(&output.stderr);
    // Refusals are answers: an illegal step (1), a rejected control (7). A crash, a lock that was never free, a journal
    // that does not add up are none.
    assert!(matches!(code, Some(0 | 1 | 7)), "{arguments:?}: {code:?} {stderr}");
    let expected = ["illegal transition", "would close a cycle", "cannot be given other needs", "nothing more happens"];
    let refused = expected.iter().any(|refusal| stderr.contains(refusal));
    assert!(code != Some(1) || refused, "{arguments:?}: {stderr}{}", String::from_utf8_lossy(&output.stdout));
    let noop = code == Some(0) && arguments[1] == "transition-node" && printed(&output)["noop"] == json!(true);
    told.filter(|_| code == Some(0) && !noop)
}

/// What an exit code of 0 promised.
enum Told {
    /// A line with this message, once.
    Once(String),
    /// A result with this summary, once.
    Summary(String),
    /// A node of this id, once.
    Added(String),
}

/// Everything that was promised is in the journal, and nothing is there twice.
fn check(scene: &Scene, run: &str, told: &[Told]) {
    let journal = scene.journal(run);
    let mut messages: BTreeMap<&str, usize> = BTreeMap::new();
    let mut summaries: BTreeMap<&str, usize> = BTreeMap::new();
    for line in &journal {
        *messages.entry(line["message"].as_str().unwrap_or_default()).or_default() += 1;
        *summaries.entry(line["data"]["report"]["summary"].as_str().unwrap_or_default()).or_default() += 1;
    }
    for told in told {
        let added =
            |word: &str| journal.iter().filter(|line| line["event"] == "node.added" && line["nodeId"] == word).count();
        let (found, word) = match told {
            Told::Once(word) => (messages.get(word.as_str()).copied(), word),
            Told::Summary(word) => (summaries.get(word.as_str()).copied(), word),
            Told::Added(word) => (Some(added(word)), word),
        };
        assert_eq!(found, Some(1), "{word} in run {run}");
    }
    scene.tf(&["audit", "verify", run]).ok().says("sound");
    // The projections are those of the journal: a further commit finds nothing of another program in them.
    scene.tf(&["helper", "progress", run, "the last word"]).ok();
    assert_eq!(scene.events(run, "registry.adopted"), Vec::<Value>::new());
    assert_eq!(scene.json(&format!("runs/{run}/state.json"))["lastProgressMessage"], "the last word");
}

/// What a reader sees is whole: legal JSON, every node, and a journal whose batches are whole.
fn look(scene: &Scene, run: &str, nodes: usize) {
    let shown = taskforge(scene, &["run", "show", run, "--json"]);
    assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
    assert!(printed(&shown)["nodes"].as_array().unwrap().len() >= nodes);
    let state = scene.json(&format!("runs/{run}/state.json"));
    assert!(state["nodes"].as_array().unwrap().len() >= nodes);
    let refs = scene.json(&format!("runs/{run}/refs.json"));
    assert_eq!(refs["runId"], run);
}

#[test]
fn sixteen_processes_on_one_run() {
    const NODES: usize = 8;
    let (scene, seed) = (scene(NODES), seed());
    assert!(scaffold(&scene, "one").status.success());
    let told = Mutex::new(Vec::new());
    let work = |index: usize| {
        let mut dice = Dice::new(seed + index as u64);
        for call in 0..12 {
            let word = format!("word-{index}-{call}");
            let said = any_call(&scene, "one", &mut dice, &word, NODES);
            told.lock().unwrap().extend(said);
        }
    };
    at_once(work, || look(&scene, "one", NODES));
    let told = told.into_inner().unwrap();
    assert!(told.len() > 40, "only {} calls were acknowledged", told.len());
    check(&scene, "one", &told);
}

#[test]
fn sixteen_processes_on_as_many_runs() {
    const NODES: usize = 3;
    let (scene, seed) = (scene(NODES), seed());
    let runs: Vec<String> = (0..PROCESSES).map(|index| format!("run-{index}")).collect();
    let told: Vec<Mutex<Vec<Told>>> = runs.iter().map(|_| Mutex::default()).collect();
    let work = |index: usize| {
        let mut dice = Dice::new(seed + 100 + index as u64);
        assert!(scaffold(&scene, &runs[index]).status.success());
        for call in 0..6 {
            let said = any_call(&scene, &runs[index], &mut dice, &format!("word-{index}-{call}"), NODES);
            told[index].lock().unwrap().extend(said);
        }
    };
    at_once(work, || {
        let listed = taskforge(&scene, &["run", "list", "--json"]);
        assert!(listed.status.success() && listed.stderr.is_empty(), "{}", String::from_utf8_lossy(&listed.stderr));
    });
    for (run, told) in runs.iter().zip(&told) {
        check(&scene, run, &told.lock().unwrap());
    }
}

#[test]
fn a_contested_step_has_one_winner() {
    const NODES: usize = 4;
    let scene = scene(NODES);
    let made = Mutex::new(0);
    at_once(
        |_| {
            let output = scaffold(&scene, "contested");
            let said = String::from_utf8_lossy(&output.stderr);
            match output.status.code() {
                Some(0) => *made.lock().unwrap() += 1,
                code => assert!(code == Some(1) && said.contains("run already exists: contested"), "{code:?} {said}"),
            }
        },
        || (),
    );
    assert_eq!(made.into_inner().unwrap(), 1);
    let won: Vec<Mutex<Vec<String>>> = (0..NODES).map(|_| Mutex::default()).collect();
    at_once(
        |index| {
            for step in 0..NODES {
                let node = format!("n{}", (index + step) % NODES);
                let word = format!("winner-{index}");
                let call = ["helper", "transition-node", "contested", &node, "running", "--message", &word];
                let output = taskforge(&scene, &call);
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                if printed(&output)["noop"] != json!(true) {
                    won[(index + step) % NODES].lock().unwrap().push(word);
                }
            }
        },
        || look(&scene, "contested", NODES),
    );
    for (index, won) in won.iter().enumerate() {
        let won = won.lock().unwrap();
        assert_eq!(won.len(), 1, "node n{index} was won by {won:?}");
        let started = scene.events("contested", "node.started");
        let started: Vec<_> = started.iter().filter(|line| line["nodeId"] == format!("n{index}")).collect();
        assert_eq!(started.len(), 1);
        assert_eq!(started[0]["message"], won[0].as_str());
    }
}

#[test]
fn controls_are_applied_once_whoever_ticks() {
    let scene = scene(2);
    assert!(scaffold(&scene, "ticked").status.success());
    let mut lines = String::new();
    for index in 0..6 {
        let action = if index % 2 == 0 { "pause" } else { "resume" };
        lines += &format!(
            "{{\"id\": \"c{index}\", \"action\": \"{action}\", \"runId\": \"ticked\", \"timestamp\": \"2026-11-20T11:46:18+00:00\", \"patch\": {{}}}}\n"
        );
        // One that cannot be applied holds up none behind it.
        lines += &format!(
            "{{\"id\": \"bad{index}\", \"action\": \"skip\", \"runId\": \"ticked\", \"timestamp\": \"\", \"nodeId\": \"nobody\", \"patch\": {{}}}}\n"
        );
    }
    scene.write("runs/ticked/control.jsonl", lines);
    at_once(
        |_| {
            let output = taskforge(&scene, &["tick", "ticked"]);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        },
        || look(&scene, "ticked", 2),
    );
    for (event, ids) in [("control.applied", "c"), ("control.rejected", "bad")] {
        let lines = scene.events("ticked", event);
        let of: Vec<String> = lines.iter().map(|line| line["data"]["id"].as_str().unwrap().to_owned()).collect();
        assert_eq!(of, (0..6).map(|index| format!("{ids}{index}")).collect::<Vec<_>>(), "{event}");
    }
    assert_eq!(scene.events("ticked", "run.paused").len(), 3);
    let applied = scene.json("runs/ticked/refs.json")["appliedControlIds"].as_array().unwrap().len();
    assert_eq!(applied, 12);
}

#[test]
fn readers_wait_for_nobody() {
    let scene = scene(2);
    assert!(scaffold(&scene, "held").status.success());
    let lock = File::options().append(true).create(true).open(scene.path("runs/held/.run.lock")).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    let before = scene.read("runs/held/events.jsonl");
    // None of these could end while the lock is held, if it asked for it.
    for reading in [
        &["run", "show", "held"][..],
        &["run", "list"],
        &["inbox"],
        &["audit", "log", "held"],
        &["audit", "verify", "held"],
        &["helper", "validate", "held"],
        &["helper", "status", "held"],
        &["helper", "next", "held"],
    ] {
        let output = taskforge(&scene, reading);
        assert!(output.status.success(), "{reading:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(scene.read("runs/held/events.jsonl"), before);
    // One that writes says who is in its way, and has changed nothing.
    scene.tf(&["control", "pause", "held"]).exits(5).complains("locked");
    drop(lock);
    scene.tf(&["tick", "held"]).ok();
    assert_eq!(scene.json("runs/held/state.json")["status"], "paused", "what was recorded is applied by the next tick");
}
