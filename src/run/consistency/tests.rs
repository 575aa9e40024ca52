#![allow(clippy::unwrap_used)]
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn object(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

fn found(state: Value, refs: Value, events: Vec<Value>) -> Vec<String> {
    let events: Vec<_> = events.into_iter().map(object).collect();
    issues(Files { state: &object(state), refs: &object(refs), events: &events }, |_| true)
}

fn event(name: &str, node: &str) -> Value {
    json!({"event": name, "timestamp": "2026-03-19T10:00:00+00:00", "runId": "r", "payload": {}, "nodeId": node})
}

fn one(status: &str, events: &[&str]) -> Vec<String> {
    let state =
        json!({"status": "running", "nodes": [{"id": "a", "status": status}, {"id": "z", "status": "pending"}]});
    let created =
        json!({"event": "run.created", "timestamp": "2026-03-19T10:00:00+00:00", "payload": {"workflowPath": "w"}});
    let events = std::iter::once(created).chain(events.iter().map(|name| event(name, "a")));
    found(state, json!({}), events.collect())
}

#[test]
fn the_order_is_the_helper_s() {
    let state = json!({"status": "completed", "nodes": [
        {"id": "a", "status": "completed", "workingMemory": {"handoff": "h"}},
        {"id": "b", "status": "ready"},
    ]});
    let events = vec![object(json!({"event": "x", "timestamp": 5}))];
    let refs = object(json!({"childSessions": {"c": "x"}, "nodeSessions": {"a": "x"}}));
    assert_eq!(
        issues(Files { state: &object(state), refs: &refs, events: &events }, |_| false),
        [
            "invalid event timestamp: 5",
            "missing handoff file for a: h",
            "node a is completed in state but missing node.started",
            "node a is completed in state but missing node.completed",
            "node b is ready in state but missing node.ready",
            "run.state is completed but some nodes are not terminal",
            "state/refs mismatch for node session a",
            "refs.childSessions points to missing node c",
        ]
    );
}

#[test]
fn legal_ways_are_believed() {
    for (status, events) in [
        ("waiting", &["node.ready", "node.waiting"][..]),
        ("completed", &["node.ready", "node.waiting", "node.completed"]),
        ("skipped", &["node.skipped"]),
        ("failed", &["node.failed"]),
        ("pending", &[]),
    ] {
        assert_eq!(one(status, events), Vec::<String>::new(), "{status}");
    }
    assert_eq!(one("running", &["node.started"]), ["node a has node.started without node.ready"]);
    assert_eq!(one("pending", &["node.ready", "node.completed"]), ["node a has node.completed without node.started"]);
}

#[test]
fn a_status_that_was_taken_over_needs_no_events_of_its_own() {
    let state = json!({"status": "completed", "nodes": [{"id": "a", "status": "completed"}]});
    let adopted = |seq: Value| {
        let mut event = json!({"event": "registry.adopted", "timestamp": "2026-03-19T10:00:00+00:00",
            "data": {"nodes": [{"node": "a", "status": {"to": "completed"}}]}});
        event.as_object_mut().unwrap().extend(object(json!({"seq": seq})));
        event
    };
    assert_eq!(found(state.clone(), json!({}), vec![adopted(json!(1))]), Vec::<String>::new());
    // Anybody can write a line of that name; only ours says so.
    let mut foreign = adopted(json!(1));
    foreign.as_object_mut().unwrap().remove("seq");
    assert_eq!(found(state, json!({}), vec![foreign]).len(), 2);
}

#[test]
fn a_moment_between_two_writers_is_nothing() {
    let at = |time: &str, ours: bool| {
        let mut event = json!({"event": "x", "timestamp": format!("2026-03-19T{time}+00:00")});
        if ours {
            event["seq"] = json!(1);
        }
        event
    };
    let state = json!({"status": "running", "nodes": [{"id": "a", "status": "pending"}]});
    let of = |events: Vec<Value>| found(state.clone(), json!({}), events).len();
    assert_eq!(of(vec![at("10:00:30", true), at("10:00:00", false), at("10:00:31", true)]), 0);
    assert_eq!(of(vec![at("10:02:00", true), at("10:00:00", false)]), 1);
    assert_eq!(of(vec![at("10:00:01", true), at("10:00:00", true)]), 1);
    assert_eq!(of(vec![at("10:00:01", false), at("10:00:00", false)]), 1);
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<i64>().prop_map(|number| json!(number)),
        prop::sample::select(vec![
            "a",
            "b",
            "ready",
            "completed",
            "run.created",
            "registry.adopted",
            "2026-03-19T10:00:00Z"
        ])
        .prop_map(|word| json!(word)),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        let key = prop::sample::select(vec![
            "nodes",
            "id",
            "status",
            "needs",
            "workingMemory",
            "handoff",
            "event",
            "timestamp",
            "nodeId",
            "payload",
            "data",
            "node",
            "seq",
            "nodeSessions",
            "sessionKey",
            "kind",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| json!(items)),
            prop::collection::vec((key, inner), 0..6).prop_map(|members| {
                members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Map<_, _>>().into()
            }),
        ]
    })
}

proptest! {
    #[test]
    fn any_files_are_looked_at(state in any_value(), refs in any_value(), events in prop::collection::vec(any_value(), 0..4)) {
        let _ = found(state.clone(), refs, events);
        let _ = status_counts(&object(state));
    }
}
