//! The machine goes down in the middle of a kill and comes up again: processes, locks and what lay in memory are gone,
//! containers have exited or are not there any more, files are as they were. The switch is on, whoever comes first
//! finishes the kill, and nothing starts.

use std::fs;

use taskforge::container::gate_name;
use taskforge::registry::kill as switch;
use taskforge::run::event::Outcome;
use taskforge::run::id::RunId;
use taskforge::run::status::RunStatus;

use super::kill::{goes_on, stays_dead};
use super::{World, said, wait_until};
use crate::container::{block, require_engine};

/// What the Engine has of the registry's containers when it comes up.
#[derive(Debug, Clone, Copy)]
enum Engine {
    HasThemExited,
    HasLostThem,
    /// As somebody's `docker update --restart always` would have it.
    StartsThemAgain,
}

/// Everything of the registry that a reboot ends.
fn reboot(world: &World, runs: &[&str], engine: Engine) {
    for process in processes(world) {
        let _ = rustix::process::kill_process(process, rustix::process::Signal::KILL);
    }
    assert!(wait_until(|| processes(world).is_empty()), "{:?}", processes(world));
    for name in world.containers_now() {
        let docker = |arguments: &[&str]| std::process::Command::new("docker").args(arguments).output().unwrap();
        match engine {
            Engine::HasLostThem => drop(docker(&["rm", "-f", &name])),
            Engine::HasThemExited => drop(docker(&["kill", &name])),
            Engine::StartsThemAgain => {
                docker(&["kill", &name]);
                docker(&["start", &name]);
            }
        }
    }
    for run in runs {
        let gate = gate_name(&world.id, &RunId::parse(run).unwrap());
        let user = rustix::process::getuid().as_raw();
        let _ = fs::remove_dir_all(format!("/dev/shm/taskforge-{user}/{gate}"));
    }
}

/// Processes of the product that work on this registry.
fn processes(world: &World) -> Vec<rustix::process::Pid> {
    let root = world.root().display().to_string();
    let all = fs::read_dir("/proc").unwrap().flatten();
    let ids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let ours = ids.filter(|id| {
        let words = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        words.split(|byte| *byte == 0).any(|word| word.starts_with(root.as_bytes()))
    });
    ours.filter_map(rustix::process::Pid::from_raw).collect()
}

/// The switch is on, and that is all that the kill has come to.
fn only_the_file(world: &World) {
    switch::engage(world.registry.layout(), "test", "operator:test", chrono::Utc::now()).unwrap();
}

#[test]
fn whoever_comes_first_after_a_reboot_finishes_the_kill() {
    let first: [&[&str]; 6] = [
        &["tick", "--all", "--record"],
        &["tick", "one"],
        &["run", "start", "slow"],
        &["control", "resume", "one"],
        &["run", "list"],
        &["kill", "--reason", "again"],
    ];
    for (number, words) in first.into_iter().enumerate() {
        let engine = [Engine::HasThemExited, Engine::HasLostThem, Engine::StartsThemAgain][number % 3];
        let world = World::new();
        for run in ["one", "two"] {
            world.start("slow", run);
            assert!(world.state(run).live_attempts().next().is_some());
        }
        only_the_file(&world);
        reboot(&world, &["one", "two"], engine);
        let done = world.run(words);
        let allowed = if matches!(words[0], "tick") || words[1] == "start" { vec![10] } else { vec![0, 10] };
        assert!(allowed.contains(&done.status.code().unwrap()), "{words:?} {engine:?}: {}", said(&done));
        stays_dead(&world, std::time::Duration::from_millis(100));
        for run in ["one", "two"] {
            let state = world.state(run);
            // Who has resumed it gets it when the switch is lifted, and no earlier.
            let resumed = words[0] == "control" && run == "one";
            let expected = if resumed { RunStatus::Running } else { RunStatus::Paused };
            assert_eq!(state.status, expected, "{words:?} {engine:?}");
            let ends = state.nodes[0].attempts.iter().map(|attempt| attempt.end.as_ref().map(|end| end.outcome));
            assert_eq!(ends.collect::<Vec<_>>(), [Some(Outcome::Killed)], "{words:?} {engine:?}");
        }
        goes_on(&world, "one");
        world.assert_sound("one", &[]);
    }
}

#[test]
fn a_build_that_a_reboot_has_ended_is_not_begun_again_before_the_switch_is_lifted() {
    let world = World::with_own_base();
    world.start("asks", "r");
    world.let_go("r");
    world.settle("r");
    let arguments = world.approval("approve", "r");
    world.ok(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(!world.state("r").wanted_recipes().is_empty());
    assert!(!processes(&world).is_empty(), "the build is under way");
    only_the_file(&world);
    reboot(&world, &["r"], Engine::HasThemExited);
    for words in [&["tick", "--all", "--record"][..], &["tick", "r"], &["inbox"], &["run", "show", "r"]] {
        world.run(words);
        assert_eq!(world.containers_now(), Vec::<String>::new(), "{words:?}");
        assert!(processes(&world).is_empty(), "{words:?}: {:?}", processes(&world));
    }
    stays_dead(&world, std::time::Duration::from_millis(200));
    goes_on(&world, "r");
    world.assert_sound("r", &[]);
}

/// Approved before the machine went down, and after it came up again: the decision stands, and nothing comes of it.
#[test]
fn a_decision_after_the_reboot_starts_nothing() {
    let world = World::with_own_base();
    world.start("asks", "r");
    world.let_go("r");
    world.settle("r");
    let arguments = world.approval("approve", "r");
    only_the_file(&world);
    reboot(&world, &["r"], Engine::HasThemExited);
    world.ok(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(processes(&world).is_empty(), "{:?}", processes(&world));
    stays_dead(&world, std::time::Duration::from_millis(100));
    assert!(block(require_engine().list(&world.id)).unwrap().is_empty());
    goes_on(&world, "r");
    world.assert_sound("r", &[]);
}
