//! Several Engines on one machine, and commands that do not look for the same.

use super::OwnEngine;

const RUN: &str = "r1";

/// Whoever kills sees another Engine than whoever started what runs.
#[test]
fn a_kill_ends_what_runs_on_an_engine_that_it_would_not_look_for() {
    let engine = OwnEngine::start(&[], "");
    engine.take_base();
    let scene = engine.scene();
    scene.commands("held", &[("work", "command: [sleep, '600']", &[])]);
    let elsewhere = |words: &[&str]| scene.tf(words).env("DOCKER_HOST", "");
    scene.start("held", RUN);
    assert_eq!(engine.containers_of(&scene), 2, "the agent and its gate");
    let killed = elsewhere(&["kill", "--reason", "a look", "--json"]).ok().json();
    assert_eq!(killed["removed"].as_array().unwrap().len(), 2, "{killed:#}");
    assert_eq!(engine.containers_of(&scene), 0);
    elsewhere(&["kill", "--status"]).exits(10).says("Killed");
    elsewhere(&["unlock", "--reason", "looked"]).ok();

    // One that does not answer is no Engine on which nothing runs.
    scene.tf(&["control", "resume", RUN]).ok();
    scene.tf(&["tick", RUN]).ok();
    assert_eq!(engine.containers_of(&scene), 2);
    let (socket, away) = (engine.socket(), engine.socket().with_extension("away"));
    std::fs::rename(&socket, &away).unwrap();
    let why = format!("the Engine at {}", socket.display());
    let unfinished = elsewhere(&["kill", "--reason", "again", "--json"]).exits(1).json();
    assert!(unfinished["unfinished"][0].as_str().unwrap().contains(&why), "{unfinished:#}");
    elsewhere(&["kill", "--status"]).exits(1).says(&why);
    elsewhere(&["unlock", "--reason", "looked"]).exits(9).complains(&why);
    std::fs::rename(&away, &socket).unwrap();
    elsewhere(&["tick"]).exits(10);
    assert_eq!(engine.containers_of(&scene), 0);
    elsewhere(&["unlock", "--reason", "looked"]).ok();
}
