//! What OpenTask's readers see of a run: `state.json` and `refs.json` in the shape its helper writes, and only with
//! its keys. Our own projection, `taskforge.json`, is the [`State`] itself beside the journal's position.

use serde_json::{Map, Value, json};

use super::definition::{NodeDefinition, OutputsMode};
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
        "deliveryContext": null,
        "rootSessionKey": sessions.root,
        "plannerSessionKey": sessions.planner,
        "driverSessionKey": sessions.driver,
        "cronJobId": null,
        "updatedAt": isoformat(state.updated_at),
        "createdAt": isoformat(state.created_at),
        "nodes": nodes,
        "lastEvent": state.last_event,
        "lastProgressMessage": state.last_progress.as_ref().map(|(message, _)| message),
        "lastProgressMessageAt": state.last_progress.as_ref().map(|(_, at)| isoformat(*at)),
    })
}

fn node_json(state: &State, definition: &NodeDefinition, node: &Node) -> Value {
    let notes = node.failure.as_ref().map(|(_, detail)| detail.clone());
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
        "sessionKey": definition.session_key,
        "childSessionKey": null,
        "runId": node.attempts.last().map(|attempt| format!("{}/{}/{}", state.run, definition.id, attempt.number)),
        "notes": notes,
        "startedAt": node.started_at.map(isoformat),
        "completedAt": node.completed_at.map(isoformat),
    })
}

fn working_memory(definition: &NodeDefinition) -> Value {
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
    let mut node_sessions = Map::new();
    let mut node_runs = Map::new();
    for (definition, node) in state.pairs() {
        if let Some(key) = &definition.session_key {
            node_sessions.insert(definition.id.to_string(), json!(key));
        }
        if let Some(attempt) = node.attempts.last() {
            node_runs.insert(
                definition.id.to_string(),
                json!(format!("{}/{}/{}", state.run, definition.id, attempt.number)),
            );
        }
    }
    json!({
        "runId": state.run,
        "sourceSessionKey": sessions.source,
        "sourceAgentId": sessions.source_agent_id,
        "deliveryContext": null,
        "rootSessionKey": sessions.root,
        "plannerSessionKey": sessions.planner,
        "driverSessionKey": sessions.driver,
        "cronJobId": null,
        "driverRunId": null,
        "driverRequestedEventCount": 0,
        "driverRequestedActivityCount": 0,
        "nodeSessions": node_sessions,
        "childSessions": {},
        "nodeRunIds": node_runs,
        "appliedControlIds": state.applied_controls,
        "lastProgressEventCount": 0,
    })
}
