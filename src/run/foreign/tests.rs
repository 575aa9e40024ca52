//! The merge against any edit of the two files: nothing acknowledged is undone, nothing is moved that only the engine or a
//! person moves, and what is taken over folds.
#![allow(clippy::unwrap_used)]

use chrono::{DateTime, Utc};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::run::adoption::Adoption;
use crate::run::command::Command;
use crate::run::decide::decide;
use crate::run::definition::{ContainerDefinition, Created, Limits, Resources, Runtime, Sessions, Users};
use crate::run::event::{Event, SkipReason};
use crate::run::id::{Digest, NodeId, RunId, WorkflowId};
use crate::run::projection::{refs_json, service_json, state_json};
use crate::run::state::State;
use crate::run::status::{NodeKind, NodeStatus, RunStatus};

const NODES: [&str; 6] = ["draft", "gate", "publish", "box", "pause", "wrap"];

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn id(text: &str) -> NodeId {
    NodeId::parse(text).unwrap()
}

/// draft ─▶ gate (approval) ─▶ publish ─▶ wrap; box (container) and pause (wait) beside them.
fn begin_state(registry: &str) -> State {
    let shapes = [
        ("draft", NodeKind::SessionTurn, vec![]),
        ("gate", NodeKind::Approval, vec!["draft"]),
        ("publish", NodeKind::SessionTurn, vec!["gate"]),
        ("box", NodeKind::SessionTurn, vec!["draft"]),
        ("pause", NodeKind::Wait, vec![]),
        ("wrap", NodeKind::Summary, vec!["publish", "box"]),
    ];
    let container = ContainerDefinition {
        image: "base".to_owned(),
        runtime: Runtime::Builtin,
        command: Vec::new(),
        model: "m".to_owned(),
        capabilities: Vec::new(),
        deploy: None,
        resources: Resources { cpu_millis: 1, memory: 1, pids: 1, disk: 1, wall_ms: 1 },
        role: None,
        iterations: 1,
    };
    let nodes = shapes.into_iter().map(|(name, kind, needs)| {
        let value = json!({
            "id": name, "title": name, "kind": kind, "needs": needs, "outputsMode": "report", "artifactPaths": [],
            "waitFor": if kind == NodeKind::Wait { json!({"type": "manual"}) } else { Value::Null },
        });
        let mut node: crate::run::definition::NodeDefinition = serde_json::from_value(value).unwrap();
        node.container = (name == "box").then(|| container.clone());
        node
    });
    let key = "agent:main:main".to_owned();
    let created = Created {
        parent: None,
        format: 1,
        registry: registry.to_owned(),
        signed: false,
        workflow_id: WorkflowId::parse("w").unwrap(),
        title: "W".to_owned(),
        workflow_path: "workflows/w.task.md".to_owned(),
        workflow_digest: Digest::of(b""),
        binary: Some(Digest::of(b"")),
        users: Some(Users { agent_uid: 1, agent_gid: 1, gate_uid: 1, gate_gid: 1, root: None }),
        nodes: nodes.collect(),
        inputs: Vec::new(),
        params: std::collections::BTreeMap::new(),
        limits: Limits { attempts: 3, suspensions: 3 },
        concurrency: 4,
        sessions: Sessions {
            source: key.clone(),
            root: key.clone(),
            planner: key.clone(),
            driver: key,
            ..Sessions::default()
        },
    };
    let state = State::begin(RunId::parse("r").unwrap(), created, now());
    after(&state, Command::Settle)
}

fn after(state: &State, command: Command) -> State {
    let mut after = state.clone();
    for event in decide(state, command, now()).unwrap() {
        after.apply(&event, now()).unwrap();
    }
    after
}

fn to(state: &State, node: &str, to: NodeStatus) -> State {
    after(state, Command::Transition { node: id(node), to, detail: String::new() })
}

fn seen(state: &State) -> SeenRun {
    SeenRun::read(&state_json(state), &refs_json(state)).unwrap()
}

fn status(state: &State, node: &str) -> NodeStatus {
    state.node(&id(node)).unwrap().1.status
}

/// What the merge makes of `edit`, done to the files that show `state`.
fn edited(state: &State, events: &[(&str, &str)], edit: impl FnOnce(&mut Value)) -> (Adoption, State) {
    let mut file = state_json(state);
    edit(&mut file);
    let theirs = SeenRun::read(&file, &refs_json(state)).unwrap();
    let events: Vec<_> = events.iter().map(|(name, node)| ((*name).to_owned(), Some((*node).to_owned()))).collect();
    let adoption = merge(state, Theirs { run: &theirs, base: &seen(state), events: &events });
    let after =
        if adoption.is_empty() { state.clone() } else { after(state, Command::Adopt(Box::new(adoption.clone()))) };
    (adoption, after)
}

