//! Ended at each write, sync and rename, and each of them failing: the seam that unoptimised builds have
//! (`TASKFORGE_FAULT`) counts them. A release build has none, so that these tests fail under `--release`.

use std::process::Output;

use taskforge::registry::kill;
use taskforge::run::record::Record;
use taskforge::run::status::RunStatus;

use super::{Dice, World, completed, said, story};

/// A command, from the state that it needs to the end that has to be reached whatever happened to it.
struct Case {
    name: &'static str,
    prepare: fn(&World),
    arguments: fn(&World) -> Vec<String>,
    /// Does again what did not happen. Takes the run to its end.
    finish: fn(&World),
}

const RUN: &str = "r";

const CASES: [Case; 7] = [
    Case { name: "approve", prepare: |_| {}, arguments: |world| world.approval("approve", RUN), finish: approved },
    Case {
        name: "deny",
        prepare: |_| {},
        arguments: |world| world.approval("deny", RUN),
        finish: |world| {
            // A decision that was written and not journaled is taken up by the next tick.
            world.settle(RUN);
            if !world.waiting(RUN).is_empty() {
                ok(world, &world.approval("deny", RUN));
            }
            assert_eq!(world.settle(RUN).status, RunStatus::Failed);
        },
    },
    Case {
        name: "pause",
        prepare: |_| {},
        arguments: |_| words("control pause r"),
        finish: |world| {
            if world.settle(RUN).status != RunStatus::Paused {
                ok(world, &words("control pause r"));
            }
            assert_eq!(world.settle(RUN).status, RunStatus::Paused);
            ok(world, &words("control resume r"));
            approved(world);
        },
    },
    Case {
        name: "resume",
        prepare: |world| ok(world, &words("control pause r")),
        arguments: |_| words("control resume r"),
        finish: |world| {
            if world.settle(RUN).status == RunStatus::Paused {
                ok(world, &words("control resume r"));
            }
            approved(world);
        },
    },
    Case {
        name: "cancel",
        prepare: |_| {},
        arguments: |_| words("control cancel r"),
        finish: |world| {
            if world.settle(RUN).status != RunStatus::Cancelled {
                ok(world, &words("control cancel r"));
            }
            assert_eq!(world.settle(RUN).status, RunStatus::Cancelled);
        },
    },
    Case { name: "kill", prepare: |_| {}, arguments: |_| words("kill --reason test"), finish: unlocked },
    Case {
        name: "unlock",
        prepare: |world| ok(world, &words("kill --reason test")),
        arguments: |_| words("unlock --reason test"),
        finish: unlocked,
    },
];

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

