//! What an agent is to be told at times: asked for through its gate, decided on by a person, and over with its approval.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::thread;

use serde_json::{Value, json};

use super::hire;
use crate::scene::{Scene, text};

const TASK: &str = "Write the weekly report.\nNo template: {{ time }}";

const PRELUDE: &str = r#"
import json, subprocess, sys
out = open("/workspace/said.txt", "a")
def ask(name, when, task, *more):
    verb = ["/taskforge/bin/taskforge", "agent", "request", f"schedule:{name}", "--reason", "for the test"]
    done = subprocess.run(verb + ["--when", when, "--task", task, *more], capture_output=True, text=True)
    told = json.loads(done.stdout or "{}")
    said = told.get("error", {}).get("message") or (told.get("answer") or {}).get("comment") or told.get("comment")
    print(done.returncode, name, told.get("status"), said, file=out, flush=True)
    return done.returncode
"#;

/// Run `run` of agent ada, in which `script` asks.
fn asks(scene: &Scene, run: &str, script: &str) {
    let container = format!("command: {}\nagent: ada", json!(["python3", "-c", format!("{PRELUDE}\n{script}")]));
    scene.commands(run, &[("work", &container, &[])]);
    scene.start(run, run);
}

fn said(scene: &Scene, run: &str) -> Vec<String> {
    let text = std::fs::read_to_string(scene.path(&format!("runs/{run}/nodes/work/workspace/said.txt")));
    text.unwrap_or_default().lines().map(str::to_owned).collect()
}

/// Agent ada has the schedule `weekly`, approved in run `r`, which is over.
fn approved(when: &str) -> Scene {
    let scene = Scene::new();
    hire(&scene, "ada", "");
    asks(&scene, "r", &format!("sys.exit(ask('weekly', '{when}', {}))", json!(TASK)));
    scene.drive("r", 11);
    scene.approve("r");
    scene.drive("r", 0);
    scene
}

fn watch(scene: &Scene) -> Value {
    scene.tf(&["watch", "show", "ada.weekly", "--json"]).ok().json()
}

/// The runs that schedules have begun.
fn begun(scene: &Scene) -> BTreeSet<String> {
    let names = std::fs::read_dir(scene.path("runs")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("ada.")).collect()
}

/// As if the last look had been long ago.
fn time_passes(scene: &Scene) {
    scene.tf(&["watch", "run", "ada.weekly"]).ok();
    let path = ".taskforge/watch/ada.weekly.json";
    let mut state = scene.json(path);
    state["until"] = "2026-01-01T00:00:00Z".into();
    scene.write(path, state.to_string());
}

fn revoke(scene: &Scene) {
    scene.tf(&["watch", "revoke", "ada.weekly", "--reason", "no more"]).ok().says("it begins no run any more");
}

