//! Pull requests become runs: each once for each commit.

use std::process::{Command, Stdio};

use serde_json::json;

use super::hub::{Hub, sha};
use super::{look, runs, state_path, task, tasks, watching};

#[test]
fn each_pull_request_is_a_run_once_and_again_after_a_push() {
    let hub = Hub::start();
    hub.push("acme/tool", 1, "a");
    hub.put("acme/tool", 2, "c", json!({"draft": true}));
    hub.add("acme/other");
    let scene = watching(&hub, &["acme/tool", "acme/other"], "");
    let dry = scene.tf(&["watch", "run", "--dry-run", "--json"]).ok().json();
    assert_eq!((runs(&scene).len(), scene.path(&state_path("reviews")).exists()), (0, false));
    let first = look(&scene);
    assert_eq!(first["found"], dry["watches"][0]["found"], "a dry run says what is done");
    assert_eq!(tasks(&scene), [format!("Review acme/tool#1 at {}: Change 1", sha("a"))]);
    let run = runs(&scene).pop_first().unwrap();
    assert_eq!(
        first["found"],
        json!([{"key": format!("github.pr:acme/tool#1@{}", sha("a")), "what": "acme/tool#1", "run": run, "new": true}])
    );
    assert!(run.starts_with("reviews-acme-tool-1-"), "{run}");
    // Nothing new: one request each, with a condition.
    let before = hub.asked();
    assert_eq!(look(&scene)["found"], json!([]));
    assert_eq!(hub.asked(), (before.0 + 2, before.1 + 2));
    // Talk about it is no new work, though the answer is another.
    hub.put("acme/tool", 1, "a", json!({"title": "Other words"}));
    assert_eq!(look(&scene)["found"], json!([]));
    hub.push("acme/tool", 1, "d");
    hub.push("acme/tool", 2, "c");
    hub.push("acme/other", 1, "a");
    assert_eq!(look(&scene)["found"].as_array().unwrap().len(), 3);
    // What is known is no secret of this file: without it everything is asked for again, and nothing is done twice.
    std::fs::remove_file(scene.path(&state_path("reviews"))).unwrap();
    let again = look(&scene);
    assert_eq!(again["found"].as_array().unwrap().iter().filter(|found| found["new"] == true).count(), 0, "{again}");
    scene.write(&state_path("reviews"), "{");
    look(&scene);
    assert_eq!(runs(&scene).len(), 4);
    // A push back to a commit that was looked at before.
    hub.push("acme/tool", 1, "a");
    look(&scene);
    assert_eq!(runs(&scene).len(), 4);
    hub.close("acme/tool", 1);
    look(&scene);
    let taken = scene.json(&state_path("reviews"))["parts"]["acme/tool"]["taken"].clone();
    assert_eq!(taken.as_object().unwrap().len(), 1, "{taken}");
    scene.tf(&["watch", "list"]).ok().says("reviews").says("github.pr").says("agent ada").says("looks");
    scene.tf(&["watch", "show", "reviews"]).ok().says("acme/tool: 1 taken up");
    scene.tf(&["watch", "show", "nobody"]).exits(3).complains("there is no watch `nobody`");
    assert!(!scene.read(&state_path("reviews")).contains("ghp_"));
}

#[test]
fn many_are_read_page_by_page_and_begun_in_turns() {
    let hub = Hub::start();
    for number in 1..=230 {
        hub.push("acme/tool", number, "a");
    }
    let scene = watching(&hub, &["acme/tool"], "atOnce = 3");
    let first = look(&scene);
    assert_eq!((first["found"].as_array().unwrap().len(), &first["left"]), (3, &json!(227)));
    assert_eq!(hub.asked(), (3, 0));
    // Those that have waited for longest.
    let begun = runs(&scene);
    assert!(
        begun.iter().all(|run| ["-1-", "-2-", "-3-"].iter().any(|n| run.contains(&format!("tool{n}")))),
        "{begun:?}"
    );
    // What is left over is asked for without a condition.
    look(&scene);
    assert_eq!((runs(&scene).len(), hub.asked()), (6, (6, 0)));
    assert!(hub.got().iter().all(|got| !got.head.contains("evil.test")));
}

#[test]
fn one_repository_with_much_work_keeps_none_of_the_others_from_their_turn() {
    let hub = Hub::start();
    for number in 1..=20 {
        hub.push("acme/aaa", number, "a");
    }
    hub.push("acme/bbb", 1, "a");
    hub.push("acme/ccc", 1, "a");
    let scene = watching(&hub, &["acme/aaa", "acme/bbb", "acme/ccc"], "atOnce = 2");
    let found = |looked: &serde_json::Value| -> Vec<String> {
        let all = looked["found"].as_array().unwrap().iter();
        all.map(|found| found["what"].as_str().unwrap().to_owned()).collect()
    };
    // One each in turn, as far as it goes.
    assert_eq!(found(&look(&scene)), ["acme/aaa#1", "acme/bbb#1"]);
    // That which got nothing comes first now, and what it does not need is the others'.
    assert_eq!(found(&look(&scene)), ["acme/ccc#1", "acme/aaa#2"]);
    assert_eq!(found(&look(&scene)), ["acme/aaa#3", "acme/aaa#4"]);
    hub.push("acme/ccc", 1, "d");
    assert_eq!(found(&look(&scene)).len(), 2);
    look(&scene);
    assert!(
        tasks(&scene).iter().any(|task| task.contains("acme/ccc#1") && task.contains(&sha("d"))),
        "{:?}",
        tasks(&scene)
    );
}

