//! Ended at each request to the Engine.

use std::path::Path;
use std::time::Duration;

use taskforge::registry::ImageLock;
use taskforge::run::record::Record;

use super::proxy::{Proxy, Strike, When, Whose};
use super::{Dice, World, completed, exhaustive, said, story};

const BOTH: [When; 2] = [When::Before, When::After];

fn points(whose: Whose, count: usize) -> Vec<Strike> {
    let each = |at| BOTH.map(|when| Strike { whose, at, when });
    (1..=count).flat_map(each).collect()
}

fn proxy(world: &World) -> Proxy {
    Proxy::at(&world.beside("docker.sock"))
}

/// A run of `quick` comes to the one end that it has.
fn ends_well(world: &World, run: &str, acknowledged: &[Record], at: &[String]) {
    let told = story(&world.settle(run));
    let wanted =
        ["run Completed", "node work Completed", "  attempt 1 Succeeded Some(0)", "  nodes/work/report.md 5 bytes"];
    assert_eq!(told, wanted, "after {at:?}");
    world.assert_sound(run, acknowledged);
    let log = std::fs::read_to_string(world.layout(run).nodes().join("work/attempts/1/stdout.log")).unwrap();
    assert_eq!(log, "hello\n", "after {at:?}");
}

#[test]
fn a_start_ended_at_any_request() {
    let world = World::new();
    let proxy = proxy(&world);
    let start = |run: &str| world.command(&["run", "start", "quick", "--run-id", run, "--detach"]);
    let whole = proxy.run(&mut start("whole"), &[]);
    assert!(whole.output.status.success(), "{}", said(&whole.output));
    ends_well(&world, "whole", &[], &[]);
    let mut dice = Dice::new("start");
    // A gate's image is made once a machine; from then on each start makes the same requests, but for how long it waits.
    let points = dice.sample(points(Whose::Command, whole.requests.len() + 2), 8);
    let mut hit = 0;
    for (number, strike) in points.into_iter().enumerate() {
        let run = format!("r{number}");
        let struck = proxy.run(&mut start(&run), &[strike]);
        hit += struck.at.len();
        assert_eq!(struck.output.status.success(), struck.at.is_empty(), "{}", said(&struck.output));
        // Ended while the Engine was asked whose users it maps: nothing was begun.
        if !struck.at.is_empty() && !world.exists(&run) {
            continue;
        }
        ends_well(&world, &run, &world.records(&run), &struck.at);
    }
    println!("start: ended at {hit} requests");
    assert!(hit > 4);
}

#[test]
fn a_tick_that_takes_in_an_end_ended_at_any_request() {
    let world = World::new();
    let proxy = proxy(&world);
    let before = until_agent_ended(&world, "held", "whole");
    let whole = proxy.run(&mut world.command(&["tick", "whole"]), &[]);
    ends_well(&world, "whole", &before, &[]);
    let mut dice = Dice::new("collect");
    let mut hit = 0;
    for (number, strike) in dice.sample(points(Whose::Command, whole.requests.len() + 1), 8).into_iter().enumerate() {
        let run = format!("r{number}");
        let before = until_agent_ended(&world, "held", &run);
        let struck = proxy.run(&mut world.command(&["tick", &run]), &[strike]);
        hit += struck.at.len();
        ends_well(&world, &run, &before, &struck.at);
    }
    println!("collect: ended at {hit} requests");
    assert!(hit > 3);
}

/// Starts a run and waits until its agent has ended; the start's own first tick may have taken that in already, when the
/// container was that fast.
fn until_agent_ended(world: &World, workflow: &str, run: &str) -> Vec<Record> {
    world.start(workflow, run);
    world.let_go(run);
    if world.state(run).live_attempts().next().is_some() {
        world.wait_for_agent(run);
    }
    world.records(run)
}

/// From the first start to the end, with a package asked for, resolved, approved and built on the way. Each run is ended
/// at one request of the tick that takes in the request and resolves it, at one of `approve`, and at one of the detached
/// build.
#[test]
fn an_approval_ended_at_any_request() {
    let world = World::with_own_base();
    let proxy = proxy(&world);
    // Once without a crash: how many requests there are, and what the end is.
    let (ask, decide, build) = walk(&world, &proxy, "whole", &[None; 3]);
    println!("requests: {ask} of the tick, {decide} of the approval, {build} of the build");
    let mut dice = Dice::new("approve");
    let (mut asks, mut decides, mut builds) =
        (points(Whose::Command, ask), points(Whose::Command, decide), points(Whose::Child, build));
    let rounds = if exhaustive() { asks.len().max(decides.len()).max(builds.len()) } else { 5 };
    let mut draw = |points: &mut Vec<Strike>| {
        let index = usize::try_from(dice.below(points.len() as u64)).unwrap();
        (!points.is_empty()).then(|| points.remove(index))
    };
    for number in 0..rounds {
        let strikes = [draw(&mut asks), draw(&mut decides), draw(&mut builds)];
        walk(&world, &proxy, &format!("r{number}"), &strikes);
    }
}

