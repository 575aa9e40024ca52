//! What an agent writes into its memory is on record first, and has an end: for an attempt, for a day, for its journal.

use chrono::{Duration, Utc};
use serde_json::{Value, json};
use taskforge::gate::MemoryUse;
use taskforge::gate::records::Kind;
use taskforge::role::Action;
use taskforge::run::id::AgentName;

use super::http::Answer;
use super::world::World;

/// An attempt of agent ada, who may do everything with her memory.
fn world() -> World {
    let mut world = World::new("http://127.0.0.1:9");
    world.policy.attempts[0].memory = Some(MemoryUse {
        agent: AgentName::parse("ada").unwrap(),
        actions: vec![Action::MemoryGet, Action::MemorySet, Action::MemoryList, Action::MemoryRm],
        limits: std::collections::BTreeMap::new(),
    });
    world
}

/// What the host says of the agent.
fn host_says(world: &World, written: &Value, journal: u64) {
    let folder = world.dir().join("memory");
    std::fs::create_dir_all(&folder).unwrap();
    let file = json!({"format": 1, "agent": "ada", "entries": {}, "written": written, "journal": journal});
    std::fs::write(folder.join("ada.json"), file.to_string()).unwrap();
}

fn set(world: &World, key: &str, value: &str) -> Answer {
    world.post("/taskforge/v1/memory", &json!({"key": key, "value": value}))
}

fn count(world: &World, kind: &Kind) -> usize {
    world.traffic().of(kind).count()
}

#[test]
fn a_change_is_on_record_before_it_counts_and_what_cannot_be_is_no_intent() {
    let world = world().start();
    assert_eq!(set(&world, "a", "one").status, 200);
    let traffic = world.traffic();
    let of = |kind: &Kind| traffic.of(kind).next().unwrap().clone();
    let (intent, done) = (of(&Kind::ActionRequested), of(&Kind::ActionDone));
    assert_eq!(done.fields["intent"], json!(intent.seq));
    assert!(intent.seq < done.seq);
    for (key, value) in [("a", "x".repeat(16 * 1024 + 1)), ("a", "\u{1b}[2J".to_owned())] {
        assert_eq!(set(&world, key, &value).code(), "memory_refused");
    }
    assert_eq!(world.post("/taskforge/v1/memory", &json!({"key": "none", "value": null})).status, 404);
    let counts = [Kind::ActionRequested, Kind::ActionDenied, Kind::ActionFailed].map(|kind| count(&world, &kind));
    assert_eq!(counts, [1, 3, 0]);
}

#[test]
fn a_flood_of_what_is_refused_does_not_fill_the_records() {
    let world = world().start();
    let large = "x".repeat(16 * 1024 + 1);
    for _ in 0..1100 {
        assert_eq!(set(&world, "a", &large).code(), "memory_refused");
    }
    assert!((1..=1000).contains(&count(&world, &Kind::ActionDenied)));
    assert_eq!(count(&world, &Kind::ActionRequested), 0);
    assert_eq!(set(&world, "a", "small").status, 200);
}

#[test]
fn a_day_has_so_many_changes_in_all_runs_together_and_the_journal_an_end() {
    let world = world();
    let (today, yesterday) = (Utc::now().date_naive(), (Utc::now() - Duration::days(1)).date_naive());
    let written = |day, changes: u64, bytes: u64| json!({"day": day, "changes": changes, "bytes": bytes});
    host_says(&world, &written(today, 1998, 0), 0);
    let mut world = world.start();
    assert_eq!((set(&world, "a", "1").status, set(&world, "b", "2").status), (200, 200));
    let refused = set(&world, "c", "3");
    assert_eq!((refused.status, refused.code().as_str()), (429, "memory_refused"));
    assert!(refused.json()["error"]["message"].as_str().unwrap().contains("2000 times today"), "{refused:?}");
    // What lies in the inbox counts after a restart as well.
    world.restart();
    assert_eq!(set(&world, "c", "3").status, 429);
    assert_eq!(world.post("/taskforge/v1/memory", &json!({"key": "a", "value": null})).status, 429);
    assert_eq!(world.get("/taskforge/v1/memory/a").json()["value"], "1", "it still knows");

    host_says(&world, &written(yesterday, 2000, 8 << 20), 0);
    assert_eq!(set(&world, "c", "3").status, 200, "of another day");
    host_says(&world, &written(today, 10, (8 << 20) - 3), 0);
    assert_eq!(set(&world, "d", "4").status, 429, "three bytes are in the inbox");
    host_says(&world, &written(today, 10, 0), 32 << 20);
    let refused = set(&world, "d", "4");
    assert!(refused.json()["error"]["message"].as_str().unwrap().contains("only a person"), "{refused:?}");
}

#[test]
fn what_is_read_is_on_record_by_its_key_and_a_loop_that_reads_is_bounded() {
    let world = world().start();
    assert_eq!(set(&world, "a", "the value itself").status, 200);
    assert_eq!(world.get("/taskforge/v1/memory/a").json()["value"], "the value itself");
    assert_eq!(world.get("/taskforge/v1/memory").status, 200);
    assert_eq!(world.get("/taskforge/v1/memory/b").status, 404);
    let traffic = world.traffic();
    let all = |kind: &Kind| {
        traffic.of(kind).map(|record| json!([record.text("action"), record.text("target")])).collect::<Vec<_>>()
    };
    assert_eq!(
        all(&Kind::ActionRequested),
        [
            json!(["memory.set", "a"]),
            json!(["memory.get", "a"]),
            json!(["memory.list", "*"]),
            json!(["memory.get", "b"])
        ]
    );
    assert_eq!((all(&Kind::ActionDone).len(), all(&Kind::ActionFailed).len()), (3, 1));
    let records = std::fs::read_to_string(world.dir().join("traffic.jsonl")).unwrap();
    assert!(!records.contains("the value itself"), "what it says is no part of it");
    for _ in 0..1100 {
        assert_eq!(world.get("/taskforge/v1/memory/a").status, 200);
    }
    assert!((900..=1001).contains(&count(&world, &Kind::ActionRequested)));
}
