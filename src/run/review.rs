//! What a person is shown when an approval node waits, as a digest: nobody approves something else than they saw.
//! (A capability request's review is made where its lock is: in `capability`.)

use sha2::{Digest as _, Sha256};

use super::definition::NodeDefinition;
use super::event::WaitingOn;
use super::id::{Digest, RequestId};
use super::state::{Node, State};
use super::status::NodeKind;

/// The id under which an approval node is decided: another one each time it waits anew.
#[must_use]
pub fn approval_id(state: &State, definition: &NodeDefinition, node: &Node) -> RequestId {
    let mut hash = Sha256::new();
    for part in ["taskforge-approval-v1", state.created.registry.as_str(), state.run.as_str(), definition.id.as_str()] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.update(node.approvals.to_le_bytes());
    let digest = Digest::from_bytes(&hash.finalize().into());
    // A prefix of hex digits always fits the grammar of an approval's id.
    RequestId::approval(&digest)
}

/// The approval node that waits, or waited last, under `id`.
#[must_use]
pub fn approval_node<'a>(state: &'a State, id: &RequestId) -> Option<(&'a NodeDefinition, &'a Node)> {
    if !id.is_approval() {
        return None;
    }
    state.pairs().filter(|(definition, _)| definition.kind == NodeKind::Approval).find(|(definition, node)| match &node
        .waiting_on
    {
        Some(WaitingOn::Approval(waiting)) => waiting == id,
        _ => (0..node.approvals).any(|n| {
            let then = Node { approvals: n, ..(*node).clone() };
            approval_id(state, definition, &then) == *id
        }),
    })
}

/// The digest of what is shown for the approval node that waits under `id`: the node, what its prompt is filled in
/// with, and each file of each need.
#[must_use]
pub fn approval_digest(state: &State, id: &RequestId) -> Option<Digest> {
    let (definition, _) = approval_node(state, id)?;
    let needs: Vec<_> = definition
        .needs
        .iter()
        .filter_map(|need| state.node(need))
        .map(|(need, node)| {
            serde_json::json!({"node": need.id, "status": node.status, "artifacts": node.artifacts, "result": node.result})
        })
        .collect();
    let mut shown = serde_json::json!({
        "id": id, "run": state.run, "registry": state.created.registry, "node": definition.id,
        "title": definition.title, "workflow": state.created.workflow_digest, "needs": needs,
    });
    // The prompt that is read is the frozen workflow's with these filled in; without any it is the workflow's own.
    if !state.created.params.is_empty() {
        shown["params"] = serde_json::json!(state.created.params);
    }
    let mut hash = Sha256::new();
    hash.update(b"taskforge-review-v1\n");
    hash.update(shown.to_string());
    Some(Digest::from_bytes(&hash.finalize().into()))
}