fn walk(world: &World, proxy: &Proxy, run: &str, strikes: &[Option<Strike>; 3]) -> (usize, usize, usize) {
    world.forget_images();
    let before = until_agent_ended(world, "asks", run);
    let ticked = proxy.run(&mut world.command(&["tick", run]), strikes[0].as_slice());
    let mut at = ticked.at;
    let asked = world.records(run);
    assert!(asked.starts_with(&before));
    let told = story(&world.settle(run));
    let attempt = "  attempt 1 Suspended Some(75)";
    assert_eq!(
        told,
        ["run Running", "node work Waiting", attempt, "request pip:tomli-w==1.0.0 Pending"],
        "after {at:?}"
    );
    world.assert_sound(run, &asked);

    let arguments = world.approval("approve", run);
    let mut approve = world.command(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let of_build = strikes[2].as_slice();
    let decided = proxy.run(&mut approve, &[strikes[1].as_slice(), of_build].concat());
    let acknowledged = world.records(run);
    if decided.at.is_empty() {
        assert!(decided.output.status.success(), "{}", said(&decided.output));
    }
    let mut build = builder_gone(world, proxy, run);
    at.extend(build.0);
    if of_build.iter().any(|_| !at.iter().any(|at| at.contains("of Child"))) {
        // The approval was ended before it had started the build: the next tick does.
        proxy.run(&mut world.command(&["tick", run]), of_build);
        build = builder_gone(world, proxy, run);
        at.extend(build.0);
    }
    let told = story(&world.settle(run));
    let wanted = [
        "run Completed",
        "node work Completed",
        attempt,
        "  attempt 2 Succeeded Some(0)",
        "  nodes/work/report.md 5 bytes",
        "request pip:tomli-w==1.0.0 Applied",
    ];
    assert_eq!(told, wanted, "after {at:?}");
    world.assert_sound(run, &acknowledged);
    assert_eq!(world.images(), 1, "after {at:?}");
    assert_eq!(leftovers(&world.root().join(".taskforge/packages")), Vec::<String>::new(), "after {at:?}");
    println!("{run}: {at:?}");
    (ticked.requests.len(), decided.requests.len(), build.1.len())
}

/// Waits until no build is under way; what struck it, and its requests.
fn builder_gone(world: &World, proxy: &Proxy, run: &str) -> (Vec<String>, Vec<String>) {
    for _ in 0..3000 {
        let state = world.state(run);
        let building = |recipe| ImageLock::is_held(&world.registry, recipe).unwrap();
        if !state.requests.iter().filter_map(|r| r.resolution.as_ref()).any(|resolution| building(&resolution.recipe)) {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    proxy.of_child()
}

/// Folders that a dead fetch or build left in the store.
fn leftovers(store: &Path) -> Vec<String> {
    let names = std::fs::read_dir(store).into_iter().flatten().flatten();
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    // What a base holds is looked at once, and kept.
    names.filter(|name| name.starts_with('.') && !name.starts_with(".base-")).collect()
}

/// Every command ended at a random request, again and again, until the run is through all the same.
#[test]
fn ended_again_and_again() {
    let world = World::with_own_base();
    let proxy = proxy(&world);
    let mut dice = Dice::new("again");
    let run = "storm";
    let mut strike = |most: u64| {
        let when = BOTH[usize::try_from(dice.below(2)).unwrap()];
        let whose = if dice.below(4) == 0 { Whose::Child } else { Whose::Command };
        [Strike { whose, at: usize::try_from(dice.below(most)).unwrap() + 1, when }]
    };
    let mut acknowledged = Vec::new();
    let mut crashes = 0;
    // A start that is ended before it has made the run has done nothing: it is said again.
    while !world.root().join("runs").join(run).join("events.jsonl").exists() {
        let start = &mut world.command(&["run", "start", "asks", "--run-id", run, "--detach"]);
        crashes += proxy.run(start, &strike(8)).at.len();
    }
    // Further and further, so that it comes to an end.
    for round in 0..400 {
        let records = world.records(run);
        assert!(records.starts_with(&acknowledged), "an acknowledged event is gone");
        acknowledged = records;
        let state = world.state(run);
        if state.live_attempts().next().is_some_and(|(_, attempt)| attempt.container_id.is_some()) {
            world.let_go(run);
        }
        if completed(&state) && !state.may_have_containers() {
            break;
        }
        let most = 4 + round / 4;
        let struck = if world.waiting(run).is_empty() {
            proxy.run(&mut world.command(&["tick", run]), &strike(most))
        } else {
            let arguments = world.approval("approve", run);
            proxy.run(&mut world.command(&arguments.iter().map(String::as_str).collect::<Vec<_>>()), &strike(most))
        };
        crashes += struck.at.len();
        if struck.at.is_empty() {
            // What it waits for now is a container or a build.
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    let state = world.settle(run);
    assert!(completed(&state), "{:#?}", story(&state));
    assert!(story(&state).contains(&"  attempt 2 Succeeded Some(0)".to_owned()), "{:#?}", story(&state));
    world.assert_sound(run, &acknowledged);
    assert_eq!(world.images(), 1);
    println!("again: {crashes} crashes in one run");
}
