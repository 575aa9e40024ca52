//! What follows from a state by itself, at once and without asking anybody: needs are met, requests are answered,
//! the run ends. Applied one event at a time until nothing follows any more.

use chrono::{DateTime, Utc};

use super::decide::need_is_met;
use super::event::{Event, ReadyReason, SkipReason, WaitingOn};
use super::review;
use super::state::{Node, RequestStatus, State};
use super::status::{NodeKind, NodeStatus, RunStatus};

/// `events`, and behind them all that follows from the state they lead to.
pub(crate) fn settle(state: &State, mut events: Vec<Event>, now: DateTime<Utc>) -> Vec<Event> {
    let mut after = state.clone();
    for event in &events {
        if after.apply(event, now).is_err() {
            // The caller commits nothing that does not fold: `decide` is tested never to come here.
            return events;
        }
    }
    // Each consequence moves a node or the run forward, so that there are at most a few for each node.
    for _ in 0..after.nodes.len() * 8 + 8 {
        let Some(event) = next(&after) else { break };
        if after.apply(&event, now).is_err() {
            break;
        }
        events.push(event);
    }
    events
}

fn next(state: &State) -> Option<Event> {
    if state.status.is_terminal() {
        return None;
    }
    state
        .pairs()
        .find_map(|(definition, node)| match node.status {
            NodeStatus::Pending => promote(state, definition, node),
            NodeStatus::Ready if definition.kind == NodeKind::Approval => {
                let id = review::approval_id(state, definition, node);
                Some(Event::NodeWaiting { node: definition.id.clone(), on: WaitingOn::Approval(id) })
            }
            NodeStatus::Ready if definition.kind == NodeKind::Wait => {
                Some(Event::NodeWaiting { node: definition.id.clone(), on: WaitingOn::Condition })
            }
            // A container that the workflow gives capabilities waits for these before its first attempt.
            NodeStatus::Ready if node.live().is_none() => {
                let open: Vec<_> = state
                    .requests
                    .iter()
                    .filter(|request| {
                        request.askers.iter().any(|(node, attempt)| *node == definition.id && *attempt == 0)
                    })
                    .filter(|request| !request.status.is_answered())
                    .map(|request| request.id.clone())
                    .collect();
                let on = WaitingOn::Requests(open.clone());
                (!open.is_empty()).then(|| Event::NodeWaiting { node: definition.id.clone(), on })
            }
            NodeStatus::Waiting => match &node.waiting_on {
                Some(WaitingOn::Requests(ids)) if ids.iter().all(|id| is_answered(state, id)) => {
                    Some(Event::NodeReady { node: definition.id.clone(), why: ReadyReason::Answered, not_before: None })
                }
                _ => None,
            },
            _ => None,
        })
        .or_else(|| finish(state))
}

fn promote(state: &State, definition: &super::definition::NodeDefinition, _node: &Node) -> Option<Event> {
    let mut all_met = true;
    for need in &definition.needs {
        let (need_definition, need_node) = state.node(need)?;
        if need_is_met(need_definition, need_node) {
            continue;
        }
        if need_node.status.is_terminal() {
            let why = SkipReason::NeedFailed(need.clone());
            return Some(Event::NodeSkipped { node: definition.id.clone(), why });
        }
        all_met = false;
    }
    all_met.then(|| Event::NodeReady { node: definition.id.clone(), why: ReadyReason::NeedsMet, not_before: None })
}

fn is_answered(state: &State, id: &super::id::RequestId) -> bool {
    state.request(id).is_none_or(|request| match request.status {
        // While another approved set is still to be built, an applied one is in force already.
        RequestStatus::Requested | RequestStatus::Pending | RequestStatus::Approved => false,
        status => status.is_answered(),
    })
}

fn finish(state: &State) -> Option<Event> {
    if state.nodes.iter().any(|node| !node.status.is_terminal()) || state.status == RunStatus::Draft {
        return None;
    }
    let failed: Vec<_> = state
        .pairs()
        .filter(|(definition, node)| node.status == NodeStatus::Failed && !definition.continue_on_failure)
        .map(|(definition, _)| definition.id.clone())
        .collect();
    Some(if failed.is_empty() { Event::RunCompleted {} } else { Event::RunFailed { failed } })
}