#[test]
fn a_tick_looks_and_takes_the_runs_on_and_where_nothing_is_watched_it_asks_nobody() {
    let hub = Hub::start();
    hub.push("acme/tool", 1, "a");
    let mut scene = watching(&hub, &["acme/tool"], "every = \"1h\"");
    // Without an Engine the run is made, and waits.
    scene.env("DOCKER_HOST", "unix:///nonexistent/docker.sock");
    scene.tf(&["tick", "--all", "--json"]).exits(9);
    assert_eq!((runs(&scene).len(), hub.asked()), (1, (1, 0)));
    let run = runs(&scene).pop_first().unwrap();
    scene.tf(&["run", "cancel", &run, "--reason", "seen"]).ok();
    // It is not its turn; asked by name it looks all the same.
    let ticked = scene.tf(&["tick", "--json"]).ok().json();
    assert!(ticked["watches"][0]["waits"].as_str().unwrap().contains("every 3600s"), "{ticked}");
    assert_eq!(hub.asked(), (1, 0));
    scene.tf(&["tick", &run]).ok();
    assert_eq!(hub.asked(), (1, 0));
    look(&scene);
    assert_eq!(hub.asked(), (2, 1));
    scene.tf(&["kill", "--reason", "enough"]).exits(1);
    scene.tf(&["watch", "run"]).exits(10);
    assert_eq!(hub.asked(), (2, 1));
}

/// Whatever call of the file system is the last one before the end.
#[test]
fn whoever_is_ended_between_making_a_run_and_writing_it_down_loses_and_doubles_nothing() {
    let hub = Hub::start();
    for number in 1..=2 {
        hub.push("acme/tool", number, "a");
    }
    let scene = watching(&hub, &["acme/tool"], "");
    // A sample of them, unless all are asked for.
    let step = if std::env::var("TASKFORGE_CRASH").is_ok_and(|word| word == "all") { 1 } else { 4 };
    let first = 1 + std::process::id() as usize % step;
    let mut ends = 0;
    for call in (first..).step_by(step) {
        let _ = std::fs::remove_dir_all(scene.path("runs"));
        let _ = std::fs::remove_dir_all(scene.path(".taskforge/watch"));
        let mut command = command(&scene);
        let ended = command.env("TASKFORGE_FAULT", format!("exit:{call}")).stdout(Stdio::null()).status().unwrap();
        let whole: Vec<String> = runs(&scene).into_iter().collect();
        whole.iter().for_each(|run| assert!(task(&scene, run).starts_with("Review acme/tool#"), "{run}"));
        look(&scene);
        assert_eq!(
            tasks(&scene),
            [1, 2].map(|n| format!("Review acme/tool#{n} at {}: Change {n}", sha("a"))),
            "call {call}"
        );
        if ended.success() {
            break;
        }
        ends += 1;
    }
    assert_eq!(look(&scene)["found"], json!([]));
    assert!(ends * step > 20, "it was ended {ends} times");
}

fn command(scene: &crate::scene::Scene) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_taskforge"));
    command.env_clear().current_dir(scene.root()).args(["watch", "run", "reviews"]);
    command.env("HOME", scene.outside("home")).env("PATH", "/usr/bin:/bin").env("TASKFORGE_OPERATOR", "ada");
    command
}

/// Four, each with a lock of its own, since that is removed under them: the runs' names alone keep them apart.
#[test]
fn two_watchers_at_once_make_one_run_each() {
    let hub = Hub::start();
    for number in 1..=10 {
        hub.push("acme/tool", number, "a");
    }
    let scene = watching(&hub, &["acme/tool"], "");
    // The lock goes at each request, so that each of them may hold one of its own.
    let lock = scene.path(".taskforge/locks/watch-reviews");
    hub.before(move |_, _, _| {
        let _ = std::fs::remove_file(&lock);
        false
    });
    let children: Vec<_> = (0..4).map(|_| command(&scene).stdout(Stdio::piped()).spawn().unwrap()).collect();
    let mut begun = 0;
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        begun += String::from_utf8(output.stdout).unwrap().lines().filter(|line| line.ends_with(" begun")).count();
    }
    assert_eq!((begun, runs(&scene).len()), (10, 10));
}
