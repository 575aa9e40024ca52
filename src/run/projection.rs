//! What OpenTask's readers see of a run: `state.json` and `refs.json` in the shape its helper writes, and only with
//! its keys. Our own projection, `taskforge.json`, is the [`State`] itself beside the journal's position.

use serde_json::{Map, Value, json};

use super::definition::{NodeDefinition, OutputsMode};
use super::event::FailureCode;
use super::state::{Node, State};
use super::status::NodeKind;
use super::time::isoformat;

/// `state.json`.
#[must_use]
pub fn state_json(state: &State) -> Value {
    let sessions = &state.created.sessions;
    let nodes: Vec<Value> = state.pairs().map(|(definition, node)| node_json(state, definition, node)).collect();
    json!({
        "runId": state.run,
        "workflowId": state.created.workflow_id,
        "title": state.created.title,
        "status": state.status,
        "sourceSessionKey": sessions.source,
        "sourceAgentId": sessions.source_agent_id,
        "deliveryContext": sessions.delivery_context,
        "rootSessionKey": sessions.root,
        "plannerSessionKey": sessions.planner,
        "driverSessionKey": sessions.driver,
        "cronJobId": state.cron_job_id,
        "updatedAt": isoformat(state.updated_at),
        "createdAt": isoformat(state.created_at),
        "nodes": nodes,
        "lastEvent": state.last_event,
        "lastProgressMessage": state.last_progress.as_ref().map(|(message, _)| message),
        "lastProgressMessageAt": state.last_progress.as_ref().map(|(_, at)| isoformat(*at)),
    })
}

fn node_json(state: &State, definition: &NodeDefinition, node: &Node) -> Value {
    // A list, as OpenTask's readers ask for. What a session says of its failure stands in the event, as with their helper.
    let ours = node.failure.iter().filter(|(code, _)| *code != FailureCode::Session);
    let failure = ours.map(|(_, detail)| detail).filter(|detail| !detail.is_empty());
    let notes: Vec<&String> = node.notes.iter().chain(failure).collect();
    json!({
        "id": definition.id,
        "title": definition.title,
        "kind": definition.kind,
        "needs": definition.needs,
        "outputsMode": match definition.outputs_mode { OutputsMode::Notify => "notify", OutputsMode::Report => "report" },
        "artifactPaths": definition.artifact_paths,
        "waitFor": definition.wait_for,
        "workingMemory": working_memory(definition),
        "status": node.status,
        "sessionKey": session_key(definition, node),
        "childSessionKey": node.bound.child_session_key,
        "runId": run_id(state, definition, node),
        "notes": notes,
        "startedAt": node.started_at.map(isoformat),
        "completedAt": node.completed_at.map(isoformat),
    })
}

/// The run as OpenTask's service and command line print it: the same as [`state_json`], in their order, without nulls.
#[must_use]
pub fn service_json(state: &State) -> Value {
    const RUN: [&str; 17] = [
        "runId",
        "workflowId",
        "title",
        "status",
        "sourceSessionKey",
        "sourceAgentId",
        "deliveryContext",
        "rootSessionKey",
        "plannerSessionKey",
        "driverSessionKey",
        "cronJobId",
        "updatedAt",
        "createdAt",
        "nodes",
        "lastEvent",
        "lastProgressMessage",
        "lastProgressMessageAt",
    ];
    const NODE: [&str; 15] = [
        "id",
        "title",
        "kind",
        "status",
        "needs",
        "outputsMode",
        "sessionKey",
        "childSessionKey",
        "runId",
        "artifactPaths",
        "workingMemory",
        "notes",
        "startedAt",
        "completedAt",
        "waitFor",
    ];
    let mut run = state_json(state);
    if let Some(Value::Array(nodes)) = run.get_mut("nodes") {
        for node in nodes {
            *node = in_order(node, &NODE);
        }
    }
    in_order(&run, &RUN)
}

/// The members of an object in this order, without those that are null.
fn in_order(object: &Value, keys: &[&str]) -> Value {
    let member = |key: &&str| Some(((*key).to_owned(), object.get(*key).filter(|value| !value.is_null())?.clone()));
    Value::Object(keys.iter().filter_map(member).collect())
}