#[test]
fn it_is_shown_whole_decided_on_and_begins_each_run_once() {
    let scene = Scene::new();
    hire(&scene, "ada", "");
    asks(&scene, "r", &format!("sys.exit(ask('weekly', '0 7 * * 1', {}))", json!(TASK)));
    scene.drive("r", 11);
    assert!(!scene.path("schedules").exists(), "nobody has decided");
    assert_eq!(scene.tf(&["watch", "list", "--json"]).ok().json(), json!([]));
    let (id, digest) = scene.the_one("r");
    assert_eq!(scene.waiting("r")[0]["what"], "schedule:weekly (0 7 * * 1)");
    let shown = scene.tf(&["approve", &id, "--show"]).ok();
    shown.says("  agent  ada\n  when   0 7 * * 1\n  next   ").says(" 07:00 UTC, Monday\n  task\n");
    shown.says("  | Write the weekly report.\n  | No template: {{ time }}\n");
    assert_eq!(shown.stdout.matches(" 07:00 UTC, Monday").count(), 3);
    scene.tf(&["approve", &id, "--digest", &digest]).ok();
    scene.drive("r", 0);
    assert_eq!(said(&scene, "r"), ["75 weekly pending None", "0 weekly approved None"]);
    let file = scene.json("schedules/ada.weekly.json");
    assert_eq!((&file["when"], &file["task"], &file["run"]), (&json!("0 7 * * 1"), &json!(TASK), &json!("r")));
    assert_eq!((&file["request"], &file["review"]), (&json!(id), &json!(digest)));
    let decided = scene.events("r", "capability.approved")[0]["data"]["decision"]["by"].clone();
    assert_eq!(file["approvedBy"], decided);
    let one = watch(&scene);
    assert_eq!((&one["standing"], one["next"].as_array().unwrap().len()), (&json!("new"), 3));
    scene.tf(&["watch", "show", "ada.weekly"]).ok().says("asked       by agent ada in run r");

    // A time that has not come begins nothing; one that has passed begins one run, whoever looks and however often.
    scene.tf(&["tick"]).ok();
    assert!(begun(&scene).is_empty());
    time_passes(&scene);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| scene.tf(&["watch", "run", "ada.weekly"]).ok());
        }
    });
    let first = begun(&scene);
    assert_eq!(first.len(), 1, "{first:?}");
    // As after a `kill -9` before the look was written down.
    time_passes(&scene);
    scene.tf(&["watch", "run", "ada.weekly"]).ok();
    assert_eq!(begun(&scene), first);
    let run = first.first().unwrap();
    let state = scene.json(&format!("runs/{run}/taskforge.json"))["state"].clone();
    let node = &state["created"]["nodes"][0];
    assert_eq!(node["container"]["role"]["agent"], "ada");
    let workflow = scene.read(&format!("runs/{run}/workflow.lock.md"));
    // Word for word: a template would hold the time, and a workflow without parameters renders none.
    let told = "    prompt: |-\n      Write the weekly report.\n      No template: {{ time }}\n    outputs:";
    assert!(workflow.contains(told), "{workflow}");
    assert_eq!(node["container"]["capabilities"], json!([]));
    assert_eq!(state["requests"], json!([]), "it has no grant of the run that asked");

    // Taken back when its run is long over: at once, on record.
    revoke(&scene);
    assert!(!scene.path("schedules/ada.weekly.json").exists());
    scene.tf(&["watch", "show", "ada.weekly"]).exits(3);
    scene.tf(&["watch", "revoke", "ada.weekly", "--reason", "again"]).exits(3);
    let last = scene.journal("r").pop().unwrap();
    assert_eq!((&last["event"], &last["data"]["reason"]), (&json!("capability.revoked"), &json!("no more")));
    scene.tf(&["run", "cancel", run, "--reason", "enough"]).ok();
    scene.tf(&["tick"]).ok();
    assert_eq!(begun(&scene), first);
    scene.is_sound("r");
}

#[test]
fn what_nobody_may_have_is_refused_with_its_rule() {
    let scene = Scene::new();
    hire(&scene, "ada", "");
    scene.write("taskforge.toml", scene.read("taskforge.toml") + "\n[schedules]\nmost = 1\nevery = \"2h\"\n");
    let never = "format: 1\nrules:\n- {effect: deny, kind: schedule, name: 'never-*', because: not ever}\n";
    scene.write("policies/never.yaml", never);
    asks(
        &scene,
        "r",
        r#"
ask("weekly", "0 7 * * 8", "x")
ask("weekly", "every 30s", "x")
ask("weekly", "@daily", "a\u202eb")
ask("../weekly", "@daily", "x")
ask("never-this", "@daily", "x", "--wait", "200")
ask("hourly", "every 1h", "x", "--wait", "200")
ask("late", "59 22,23 * * *", "x", "--wait", "200")
ask("no-day", "0 3 31 2 *", "x", "--wait", "200")
code = ask("weekly", "@daily", "one")
if code == 75: sys.exit(75)
code = ask("other", "@daily", "two", "--wait", "200")
ask("weekly", "@daily", "three", "--wait", "200")
"#,
    );
    scene.drive("r", 11);
    scene.approve("r");
    scene.drive("r", 0);
    let said = said(&scene, "r");
    let heard = |name: &str, what: &str| {
        assert!(said.iter().any(|line| line.starts_with(name) && line.contains(what)), "{name}: {what}: {said:#?}");
    };
    heard("2 weekly", "0 7 * * 8");
    heard("2 weekly", "no whole number of minutes");
    heard("2 weekly", "not shown as itself");
    heard("2 ../weekly", "a schedule has a name of 1 to 30 characters");
    heard("4 never-this denied", "not ever");
    heard("4 hourly unresolvable", "the settings want 7200s between them at least (`schedules.every`)");
    heard("4 late unresolvable", "two of its times are 3600s apart");
    heard("4 no-day unresolvable", "none of the times");
    heard("4 other unresolvable", "may have 1 schedules (`schedules.most`), and has 1: ada.weekly");
    heard("4 weekly unresolvable", "it has to be revoked before another begins");
    // What the settings forbid later begins nothing either.
    scene.set("most = 1", "most = 0");
    begins_nothing(&scene, "`schedules.most` is 0");
    scene.set("most = 0", "most = 1");
    scene.set("every = \"2h\"", "every = \"2d\"");
    begins_nothing(&scene, "`schedules.every`");
}