fn ok(world: &World, arguments: &[String]) {
    world.ok(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
}

fn approved(world: &World) {
    world.settle(RUN);
    if !world.waiting(RUN).is_empty() {
        ok(world, &world.approval("approve", RUN));
    }
    let state = world.settle(RUN);
    assert!(completed(&state), "{:#?}", story(&state));
}

/// The switch can be turned on and off as ever.
fn unlocked(world: &World) {
    if kill::read(world.registry.layout()).unwrap().is_some() {
        assert_eq!(world.run(&["tick"]).status.code(), Some(10));
        ok(world, &words("unlock --reason again"));
    }
    ok(world, &words("kill --reason again"));
    assert_eq!(world.run(&["tick"]).status.code(), Some(10));
    ok(world, &words("unlock --reason again"));
    let spare = world.registry.layout().kill_spare();
    assert_eq!(std::fs::metadata(spare).unwrap().len(), 4096);
    approved(world);
}

fn faulty(world: &World, arguments: &[String], fault: &str) -> Output {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    world.command(&arguments).env("TASKFORGE_FAULT", fault).output().unwrap()
}

fn was_ended(done: &Output) -> bool {
    use std::os::unix::process::ExitStatusExt as _;
    done.status.signal() == Some(9)
}

/// How many disk calls a command makes.
fn count(world: &World, case: &Case) -> u64 {
    last(|at| {
        let copy = world.copy(&format!("{}-count-{at}", case.name));
        (case.prepare)(&copy);
        let done = faulty(&copy, &(case.arguments)(&copy), &format!("exit:{at}"));
        std::fs::remove_dir_all(copy.root()).unwrap();
        was_ended(&done)
    })
}

/// The last disk call that something can be ended at, found by doubling and halving.
fn last(mut ends_at: impl FnMut(u64) -> bool) -> u64 {
    let mut above = 8;
    while ends_at(above) {
        above *= 2;
    }
    let mut below = above / 2;
    while above - below > 1 {
        let middle = u64::midpoint(above, below);
        if ends_at(middle) { below = middle } else { above = middle }
    }
    below
}

/// A registry with a run that waits for an approval.
fn prepared() -> World {
    let world = World::new();
    world.start("desk", RUN);
    world.settle(RUN);
    world
}

#[test]
fn a_command_ended_at_any_disk_call() {
    let world = prepared();
    let mut dice = Dice::new("disk");
    let mut tried = 0;
    for case in CASES {
        let trial = |name: &str, fault: &str| {
            let copy = world.copy(name);
            (case.prepare)(&copy);
            let before = copy.records(RUN);
            let done = faulty(&copy, &(case.arguments)(&copy), fault);
            (copy, before, done)
        };
        let count = count(&world, &case);
        for at in dice.sample((1..=count).collect(), 9) {
            let (copy, before, done) = trial(&format!("{}-{at}", case.name), &format!("exit:{at}"));
            println!("{} ended at {at} of {count}", case.name);
            assert!(was_ended(&done), "{}", said(&done));
            ends_well(&copy, &case, &before);
            tried += 1;
        }
    }
    println!("disk: ended at {tried} calls");
}

#[test]
fn a_command_whose_disk_fails_says_so_and_can_be_given_again() {
    let world = prepared();
    let mut dice = Dice::new("disk errors");
    let mut tried = 0;
    for case in CASES {
        let mut silent = 0;
        let points = (1..=count(&world, &case))
            .flat_map(|at| [("ENOSPC", at, ""), ("ENOSPC", at, "+"), ("EIO", at, ""), ("EIO", at, "+")]);
        for (errno, at, onwards) in dice.sample(points.collect(), 10) {
            let fault = format!("{errno}:{at}{onwards}");
            let copy = world.copy(&format!("{}-{fault}", case.name));
            (case.prepare)(&copy);
            let before = copy.records(RUN);
            let done = faulty(&copy, &(case.arguments)(&copy), &fault);
            println!("{} {fault}: {}", case.name, said(&done));
            let text = said(&done);
            assert!(!text.contains("panicked"), "{text}");
            if done.status.success() {
                silent += 1;
            } else {
                let cause = if errno == "EIO" { "I/O error" } else { "No space left" };
                assert!(done.status.code().is_some() && text.contains(cause), "{} {fault}: {text}", case.name);
            }
            ends_well(&copy, &case, &before);
            tried += 1;
        }
        println!("{}: {silent} had no effect, or on a projection only", case.name);
    }
    println!("disk: {tried} failing calls");
}

fn ends_well(copy: &World, case: &Case, before: &[Record]) {
    let after = copy.records(RUN);
    assert!(after.starts_with(before), "an acknowledged event is gone");
    (case.finish)(copy);
    copy.assert_sound(RUN, &after);
    std::fs::remove_dir_all(copy.root()).unwrap();
}

/// A full disk stops no kill: its file is preallocated.
#[test]
fn a_kill_on_a_full_disk() {
    let world = prepared();
    let done = faulty(&world, &words("kill --reason full"), "ENOSPC:1+");
    assert!(done.status.success(), "{}", said(&done));
    assert_eq!(kill::read(world.registry.layout()).unwrap().unwrap().reason, "full");
    assert_eq!(world.run(&["run", "start", "desk"]).status.code(), Some(10));
    unlocked(&world);
}

/// From no run to one that is under way: creating it, and dispatching its container.
#[test]
fn a_start_ended_at_any_disk_call() {
    let world = World::new();
    let start = |run: &str| words(&format!("run start quick --run-id {run} --detach"));
    ok(&world, &start("whole"));
    world.settle("whole");
    let trial = |run: &str, at: u64| {
        let done = faulty(&world, &start(run), &format!("exit:{at}"));
        assert!(was_ended(&done) || done.status.success(), "{}", said(&done));
        let acknowledged = world.records(run);
        if !world.exists(run) {
            ok(&world, &start(run));
        }
        assert_completed(&world, run, &acknowledged, at);
        was_ended(&done)
    };
    ended_at_a_sample("start", trial);
}

/// Taking in an agent's end: logs, outputs, the end itself, the gate.
#[test]
fn a_tick_ended_at_any_disk_call() {
    let world = World::new();
    let trial = |run: &str, at: u64| {
        world.start("held", run);
        world.let_go(run);
        world.wait_for_agent(run);
        let done = faulty(&world, &words(&format!("tick {run}")), &format!("exit:{at}"));
        assert!(was_ended(&done) || done.status.success(), "{}", said(&done));
        let acknowledged = world.records(run);
        assert_completed(&world, run, &acknowledged, at);
        let log = std::fs::read_to_string(world.layout(run).nodes().join("work/attempts/1/stdout.log")).unwrap();
        assert_eq!(log, "hello\n", "ended at {at}");
        was_ended(&done)
    };
    ended_at_a_sample("tick", trial);
}

/// Does `trial`, with a run's name and the disk call to be ended at, for each of a sample of all calls that there are.
fn ended_at_a_sample(name: &str, trial: impl Fn(&str, u64) -> bool) {
    let count = last(|at| trial(&format!("count-{at}"), at));
    let mut ended = 0;
    for at in Dice::new(name).sample((1..=count).collect(), 10) {
        ended += u64::from(trial(&format!("r{at}"), at));
    }
    println!("{name}: ended at {ended} of {count} calls");
    // The Engine's part is not the same each time: the last calls may not be reached.
    assert!(ended >= 8.min(count), "{ended} of {count}");
}

fn assert_completed(world: &World, run: &str, acknowledged: &[Record], at: u64) {
    let state = world.settle(run);
    let expected = ["run Completed", "node work Completed", "  attempt 1 Succeeded Some(0)"];
    assert_eq!(story(&state)[..3], expected, "ended at {at}");
    world.assert_sound(run, acknowledged);
}