fn session_key<'a>(definition: &'a NodeDefinition, node: &'a Node) -> Option<&'a String> {
    node.bound.session_key.as_ref().or(definition.session_key.as_ref())
}

/// What does the node: the last attempt of its container, or what a session bound.
fn run_id(state: &State, definition: &NodeDefinition, node: &Node) -> Option<String> {
    let attempt = node.attempts.last();
    let attempt = attempt.map(|attempt| format!("{}/{}/{}", state.run, definition.id, attempt.number));
    attempt.or_else(|| node.bound.run_id.clone())
}

/// `nodes/<id>/result.json`; none before there is a result.
#[must_use]
pub fn result_json(state: &State, definition: &NodeDefinition, node: &Node) -> Option<Value> {
    let result = node.result.as_ref()?;
    let Some(report) = &node.report else {
        return Some(json!({
            "runId": state.run,
            "nodeId": definition.id,
            "status": node.status,
            "artifacts": definition.artifact_paths,
            "payload": result,
        }));
    };
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
    put("runId", json!(state.run));
    put("nodeId", json!(definition.id));
    put("status", json!(report.status));
    let optional = |value: &Option<String>| value.as_ref().map(|value| json!(value));
    optional(&report.summary).map(|value| put("summary", value));
    put("artifacts", json!(report.artifacts));
    optional(&report.session_key).map(|value| put("sessionKey", value));
    optional(&report.child_session_key).map(|value| put("childSessionKey", value));
    report.working_memory.as_ref().map(|memory| put("workingMemory", json!(memory)));
    put("payload", result.clone());
    Some(Value::Object(object))
}

/// The working memory of a node, as paths below the run's folder; null where a node has none.
#[must_use]
pub fn working_memory(definition: &NodeDefinition) -> Value {
    let path = |file: &str| Value::String(format!("nodes/{}/{file}.md", definition.id));
    let mut memory = Map::new();
    match definition.kind {
        NodeKind::Wait | NodeKind::Approval => return Value::Null,
        NodeKind::SessionTurn | NodeKind::Subagent | NodeKind::Summary => {
            for file in ["plan", "findings", "progress"] {
                memory.insert(file.to_owned(), path(file));
            }
        }
    }
    if definition.kind == NodeKind::Subagent {
        memory.insert("handoff".to_owned(), path("handoff"));
    }
    Value::Object(memory)
}

/// `refs.json`.
#[must_use]
pub fn refs_json(state: &State) -> Value {
    let sessions = &state.created.sessions;
    let counters = state.counters;
    let (mut node_sessions, mut child_sessions, mut node_runs) = (Map::new(), Map::new(), Map::new());
    for (definition, node) in state.pairs() {
        let put = |map: &mut Map<String, Value>, value: Option<Value>| {
            if let Some(value) = value {
                map.insert(definition.id.to_string(), value);
            }
        };
        put(&mut node_sessions, session_key(definition, node).map(|key| json!(key)));
        put(&mut child_sessions, node.bound.child_session_key.as_ref().map(|key| json!(key)));
        put(&mut node_runs, run_id(state, definition, node).map(|id| json!(id)));
    }
    json!({
        "runId": state.run,
        "sourceSessionKey": sessions.source,
        "sourceAgentId": sessions.source_agent_id,
        "deliveryContext": sessions.delivery_context,
        "rootSessionKey": sessions.root,
        "plannerSessionKey": sessions.planner,
        "driverSessionKey": sessions.driver,
        "cronJobId": state.cron_job_id,
        "driverRunId": state.driver_run_id,
        "driverRequestedEventCount": counters.driver_requested_event_count,
        "driverRequestedActivityCount": counters.driver_requested_activity_count,
        "nodeSessions": node_sessions,
        "childSessions": child_sessions,
        "nodeRunIds": node_runs,
        "appliedControlIds": state.applied_controls,
        "lastProgressEventCount": counters.last_progress_event_count,
    })
}
