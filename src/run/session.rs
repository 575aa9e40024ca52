//! What the OpenClaw session that does a run may say of it: where a node stands, which sessions do it, that the workflow
//! changes. It can neither decide nor move what the engine or a person moves. Pure.

use std::collections::BTreeSet;

use super::command::Binding;
use super::definition::NodeDefinition;
use super::event::{Event, FailureCode, ReadyReason, SkipReason, WaitingOn};
use super::id::NodeId;
use super::refusal::Refusal;
use super::review;
use super::state::State;
use super::status::{NodeKind, NodeStatus, RunStatus};

/// The most nodes a run may have, those of the workflow included.
pub const MOST_NODES: usize = 1000;

/// The events of a session's word that `id` is `to`. None when it is that already.
pub(crate) fn transition(state: &State, id: &NodeId, to: NodeStatus, detail: String) -> Result<Vec<Event>, Refusal> {
    let (definition, node) = state.node(id).ok_or_else(|| Refusal::NoNode(id.clone()))?;
    if node.status == to {
        return Ok(Vec::new());
    }
    may_move(state, definition)?;
    if !is_legal(node.status, to) {
        let (from, to) = (node.status.as_str(), to.as_str());
        return Err(Refusal::IllegalTransition { node: id.clone(), from, to });
    }
    if let Some(approval) = passed_by(state, id, node.status, to) {
        return Err(Refusal::PassesBy { node: id.clone(), approval });
    }
    let mut events = Vec::new();
    if to == NodeStatus::Ready && matches!(state.status, RunStatus::Completed | RunStatus::Failed) {
        events.push(Event::RunReopened {});
    }
    let node_id = id.clone();
    events.push(match to {
        NodeStatus::Pending => Event::NodeReset { node: node_id },
        NodeStatus::Ready => Event::NodeReady { node: node_id, why: ReadyReason::Session, not_before: None },
        NodeStatus::Running => Event::NodeStarted { node: node_id, attempt: 0, container_id: String::new() },
        NodeStatus::Waiting => Event::NodeWaiting { node: node_id, on: waiting_on(state, definition) },
        NodeStatus::Completed => Event::NodeCompleted { node: node_id, artifacts: Vec::new(), decision: None },
        NodeStatus::Failed => Event::NodeFailed { node: node_id, code: FailureCode::Session, detail, decision: None },
        NodeStatus::Skipped => Event::NodeSkipped { node: node_id, why: SkipReason::Session },
    });
    if to == NodeStatus::Ready {
        events.extend(reset_dependents(state, id));
    }
    Ok(events)
}

/// The nodes that were skipped since `id` failed wait for their needs once more, now that it is tried again.
pub(crate) fn reset_dependents(state: &State, id: &NodeId) -> Vec<Event> {
    let mut events = Vec::new();
    let mut again = vec![id.clone()];
    // The workflow has no cycles, so that each pass finds dependents one level further down.
    loop {
        let next = state.pairs().find(|(definition, node)| {
            let by_need = matches!(&node.skipped, Some(SkipReason::NeedFailed(need)) if again.contains(need));
            node.status == NodeStatus::Skipped && by_need && !again.contains(&definition.id)
        });
        let Some((definition, _)) = next else { break };
        events.push(Event::NodeReset { node: definition.id.clone() });
        again.push(definition.id.clone());
    }
    events
}

/// The approval that a step would pass by: OpenTask lets a node begin, or be skipped, before its needs are met. In a
/// registry where approvals are a person's that must not open the way to what stands behind one.
pub(crate) fn passed_by(state: &State, id: &NodeId, from: NodeStatus, to: NodeStatus) -> Option<NodeId> {
    if state.is_bare() || from != NodeStatus::Pending || to == NodeStatus::Failed {
        return None;
    }
    let open = |node: &NodeId| {
        state.node(node).is_some_and(|(definition, node)| {
            definition.kind == NodeKind::Approval && !super::decide::need_is_met(definition, node)
        })
    };
    ancestors(state, id, None).into_iter().find(open)
}

/// What a waiting node of this kind waits for.
pub(crate) fn waiting_on(state: &State, definition: &NodeDefinition) -> WaitingOn {
    let node = state.node(&definition.id).map(|(_, node)| node);
    match (definition.kind, node) {
        (NodeKind::Approval, Some(node)) => WaitingOn::Approval(review::approval_id(state, definition, node)),
        (NodeKind::Wait, _) => WaitingOn::Condition,
        _ => WaitingOn::Session,
    }
}

/// Whether anything but the engine and a person's decision may move the node.
pub(crate) fn may_move(state: &State, definition: &NodeDefinition) -> Result<(), Refusal> {
    if definition.container.is_some() {
        return Err(Refusal::HasContainer(definition.id.clone()));
    }
    if definition.kind == NodeKind::Approval && state.needs_decisions() {
        return Err(Refusal::NeedsDecision(definition.id.clone()));
    }
    Ok(())
}

/// OpenTask's table, and `waiting` to `completed`, which its documents ask for and its helper forgot.
#[must_use]
pub const fn is_legal(from: NodeStatus, to: NodeStatus) -> bool {
    use NodeStatus::{Completed, Failed, Pending, Ready, Running, Skipped, Waiting};
    match from {
        Pending => matches!(to, Ready | Failed | Skipped),
        Ready => matches!(to, Running | Waiting | Failed | Skipped),
        Running => matches!(to, Waiting | Completed | Failed | Skipped),
        Waiting => matches!(to, Ready | Running | Completed | Failed | Skipped),
        Failed | Skipped => matches!(to, Ready),
        Completed => false,
    }
}

