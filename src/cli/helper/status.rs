//! `taskforge helper status`.

use serde_json::{Value, json};

use crate::engine::Store;
use crate::registry::Registry;
use crate::run::agenda::{doer, waits_for};
use crate::run::definition::NodeDefinition;
use crate::run::event::SkipReason;
use crate::run::state::{Node, State};
use crate::run::time::isoformat;

use super::answer::{Answer, status_counts};
use super::argv::Call;
use super::run_id;
use super::sentence::Sentence;

pub(super) fn run(call: &Call, registry: &Registry) -> Result<Answer, Sentence> {
    let state = Store::open(registry, &run_id(call)?)?.load()?;
    let nodes: Vec<Value> = state.pairs().map(|(definition, found)| node(&state, definition, found)).collect();
    Ok(json!({
        "ok": true,
        "runId": state.run,
        "title": state.created.title,
        "runStatus": state.status,
        "reason": state.status_reason,
        "statusCounts": status_counts(&state),
        "lastEvent": state.last_event,
        "updatedAt": isoformat(state.updated_at),
        "progress": state.last_progress.as_ref().map(|(message, _)| message),
        "nodes": nodes,
    })
    .into())
}

fn node(state: &State, definition: &NodeDefinition, node: &Node) -> Value {
    let skipped = node.skipped.as_ref().map(|why| match why {
        SkipReason::NeedFailed(need) => format!("node {need}, which it needs, failed"),
        SkipReason::Operator => "a person skipped it".to_owned(),
        SkipReason::Session => "the session that drives the run skipped it".to_owned(),
    });
    json!({
        "id": definition.id,
        "title": definition.title,
        "kind": definition.kind,
        "status": node.status,
        "executor": doer(state, definition).as_str(),
        "needs": definition.needs,
        "waitsFor": waits_for(state, definition, node),
        "failure": node.failure.as_ref().map(|(_, detail)| detail),
        "skipped": skipped,
        "sessionKey": node.bound.session_key,
        "childSessionKey": node.bound.child_session_key,
        "startedAt": node.started_at.map(isoformat),
        "completedAt": node.completed_at.map(isoformat),
        "artifacts": definition.artifact_paths,
        "result": node.result.is_some(),
    })
}
