//! Two of everything at once.

use std::fs;
use std::process::{Child, Output, Stdio};

use taskforge::run::status::RunStatus;

use super::{World, completed, said, story};

fn spawn(world: &World, arguments: &[String]) -> Child {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    world.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn together(world: &World, commands: &[Vec<String>]) -> Vec<Output> {
    let children: Vec<Child> = commands.iter().map(|arguments| spawn(world, arguments)).collect();
    children.into_iter().map(|child| child.wait_with_output().unwrap()).collect()
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

#[test]
fn of_many_ticks_one_drives() {
    let world = World::new();
    for round in 0..3 {
        let run = format!("r{round}");
        world.start_without_engine("quick", &run);
        let ticks = together(&world, &vec![words(&format!("tick {run} --json")); 8]);
        let mut busy = 0;
        for tick in &ticks {
            assert!(tick.status.success(), "{}", said(tick));
            let done: serde_json::Value = serde_json::from_slice(&tick.stdout).unwrap();
            busy += usize::from(done["runs"][0]["busy"] == true);
        }
        assert!(busy < ticks.len(), "nobody drove");
        let state = world.settle(&run);
        assert_eq!(story(&state)[..3], ["run Completed", "node work Completed", "  attempt 1 Succeeded Some(0)"]);
        world.assert_sound(&run, &[]);
    }
}

#[test]
fn of_two_decisions_on_one_thing_one_counts() {
    let world = World::new();
    world.start("desk", "r");
    world.settle("r");
    let mut won = [0, 0];
    for round in 0..20 {
        let copy = world.copy(&format!("c{round}"));
        let id = copy.waiting("r")[0].id.clone();
        let done = together(&copy, &[copy.approval("approve", "r"), copy.approval("deny", "r"), words("tick r")]);
        let codes: Vec<_> = done[..2].iter().map(|done| done.status.code()).collect();
        let approved = match codes.as_slice() {
            [Some(0), Some(7)] => true,
            [Some(7), Some(0)] => false,
            _ => panic!("{}\n{}", said(&done[0]), said(&done[1])),
        };
        won[usize::from(approved)] += 1;
        assert!(done[2].status.success(), "{}", said(&done[2]));
        let file = fs::read(copy.registry.layout().decision(&id)).unwrap();
        let file: serde_json::Value = serde_json::from_slice(&file).unwrap();
        assert_eq!(file["verdict"], if approved { "approve" } else { "deny" });
        let state = copy.settle("r");
        assert_eq!(
            state.status,
            if approved { RunStatus::Completed } else { RunStatus::Failed },
            "{:#?}",
            story(&state)
        );
        // Which includes that the file is the one that the journal names.
        copy.assert_sound("r", &[]);
        assert_eq!(fs::read_dir(copy.root().join("decisions")).unwrap().count(), 1, "something was set aside");
    }
    println!("approved {}, denied {}", won[1], won[0]);
}

#[test]
fn decisions_on_two_things_both_count() {
    let world = World::new();
    world.start("pair", "r");
    world.settle("r");
    for round in 0..10 {
        let copy = world.copy(&format!("c{round}"));
        let waiting = copy.waiting("r");
        assert_eq!(waiting.len(), 2);
        let mut commands: Vec<Vec<String>> = waiting
            .iter()
            .map(|item| words(&format!("approve {} --digest {}", item.id, item.digest.as_ref().unwrap())))
            .collect();
        commands.extend([words("tick r"), words("tick")]);
        for done in together(&copy, &commands) {
            assert!(done.status.success(), "{}", said(&done));
        }
        let state = copy.settle("r");
        assert!(completed(&state), "{:#?}", story(&state));
        copy.assert_sound("r", &[]);
    }
}

#[test]
fn of_many_starts_with_one_id_one_wins() {
    let world = World::new();
    let starts = together(&world, &vec![words("run start desk --run-id same --detach"); 6]);
    let won = starts.iter().filter(|start| start.status.success()).count();
    assert_eq!(won, 1);
    assert!(starts.iter().all(|start| matches!(start.status.code(), Some(0 | 7))));
    // Without an id each finds one of its own.
    for start in together(&world, &vec![words("run start desk --detach"); 6]) {
        assert!(start.status.success(), "{}", said(&start));
    }
    for number in 1..=6 {
        world.settle(&format!("desk-{number}"));
        world.assert_sound(&format!("desk-{number}"), &[]);
    }
}