pub(crate) fn bind(state: &State, binding: Binding) -> Result<Vec<Event>, Refusal> {
    let known = |node: &NodeId| match state.node(node) {
        Some((definition, _)) if definition.container.is_some() => Err(Refusal::HasContainer(node.clone())),
        Some(_) => Ok(()),
        None => Err(Refusal::NoNode(node.clone())),
    };
    Ok(vec![match binding {
        Binding::Sessions(sessions) if *sessions == state.created.sessions => return Ok(Vec::new()),
        Binding::Sessions(sessions) => Event::RunRebound { sessions },
        Binding::Cron { node, value } => {
            if let Some(node) = &node {
                state.node(node).ok_or_else(|| Refusal::NoNode(node.clone()))?;
            }
            Event::RunCronBound { node, value }
        }
        Binding::DriverRun(value) => Event::RunDriverBound { value },
        Binding::NodeSession { node, value } => {
            known(&node)?;
            Event::NodeSessionBound { node, value }
        }
        Binding::ChildSession { node, value } => {
            known(&node)?;
            Event::NodeChildSessionBound { node, value }
        }
        Binding::NodeRun { node, value } => {
            known(&node)?;
            Event::NodeRunBound { node, value }
        }
    }])
}

/// A node more. It can neither stand before an approval that others wait for, nor bring a container with it.
pub(crate) fn add_node(
    state: &State,
    before: Option<NodeId>,
    definition: Box<NodeDefinition>,
) -> Result<Vec<Event>, Refusal> {
    let id = definition.id.clone();
    if state.status.is_terminal() {
        return Err(Refusal::RunFinished(state.status.as_str()));
    }
    if state.index(&id).is_some() {
        return Err(Refusal::NodeExists(id));
    }
    if definition.container.is_some() {
        return Err(Refusal::HasContainer(id));
    }
    if state.nodes.len() >= MOST_NODES {
        return Err(Refusal::TooManyNodes(state.nodes.len()));
    }
    for need in &definition.needs {
        if state.index(need).is_none() {
            return Err(Refusal::NoNeed { node: id, need: need.clone() });
        }
    }
    if let Some(before) = &before {
        state.index(before).ok_or_else(|| Refusal::NoNode(before.clone()))?;
    }
    Ok(vec![Event::NodeAdded { node: id, before, definition }])
}

/// Other needs of a node that nobody works on yet.
pub(crate) fn rewire(state: &State, id: &NodeId, needs: Vec<NodeId>) -> Result<Vec<Event>, Refusal> {
    if state.status.is_terminal() {
        return Err(Refusal::RunFinished(state.status.as_str()));
    }
    let (definition, node) = state.node(id).ok_or_else(|| Refusal::NoNode(id.clone()))?;
    may_move(state, definition)?;
    if !matches!(node.status, NodeStatus::Pending | NodeStatus::Ready) {
        return Err(Refusal::NodeIs { node: id.clone(), status: node.status.as_str(), wanted: "given other needs" });
    }
    check_needs(state, id, &needs)?;
    let unmet = needs
        .iter()
        .any(|need| state.node(need).is_none_or(|(definition, node)| !super::decide::need_is_met(definition, node)));
    let mut events = vec![Event::NodeRewired { node: id.clone(), needs }];
    if unmet && node.status == NodeStatus::Ready {
        events.push(Event::NodeReset { node: id.clone() });
    }
    Ok(events)
}

/// Whether node `id` may have these needs: they exist, close no cycle, and in a registry where approvals are a person's
/// keep every approval that stood before the node, or before one that needs it.
pub(crate) fn check_needs(state: &State, id: &NodeId, needs: &[NodeId]) -> Result<(), Refusal> {
    for need in needs {
        if state.index(need).is_none() {
            return Err(Refusal::NoNeed { node: id.clone(), need: need.clone() });
        }
    }
    let before = ancestors(state, id, None);
    let after = ancestors(state, id, Some((id, needs)));
    if after.contains(id) {
        let names: Vec<&str> = needs.iter().map(NodeId::as_str).collect();
        return Err(Refusal::Cycle(names.join(", ")));
    }
    let is_approval =
        |node: &&NodeId| state.node(node).is_some_and(|(definition, _)| definition.kind == NodeKind::Approval);
    if state.needs_decisions()
        && let Some(lost) = before.difference(&after).find(is_approval)
    {
        return Err(Refusal::DropsApproval { node: id.clone(), approval: lost.clone() });
    }
    Ok(())
}

/// Every node that comes before `id`, with the needs of one node replaced.
fn ancestors(state: &State, id: &NodeId, instead: Option<(&NodeId, &[NodeId])>) -> BTreeSet<NodeId> {
    let needs_of = |node: &NodeId| -> Vec<NodeId> {
        match instead {
            Some((replaced, needs)) if replaced == node => needs.to_vec(),
            _ => state.node(node).map(|(definition, _)| definition.needs.clone()).unwrap_or_default(),
        }
    };
    let mut found = BTreeSet::new();
    let mut open = needs_of(id);
    while let Some(node) = open.pop() {
        if found.insert(node.clone()) {
            open.extend(needs_of(&node));
        }
    }
    found
}
