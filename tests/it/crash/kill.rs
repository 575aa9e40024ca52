//! The kill switch against everything that is in flight.

use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use taskforge::registry::kill as switch;
use taskforge::run::event::Outcome;
use taskforge::run::status::RunStatus;

use super::proxy::{Proxy, Strike, When, Whose};
use super::{Dice, World, completed, exhaustive, said, story};

/// Nothing is there at this moment, and nothing comes, whoever ticks.
pub(super) fn stays_dead(world: &World, watch: Duration) {
    assert_eq!(world.containers_now(), Vec::<String>::new(), "after kill had returned");
    let begun = Instant::now();
    while begun.elapsed() < watch {
        assert_eq!(world.run(&["tick"]).status.code(), Some(10));
        assert_eq!(world.containers_now(), Vec::<String>::new());
    }
}

/// Lifts the switch and takes `run` to its end: no attempt has ended by anything but the kill.
pub(super) fn goes_on(world: &World, run: &str) {
    world.ok(&["unlock", "--reason", "tested"]);
    world.let_go_anew(run);
    let mut state = world.settle(run);
    if state.status == RunStatus::Paused {
        world.ok(&["control", "resume", run]);
        state = world.settle(run);
    }
    assert!(completed(&state), "{:#?}", story(&state));
    for attempt in state.nodes.iter().flat_map(|node| &node.attempts) {
        let outcome = attempt.end.as_ref().map(|end| end.outcome);
        let expected = [Outcome::Killed, Outcome::Suspended, Outcome::Succeeded];
        assert!(outcome.is_some_and(|outcome| expected.contains(&outcome)), "{:#?}", story(&state));
    }
}

#[test]
fn a_kill_at_any_moment_of_a_dispatch() {
    let world = World::new();
    let mut dice = Dice::new("kill");
    let watch = Duration::from_millis(if exhaustive() { 2000 } else { 300 });
    for round in 0..20 {
        let run = format!("r{round}");
        world.start_without_engine("slow", &run);
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let ticks = scope.spawn(|| {
                while !over.load(Ordering::SeqCst) {
                    let tick = world.run(&["tick", &run]);
                    assert!(matches!(tick.status.code(), Some(0 | 10)), "{}", said(&tick));
                }
            });
            let delay = Duration::from_millis(dice.below(900));
            std::thread::sleep(delay);
            let kill = world.run(&["kill", "--reason", "test"]);
            let now = world.containers_now();
            over.store(true, Ordering::SeqCst);
            assert!(kill.status.success(), "after {delay:?}: {}", said(&kill));
            assert_eq!(now, Vec::<String>::new(), "after {delay:?}");
            ticks.join().unwrap();
        });
        stays_dead(&world, watch);
        goes_on(&world, &run);
        world.assert_sound(&run, &[]);
    }
}

#[test]
fn kills_at_once() {
    let world = World::new();
    for round in 0..3 {
        let run = format!("r{round}");
        world.start("slow", &run);
        let kill = || {
            let mut command = world.command(&["kill", "--reason", "test"]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let kills: Vec<Child> = (0..4).map(|_| kill()).collect();
        for kill in kills {
            let done = kill.wait_with_output().unwrap();
            assert!(done.status.success(), "{}", said(&done));
        }
        stays_dead(&world, Duration::from_millis(100));
        goes_on(&world, &run);
        world.assert_sound(&run, &[]);
    }
}

#[test]
fn a_kill_without_the_engine_is_finished_by_the_next_tick() {
    let world = World::new();
    world.start("slow", "r");
    let kill = world.command(&["kill", "--reason", "test"]).env("DOCKER_HOST", "unix:///nowhere/docker.sock").output();
    let kill = kill.unwrap();
    assert!(!kill.status.success(), "{}", said(&kill));
    assert!(said(&kill).contains("/nowhere/docker.sock"), "{}", said(&kill));
    assert!(switch::read(world.registry.layout()).unwrap().is_some());
    // An unlock that could not make sure of anything lifts nothing.
    let mut unlock = world.command(&["unlock", "--reason", "test"]);
    let unlock = unlock.env("DOCKER_HOST", "unix:///nowhere/docker.sock").output().unwrap();
    assert!(!unlock.status.success(), "{}", said(&unlock));
    assert!(switch::read(world.registry.layout()).unwrap().is_some());
    assert_eq!(world.run(&["tick"]).status.code(), Some(10));
    stays_dead(&world, Duration::from_millis(100));
    assert_eq!(world.state("r").status, RunStatus::Paused);
    goes_on(&world, "r");
    world.assert_sound("r", &[]);
}

/// A kill that is itself killed is finished by whoever comes next.
#[test]
fn a_kill_ended_at_any_request() {
    let world = World::new();
    let proxy = Proxy::at(&world.beside("docker.sock"));
    let mut dice = Dice::new("kill requests");
    let each = |at| [When::Before, When::After].map(|when| Strike { whose: Whose::Command, at, when });
    let mut hit = 0;
    for (number, strike) in dice.sample((1..=6).flat_map(each).collect(), 5).into_iter().enumerate() {
        let run = format!("r{number}");
        world.start("slow", &run);
        let struck = proxy.run(&mut world.command(&["kill", "--reason", "test"]), &[strike]);
        hit += struck.at.len();
        assert_eq!(world.run(&["tick"]).status.code(), Some(10), "{:?}", struck.at);
        stays_dead(&world, Duration::from_millis(50));
        goes_on(&world, &run);
        world.assert_sound(&run, &[]);
    }
    println!("kill: ended at {hit} requests");
    assert!(hit > 1);
}

#[test]
fn a_kill_while_a_build_is_in_flight() {
    let world = World::with_own_base();
    let mut dice = Dice::new("kill build");
    for round in 0..if exhaustive() { 10 } else { 3 } {
        world.forget_images();
        let run = format!("r{round}");
        world.start("asks", &run);
        world.let_go(&run);
        world.settle(&run);
        let arguments = world.approval("approve", &run);
        world.ok(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        let delay = Duration::from_millis(dice.below(2500));
        std::thread::sleep(delay);
        let kill = world.run(&["kill", "--reason", "test"]);
        assert!(kill.status.success(), "after {delay:?}: {}", said(&kill));
        stays_dead(&world, Duration::from_millis(300));
        goes_on(&world, &run);
        world.assert_sound(&run, &[]);
        assert_eq!(world.images(), 1, "after {delay:?}");
    }
}