fn node<'a>(file: &'a mut Value, name: &str) -> &'a mut Value {
    file["nodes"].as_array_mut().unwrap().iter_mut().find(|node| node["id"] == name).unwrap()
}

#[test]
fn both_of_opentask_s_forms_say_the_same() {
    let state = to(&begin_state(""), "draft", NodeStatus::Running);
    let service = SeenRun::read(&service_json(&state), &refs_json(&state)).unwrap();
    assert_eq!(service, seen(&state));
}

#[test]
fn a_transition_by_their_helper_is_taken_over_with_what_follows() {
    let state = to(&begin_state(""), "draft", NodeStatus::Running);
    let (adoption, state) = edited(&state, &[], |file| node(file, "draft")["status"] = json!("completed"));
    assert!(adoption.refused.is_empty());
    assert_eq!((status(&state, "draft"), status(&state, "gate")), (NodeStatus::Completed, NodeStatus::Ready));
}

#[test]
fn an_old_copy_written_back_undoes_nothing() {
    let old = begin_state("");
    let state = to(&to(&old, "draft", NodeStatus::Running), "pause", NodeStatus::Waiting);
    let (adoption, after) = edited(&state, &[], |file| *file = state_json(&old));
    assert_eq!(after.nodes, state.nodes);
    assert_eq!(adoption.refused.len(), 1, "{:?}", adoption.refused);
    // With the event that goes with it, a step back is one.
    let (_, after) = edited(&state, &[("node.ready", "pause")], |file| node(file, "pause")["status"] = json!("ready"));
    assert_eq!(status(&after, "pause"), NodeStatus::Ready);
}

#[test]
fn a_person_s_and_the_engine_s_nodes_are_not_theirs() {
    let state = to(&to(&begin_state("id"), "draft", NodeStatus::Running), "draft", NodeStatus::Completed);
    assert_eq!(status(&state, "gate"), NodeStatus::Waiting);
    for (name, to) in [("gate", "completed"), ("gate", "skipped"), ("gate", "failed"), ("box", "completed")] {
        let (adoption, after) = edited(&state, &[], |file| node(file, name)["status"] = json!(to));
        assert_eq!(after.nodes, state.nodes, "{name} {to}");
        assert_eq!(adoption.refused.len(), 1);
    }
    let (adoption, after) = edited(&state, &[], |file| node(file, "publish")["needs"] = json!([]));
    assert!(adoption.refused[0].why.contains("approval gate"), "{:?}", adoption.refused);
    assert_eq!(status(&after, "publish"), NodeStatus::Pending);
    let added = json!({"id": "ok2", "title": "x", "kind": "approval", "status": "completed", "outputsMode": "notify"});
    let (_, after) = edited(&state, &[], |file| file["nodes"].as_array_mut().unwrap().push(added));
    assert_ne!(status(&after, "ok2"), NodeStatus::Completed);
}

#[test]
fn a_paused_run_is_resumed_by_a_person() {
    let state = begin_state("id");
    let (_, paused) = edited(&state, &[], |file| file["status"] = json!("paused"));
    assert_eq!(paused.status, RunStatus::Paused);
    let (adoption, after) = edited(&paused, &[("run.resumed", "")], |file| file["status"] = json!("running"));
    assert_eq!((after.status, adoption.refused.len()), (RunStatus::Paused, 1));
    let (_, bare) = edited(&begin_state(""), &[], |file| file["status"] = json!("paused"));
    let (_, bare) = edited(&bare, &[("run.resumed", "")], |file| file["status"] = json!("running"));
    assert_eq!(bare.status, RunStatus::Running);
}

#[test]
fn bindings_and_progress_are_taken_over() {
    let state = begin_state("");
    let (_, after) = edited(&state, &[], |file| {
        node(file, "draft")["sessionKey"] = json!("agent:main:x");
        file["cronJobId"] = json!("job");
        file["lastProgressMessage"] = json!("half");
        file["lastProgressMessageAt"] = json!("2027-01-15T08:00:01+00:00");
    });
    assert_eq!(after.node(&id("draft")).unwrap().1.bound.session_key.as_deref(), Some("agent:main:x"));
    assert_eq!((after.cron_job_id.as_deref(), after.last_progress.unwrap().0.as_str()), (Some("job"), "half"));
}

