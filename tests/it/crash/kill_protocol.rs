//! The protocol of a kill, attacked at each of its steps: starts that hang inside the Engine, an Engine of which half is
//! broken, containers that do not go away. What a kill says afterwards is true, and whoever comes next finishes it.

use std::process::{Child, Output, Stdio};

use serde_json::Value;
use taskforge::registry::kill as switch;
use taskforge::run::id::RunId;
use taskforge::run::status::RunStatus;

use super::half::{Half, Verdict};
use super::{World, said, wait_until};
use crate::container::{BASE, block, require_engine};

fn spawn(command: &mut std::process::Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn kill(world: &World) -> Child {
    spawn(&mut world.command(&["kill", "--reason", "test", "--json"]))
}

fn status(world: &World) -> (Option<i32>, Value) {
    let done = world.run(&["kill", "--status", "--json"]);
    (done.status.code(), serde_json::from_slice(&done.stdout).unwrap())
}

fn docker(arguments: &[&str]) -> Output {
    let done = std::process::Command::new("docker").args(arguments).output().unwrap();
    assert!(done.status.success(), "{arguments:?}: {}", said(&done));
    done
}

/// No container of the registry, and the switch says so.
fn is_over(world: &World) {
    assert_eq!(world.containers_now(), Vec::<String>::new());
    let (code, found) = status(world);
    assert_eq!(
        (code, &found["state"], &found["left"]),
        (Some(10), &"killed".into(), &serde_json::json!([])),
        "{found}"
    );
}

fn running(world: &World) -> Vec<String> {
    let found = block(require_engine().list(&world.id)).unwrap();
    found.into_iter().filter(|container| container.running).map(|container| container.name).collect()
}

/// The steps at which a start can hang: the gate's and the agent's creation and start, before the Engine hears of it and
/// when it has done it. The kill does not return before the start has, and then nothing is left.
#[test]
fn a_start_held_up_inside_the_engine_is_waited_for() {
    for (number, (what, nth)) in [("create", 0), ("start", 0), ("create", 1), ("start", 1)].into_iter().enumerate() {
        for verdict in [Verdict::HoldRequest, Verdict::HoldAnswer] {
            let world = World::new();
            let run = format!("r{number}");
            world.start_without_engine("slow", &run);
            let half = Half::at(&world.beside("half.sock"), hold(what, nth, verdict));
            let tick = spawn(half.under(&mut world.command(&["tick", &run])));
            half.until_held();
            let mut killing = kill(&world);
            // It has seen everything that is there by now, and goes no further.
            assert!(wait_until(|| switch::read(world.registry.layout()).unwrap().is_some()));
            assert!(wait_until(|| world.containers_now().is_empty()), "{:?}", world.containers_now());
            assert!(killing.try_wait().unwrap().is_none(), "{what} {nth} {verdict:?}");
            let (code, found) = status(&world);
            assert_eq!((code, &found["state"]), (Some(1), &"unfinished".into()), "{found}");
            assert!(found["left"].to_string().contains("a start is under way"), "{found}");
            half.release();
            let killed = killing.wait_with_output().unwrap();
            if killed.status.code() == Some(1) {
                // On a machine so busy that we were slower than a kill is patient, it says what it left.
                assert!(said(&killed).contains("a start is still under way"), "{}", said(&killed));
                assert_eq!(world.run(&["tick"]).status.code(), Some(10));
            } else {
                assert!(killed.status.success(), "{what} {nth} {verdict:?}: {}", said(&killed));
            }
            is_over(&world);
            let ticked = tick.wait_with_output().unwrap();
            assert!(matches!(ticked.status.code(), Some(0 | 10)), "{what} {nth} {verdict:?}: {}", said(&ticked));
            is_over(&world);
            assert_ne!(world.state(&run).status, RunStatus::Completed);
        }
    }
}

fn hold(what: &'static str, nth: usize, verdict: Verdict) -> impl Fn(&str, usize) -> Verdict {
    move |line, before| {
        let path = line.split('?').next().unwrap_or_default();
        let matches = line.starts_with("POST /containers/") && path.ends_with(what) && before == nth;
        if matches { verdict } else { Verdict::Pass }
    }
}

/// A start that the Engine never comes to an end with holds up the kill only for as long as that may still be a slow one;
/// what was there is gone by then, the kill says what it left, and the next command finishes it.
#[test]
fn a_start_that_hangs_for_good_is_named_and_does_not_keep_the_kill() {
    let world = World::new();
    world.start("slow", "other");
    world.start_without_engine("slow", "hangs");
    let half = Half::at(&world.beside("half.sock"), hold("start", 1, Verdict::HoldAnswer));
    let tick = spawn(half.under(&mut world.command(&["tick", "hangs"])));
    half.until_held();
    let killed = kill(&world).wait_with_output().unwrap();
    assert_eq!(killed.status.code(), Some(1), "{}", said(&killed));
    assert!(said(&killed).contains("a start is still under way"), "{}", said(&killed));
    // Also what the start had brought.
    assert_eq!(world.containers_now(), Vec::<String>::new());
    assert_eq!(status(&world).0, Some(1));
    half.release();
    tick.wait_with_output().unwrap();
    assert_eq!(world.run(&["tick"]).status.code(), Some(10));
    is_over(&world);
}

/// An Engine that is slow, and gets on: each of its answers takes longer than a silent one is waited for altogether.
#[test]
fn an_engine_that_is_slow_is_given_its_time() {
    let world = World::new();
    for run in ["one", "two", "three"] {
        world.start("slow", run);
    }
    assert_eq!(running(&world).len(), 6);
    // One removal at a time, each when the one before it was a second ago.
    let half =
        Half::at(
            &world.beside("half.sock"),
            |line, _| {
                if line.starts_with("DELETE ") { Verdict::InTurn } else { Verdict::Pass }
            },
        );
    let killed = spawn(half.under(&mut world.command(&["kill", "--reason", "test"]))).wait_with_output().unwrap();
    assert!(killed.status.success(), "{}", said(&killed));
    is_over(&world);
}

/// The starter is dead, so that nothing holds up the kill, and the Engine goes on with what it was told after the kill
/// has returned: nothing of it ever runs.
#[test]
fn what_the_engine_does_after_its_client_has_died_never_runs() {
    for (what, nth) in [("create", 0), ("start", 0), ("create", 1), ("start", 1)] {
        let world = World::new();
        world.start_without_engine("slow", "r");
        let half = Half::at(&world.beside("half.sock"), hold(what, nth, Verdict::HoldRequest));
        let mut tick = spawn(half.under(&mut world.command(&["tick", "r"])));
        half.until_held();
        tick.kill().unwrap();
        tick.wait().unwrap();
        world.ok(&["kill", "--reason", "test"]);
        is_over(&world);
        half.release();
        // At most one that was made and not started; the next command removes it.
        assert_eq!(running(&world), Vec::<String>::new(), "{what} {nth}");
        let late = world.containers_now();
        assert!(late.len() <= usize::from(what == "create"), "{what} {nth}: {late:?}");
        for name in &late {
            assert!(status(&world).1["left"].to_string().contains(name.as_str()));
            // Also if it were started: its gate is gone, so that it ends by itself, having run nothing.
            if name.contains("work") {
                docker(&["start", name]);
                assert_eq!(block(require_engine().wait(name)).unwrap(), 72);
            }
        }
        assert_eq!(world.run(&["tick"]).status.code(), Some(10));
        is_over(&world);
    }
}

#[test]
fn containers_in_every_state_are_removed() {
    let world = World::new();
    world.start("slow", "r");
    let label = format!("io.taskforge.registry={}", world.id);
    let make = |verb: &str, more: &[&str], command: &[&str]| {
        let arguments = [&[verb, "--label", &label, "--network", "none"], more, &[BASE], command].concat();
        String::from_utf8(docker(&arguments).stdout).unwrap().trim().to_owned()
    };
    make("create", &[], &["true"]);
    let paused = make("run", &["-d"], &["sleep", "600"]);
    docker(&["pause", &paused]);
    let ended = make("run", &["-d"], &["true"]);
    docker(&["wait", &ended]);
    make("run", &["-d", "--restart", "always"], &["false"]);
    // One that takes no notice of being asked.
    make("run", &["-d"], &["sh", "-c", "trap '' TERM INT HUP; while :; do sleep 1; done"]);
    assert!(world.containers_now().len() >= 6, "{:?}", world.containers_now());
    world.ok(&["kill", "--reason", "test"]);
    is_over(&world);
}

/// The Engine never comes to an end with one container: everything else goes, what runs in it is ended, and the kill
/// says which one it is.
#[test]
fn a_container_that_cannot_be_removed_holds_up_nothing_else() {
    for verdict in [Verdict::Silence, Verdict::Refuse] {
        let world = World::new();
        for run in ["one", "two"] {
            world.start("slow", run);
        }
        let name = |run: &str| world.state(run).live_attempts().next().unwrap().1.plan.container.clone();
        let hung = name("one");
        let found = block(require_engine().inspect(&hung)).unwrap().unwrap();
        let request = format!("DELETE /containers/{}", found.id);
        let half =
            Half::at(
                &world.beside("half.sock"),
                move |line, _| {
                    if line.starts_with(&request) { verdict } else { Verdict::Pass }
                },
            );
        let killed = spawn(half.under(&mut world.command(&["kill", "--reason", "test"]))).wait_with_output().unwrap();
        assert_eq!(killed.status.code(), Some(1), "{}", said(&killed));
        assert!(said(&killed).contains(&hung), "{}", said(&killed));
        assert_eq!(world.containers_now(), [hung.as_str()]);
        assert_eq!(running(&world), Vec::<String>::new());
        let (code, found) = status(&world);
        assert_eq!((code, &found["state"]), (Some(1), &"unfinished".into()), "{found}");
        assert!(found["left"].to_string().contains(&hung), "{found}");
        // Nothing is lifted before it is gone.
        let unlocked =
            spawn(half.under(&mut world.command(&["unlock", "--reason", "test"]))).wait_with_output().unwrap();
        assert_eq!(unlocked.status.code(), Some(9), "{}", said(&unlocked));
        assert_eq!(world.state("one").status, RunStatus::Running);
        // Any command at all goes on with it.
        world.ok(&["run", "list"]);
        is_over(&world);
        assert_eq!(world.state("one").status, RunStatus::Paused);
    }
}

/// An Engine that does not say which containers there are: those that the journals name are ended all the same.
#[test]
fn an_engine_that_cannot_list_ends_what_the_journals_name() {
    for verdict in [Verdict::Silence, Verdict::Refuse] {
        let world = World::new();
        for run in ["one", "two"] {
            world.start("slow", run);
        }
        assert_eq!(running(&world).len(), 4);
        let half = Half::at(&world.beside("half.sock"), move |line, _| {
            if line.starts_with("GET /containers/json") { verdict } else { Verdict::Pass }
        });
        let killed = spawn(half.under(&mut world.command(&["kill", "--reason", "test"]))).wait_with_output().unwrap();
        assert_eq!(killed.status.code(), Some(1), "{}", said(&killed));
        assert_eq!(world.containers_now(), Vec::<String>::new(), "{:?}", half.seen());
        // Nobody has seen that there are no others, so that it is not over.
        let there = spawn(half.under(&mut world.command(&["kill", "--status"]))).wait_with_output().unwrap();
        assert_eq!(there.status.code(), Some(1), "{}", said(&there));
        world.ok(&["inbox"]);
        is_over(&world);
    }
}

/// An Engine that refuses everything, and one that takes every connection and never says a word.
#[test]
fn an_engine_that_does_nothing_is_named_and_the_switch_is_on() {
    for verdict in [Verdict::Silence, Verdict::Refuse] {
        let world = World::new();
        world.start("slow", "r");
        let half = Half::at(&world.beside("half.sock"), move |_, _| verdict);
        let killed = spawn(half.under(&mut world.command(&["kill", "--reason", "test"]))).wait_with_output().unwrap();
        assert_eq!(killed.status.code(), Some(1), "{}", said(&killed));
        assert!(switch::read(world.registry.layout()).unwrap().is_some());
        assert_eq!(world.run(&["run", "start", "slow"]).status.code(), Some(10));
        // That start was refused, and finished the kill.
        is_over(&world);
    }
}

/// Whatever cron, a person or a build would do next: the switch stays on, and nothing is made.
#[test]
fn an_armed_switch_says_so_and_a_killed_one_stays() {
    let world = World::new();
    let (code, found) = status(&world);
    assert_eq!((code, &found["state"], &found["preallocated"]), (Some(0), &"armed".into(), &true.into()), "{found}");
    world.start("slow", "r");
    world.ok(&["kill", "--reason", "test"]);
    is_over(&world);
    for words in [&["tick"][..], &["tick", "--record"], &["tick", "r"], &["run", "start", "slow"]] {
        assert_eq!(world.run(words).status.code(), Some(10), "{words:?}");
    }
    for words in [&["control", "resume", "r"][..], &["run", "retry", "r", "work"], &["helper", "next", "r"], &["inbox"]]
    {
        world.run(words);
        is_over(&world);
    }
    // A second kill changes neither the first one's reason nor its time.
    let before = status(&world).1["kill"].clone();
    world.ok(&["kill", "--reason", "another"]);
    assert_eq!(status(&world).1["kill"], before);
    world.ok(&["unlock", "--reason", "test"]);
    assert_eq!(status(&world).0, Some(0));
}

/// A run that is being made when the switch goes on is not there afterwards, or it is paused: lifting the switch alone
/// starts nothing.
#[test]
fn a_run_that_is_being_made_is_refused_or_paused() {
    let world = World::new();
    // Made before, and never looked at: nothing of it has run.
    world.start_without_engine("slow", "before");
    for round in 0..4 {
        let starts: Vec<(String, Child)> = (0..3)
            .map(|number| {
                let run = format!("r{round}{number}");
                let child = spawn(&mut world.command(&["run", "start", "slow", "--run-id", &run, "--detach"]));
                (run, child)
            })
            .collect();
        // In some rounds before anything of them is there, in others while they are being made or after that.
        let runs =
            || starts.iter().any(|(run, _)| world.registry.layout().run(&RunId::parse(run).unwrap()).root().exists());
        let staged = || world.registry.layout().tmp().read_dir().unwrap().next().is_some();
        assert!(wait_until(|| round == 0 || (round < 3 && staged()) || runs()));
        let killed = kill(&world).wait_with_output().unwrap();
        assert!(killed.status.success(), "{}", said(&killed));
        for (run, child) in starts {
            let done = child.wait_with_output().unwrap();
            let made = world.registry.layout().run(&RunId::parse(&run).unwrap()).root().exists();
            assert!(matches!(done.status.code(), Some(0 | 10)), "{}", said(&done));
            assert!(made || done.status.code() == Some(10), "{run}: {}", said(&done));
            assert!(!made || world.state(&run).status == RunStatus::Paused, "{run}: {}", said(&done));
        }
        world.ok(&["unlock", "--reason", "tested"]);
        world.ok(&["tick", "--all"]);
        assert_eq!(world.containers_now(), Vec::<String>::new());
    }
    assert_eq!(world.state("before").status, RunStatus::Paused);
    world.ok(&["control", "resume", "before"]);
}