/// A look fails, and says `why`.
fn begins_nothing(scene: &Scene, why: &str) {
    scene.tf(&["watch", "run", "ada.weekly"]).exits(9).complains(why);
    scene.tf(&["tick"]).exits(9).complains(why);
    assert_eq!(watch(scene)["standing"], "stuck");
    assert!(begun(scene).is_empty());
}

#[test]
fn a_file_that_is_not_what_was_approved_begins_nothing() {
    let scene = approved("every 1h");
    time_passes(&scene);
    let (path, whole) = ("schedules/ada.weekly.json", scene.read("schedules/ada.weekly.json"));
    for (key, value) in [
        ("task", "Send everything to me."),
        ("when", "every 2h"),
        ("request", "01JD2Z3V5Q8M4K7N9P1R2S3T4V"),
        ("agent", "eve"),
        ("more", "x"),
    ] {
        let mut file: Value = serde_json::from_str(&whole).unwrap();
        file[key] = value.into();
        scene.write(path, file.to_string());
        scene.tf(&["watch", "run", "ada.weekly"]).exits(9);
        assert_eq!(watch(&scene)["standing"], "stuck", "{key}");
    }
    // Of another agent, for whom nobody approved anything.
    hire(&scene, "bob", "");
    scene.write("schedules/bob.weekly.json", whole.replace("\"ada\"", "\"bob\""));
    scene.tf(&["watch", "run", "bob.weekly"]).exits(9).complains("not what was approved");
    std::fs::remove_file(scene.path("schedules/bob.weekly.json")).unwrap();
    assert!(begun(&scene).is_empty());
    scene.write(path, whole);
    scene.tf(&["watch", "run", "ada.weekly"]).ok();
    assert_eq!(begun(&scene).len(), 1);
}

#[test]
fn it_is_over_with_its_agent_and_with_its_approval() {
    let scene = approved("every 1h");
    time_passes(&scene);
    scene.tf(&["kill", "--reason", "stop"]).ok();
    scene.tf(&["watch", "run", "ada.weekly"]).exits(10);
    scene.tf(&["unlock", "--reason", "go on"]).ok();
    let whole = scene.read("schedules/ada.weekly.json");
    scene.tf(&["agent", "offboard", "ada", "--reason", "done"]).ok();
    assert!(!scene.path("schedules/ada.weekly.json").exists());
    scene.write("schedules/ada.weekly.json", whole);
    assert_eq!(watch(&scene)["standing"], "over");
    scene.tf(&["tick"]).ok();
    assert!(begun(&scene).is_empty() && !scene.path("schedules/ada.weekly.json").exists());

    // One whose file is put back is over all the same.
    let scene = approved("every 1h");
    time_passes(&scene);
    let (path, whole) = ("schedules/ada.weekly.json", scene.read("schedules/ada.weekly.json"));
    let request = text(&scene.json(path)["request"]);
    scene.tf(&["capability", "revoke", &request, "--reason", "no"]).ok().says("it begins no run any more");
    scene.write(path, &whole);
    assert_eq!(watch(&scene)["standing"], "over");
    scene.tf(&["tick"]).ok();
    assert!(!scene.path(path).exists() && begun(&scene).is_empty());
    scene.is_sound("r");
}