#[test]
fn a_wait_that_their_helper_mangled_waits_for_a_person() {
    let state = begin_state("");
    for (mangled, kind) in [
        (json!(""), "manual"),
        (json!("next_tick"), "next_tick"),
        (json!({"type": "file_exists", "path": "../x"}), "manual"),
    ] {
        let mut file = state_json(&state);
        node(&mut file, "pause")["waitFor"] = mangled;
        let read = SeenRun::read(&file, &Value::Null).unwrap();
        let wait = read.node(&id("pause")).unwrap().definition.wait_for.clone().unwrap();
        assert_eq!(serde_json::to_value(wait).unwrap()["type"], kind);
    }
}

#[test]
fn a_run_of_theirs_begins_as_it_stands() {
    let state = to(&begin_state(""), "draft", NodeStatus::Running);
    let mut theirs = seen(&state);
    theirs.nodes.iter_mut().for_each(|node| node.definition.container = None);
    let adoption = begin(&theirs, String::new(), Digest::of(b"")).unwrap();
    let taken =
        State::adopted(state.run.clone(), (**adoption.created.as_ref().unwrap()).clone(), &adoption, now()).unwrap();
    assert_eq!(seen(&taken), theirs);
    // And so it folds from the journal.
    let draft = Event::RegistryAdopted(Box::new(adoption)).to_draft();
    let text = serde_json::to_string(&draft.data).unwrap();
    let back = Event::RegistryAdopted(serde_json::from_str(&text).unwrap());
    assert_eq!(back.to_draft(), draft);
}

fn any_status() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["pending", "ready", "running", "waiting", "completed", "failed", "skipped"])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_edit_undoes_or_decides(
        strict in any::<bool>(),
        moves in prop::collection::vec((0..6_usize, any_status()), 0..8),
        edits in prop::collection::vec((0..6_usize, any_status()), 0..6),
        needs in prop::option::of((0..6_usize, prop::collection::vec(0..6_usize, 0..3))),
        run in prop::sample::select(vec!["running", "paused", "completed", "failed", "cancelled", "draft"]),
    ) {
        let mut state = begin_state(if strict { "id" } else { "" });
        for (index, status) in moves {
            let to: NodeStatus = serde_json::from_value(json!(status)).unwrap();
            let command = Command::Transition { node: id(NODES[index]), to, detail: String::new() };
            if let Ok(events) = decide(&state, command, now()) {
                for event in events {
                    state.apply(&event, now()).unwrap();
                }
            }
        }
        let before = state.clone();
        let (_, after) = edited(&state, &[], |file| {
            for (index, status) in &edits {
                node(file, NODES[*index])["status"] = json!(status);
            }
            if let Some((index, needs)) = &needs {
                let needs: Vec<&str> = needs.iter().map(|need| NODES[*need]).collect();
                node(file, NODES[*index])["needs"] = json!(needs);
            }
            file["status"] = json!(run);
        });
        for (definition, old) in before.pairs() {
            let (_, new) = after.node(&definition.id).unwrap();
            if old.status == NodeStatus::Completed {
                prop_assert_eq!(new.status, NodeStatus::Completed);
            }
            if definition.container.is_some() {
                prop_assert!(new.attempts.is_empty() && new.status != NodeStatus::Running);
            }
            if strict && definition.kind == NodeKind::Approval {
                prop_assert!(new.status != NodeStatus::Completed);
                prop_assert!(old.status == new.status || !new.status.is_terminal() || status(&after, "draft") == NodeStatus::Failed);
            }
            if strict && old.status == NodeStatus::Pending && ["publish", "wrap"].contains(&definition.id.as_str()) {
                // They come after the approval, which nobody gave.
                prop_assert!(matches!(new.status, NodeStatus::Pending | NodeStatus::Skipped | NodeStatus::Failed));
                prop_assert!(new.status != NodeStatus::Skipped || new.skipped != Some(SkipReason::Session));
            }
        }
        prop_assert!(before.status != RunStatus::Paused || after.status != RunStatus::Running);
    }

    #[test]
    fn any_json_is_read_or_refused(text in "[\\[\\]{}\":,a-z0-9 ]{0,80}") {
        if let Ok(value) = serde_json::from_str::<Value>(&text) {
            let _ = SeenRun::read(&value, &value);
        }
    }
}