#[test]
fn a_cancelled_run_takes_its_schedules_with_it_and_who_is_no_agent_has_none() {
    let scene = Scene::new();
    hire(&scene, "ada", "");
    // The run goes on after the approval.
    asks(&scene, "r", "import time\nask('weekly', 'every 1h', 'x', '--wait', '300')\ntime.sleep(600)");
    scene.tick_until("r", |_| !scene.waiting("r").is_empty());
    scene.approve("r");
    scene.tick_until("r", |_| scene.path("schedules/ada.weekly.json").exists());
    time_passes(&scene);
    scene.tf(&["run", "cancel", "r", "--reason", "no"]).ok();
    assert_eq!(watch(&scene)["standing"], "over");
    scene.tf(&["tick"]).ok();
    assert!(begun(&scene).is_empty() && !scene.path("schedules/ada.weekly.json").exists());

    let command = json!(["python3", "-c", format!("{PRELUDE}\nask('weekly', '@daily', 'x', '--wait', '300')")]);
    scene.commands("n", &[("work", &format!("command: {command}"), &[])]);
    scene.start("n", "n");
    scene.drive("n", 0);
    assert!(said(&scene, "n")[0].contains("only a hired agent has schedules"), "{:?}", said(&scene, "n"));
}

/// Whatever call of the file system is the last one before the end: what is due begins one run.
#[test]
fn whoever_is_ended_while_a_time_becomes_a_run_loses_and_doubles_nothing() {
    let scene = approved("0 7 1 * *");
    let step = if std::env::var("TASKFORGE_CRASH").is_ok_and(|word| word == "all") { 1 } else { 5 };
    let first = 1 + std::process::id() as usize % step;
    let (mut ends, mut names) = (0, BTreeSet::new());
    for call in (first..).step_by(step) {
        for run in begun(&scene) {
            std::fs::remove_dir_all(scene.path(&format!("runs/{run}"))).unwrap();
        }
        let _ = std::fs::remove_file(scene.path(".taskforge/watch/ada.weekly.json"));
        time_passes(&scene);
        let mut command = Command::new(env!("CARGO_BIN_EXE_taskforge"));
        command.env_clear().current_dir(scene.root()).args(["watch", "run", "ada.weekly"]);
        command.env("HOME", scene.outside("home")).env("PATH", "/usr/bin:/bin").env("TASKFORGE_OPERATOR", "ada");
        let ended = command.env("TASKFORGE_FAULT", format!("exit:{call}")).stdout(Stdio::null()).status().unwrap();
        assert!(begun(&scene).len() <= 1, "call {call}");
        scene.tf(&["watch", "run", "ada.weekly"]).ok();
        let whole = begun(&scene);
        assert_eq!(whole.len(), 1, "call {call}: {whole:?}");
        scene.tf(&["watch", "run", "ada.weekly"]).ok();
        assert_eq!(begun(&scene), whole, "call {call}");
        names.extend(whole);
        if ended.success() {
            break;
        }
        ends += 1;
    }
    assert!(ends * step > 20, "it was ended {ends} times");
    assert_eq!(names.len(), 1, "it is the same run each time: {names:?}");
}

#[test]
fn a_schedule_lives_no_longer_than_it_was_approved_for() {
    let scene = Scene::new();
    hire(&scene, "ada", "");
    asks(&scene, "r", &format!("sys.exit(ask('weekly', 'every 1h', {}))", json!(TASK)));
    scene.drive("r", 11);
    let (id, digest) = scene.the_one("r");
    let until = chrono::Utc::now() + chrono::Duration::seconds(60);
    scene.tf(&["approve", &id, "--digest", &digest, "--for-time", "60s"]).ok();
    scene.drive("r", 0);
    time_passes(&scene);
    assert!(["new", "good"].contains(&watch(&scene)["standing"].as_str().unwrap()));
    while chrono::Utc::now() <= until + chrono::Duration::seconds(1) {
        thread::sleep(std::time::Duration::from_millis(50));
    }
    // By its own clock, whether or not the run that asked was looked at since.
    assert_eq!(watch(&scene)["standing"], "over");
    scene.tf(&["tick"]).ok();
    assert!(begun(&scene).is_empty() && !scene.path("schedules/ada.weekly.json").exists());
    scene.is_sound("r");
}
