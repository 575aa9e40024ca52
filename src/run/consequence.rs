//! What follows from a state by itself, at once and without asking anybody: needs are met, requests are answered,
//! the run ends. Applied one event at a time until nothing follows any more.

use chrono::{DateTime, Utc};

use super::decide::need_is_met;
use super::definition::NodeDefinition;
use super::deployment;
use super::event::{Event, FailureCode, ReadyReason, SkipReason, WaitingOn};
use super::id::RequestId;
use super::review;
use super::ruling::Effect;
use super::state::{RequestStatus, State};
use super::status::{NodeKind, NodeStatus, RunStatus};

/// How far consequences are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Needs are met or cannot be, and the run ends; waits and approvals stay `ready`.
    Promotions,
    All,
}

/// Whether anything follows from `state` that is not journaled yet.
#[must_use]
pub(crate) fn is_unsettled(state: &State) -> bool {
    // When it would have followed is all the same here.
    next(state, Depth::All, DateTime::UNIX_EPOCH).is_some()
}

/// `events`, and behind them all that follows from the state they lead to.
pub(crate) fn settle(state: &State, mut events: Vec<Event>, depth: Depth, now: DateTime<Utc>) -> Vec<Event> {
    let mut after = state.clone();
    for event in &events {
        if after.apply(event, now).is_err() {
            // The caller commits nothing that does not fold: `decide` is tested never to come here.
            return events;
        }
    }
    // Each consequence moves a node or the run forward, so that there are at most a few for each node.
    for _ in 0..after.nodes.len() * 8 + 8 {
        let Some(event) = next(&after, depth, now) else { break };
        if after.apply(&event, now).is_err() {
            break;
        }
        events.push(event);
    }
    events
}

fn next(state: &State, depth: Depth, now: DateTime<Utc>) -> Option<Event> {
    if state.status.is_terminal() {
        return None;
    }
    if let Some(event) = allowed(state, now) {
        return Some(event);
    }
    state
        .pairs()
        .find_map(|(definition, node)| match node.status {
            NodeStatus::Pending => promote(state, definition),
            NodeStatus::Ready
                if depth == Depth::Promotions && matches!(definition.kind, NodeKind::Approval | NodeKind::Wait) =>
            {
                None
            }
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
                    // What it declares to be deployed comes of its work, and is not needed for it.
                    .filter(|request| !request.status.is_answered() && request.deploy.is_none())
                    .map(|request| request.id.clone())
                    .collect();
                let on = WaitingOn::Requests(open.clone());
                (!open.is_empty()).then(|| Event::NodeWaiting { node: definition.id.clone(), on })
            }
            NodeStatus::Waiting => match &node.waiting_on {
                Some(WaitingOn::Requests(ids)) if ids.iter().all(|id| is_answered(state, id)) => {
                    Some(answered(state, definition, ids))
                }
                _ => None,
            },
            _ => None,
        })
        .or_else(|| finish(state))
}

/// What a rule allows is approved as it is shown, unless what it was shown beside has changed: then it is shown anew
/// first.
fn allowed(state: &State, now: DateTime<Utc>) -> Option<Event> {
    let pending = state.requests.iter().filter(|request| request.status == RequestStatus::Pending);
    pending.filter(|request| state.is_shown_as_it_stands(request)).find_map(|request| {
        let ruling = request.ruling().filter(|ruling| ruling.effect == Effect::Allow)?;
        let decision = ruling.decision(request.review()?.clone(), now);
        Some(Event::CapabilityApproved { id: request.id.clone(), decision })
    })
}

fn promote(state: &State, definition: &NodeDefinition) -> Option<Event> {
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

fn is_answered(state: &State, id: &RequestId) -> bool {
    state.request(id).is_none_or(|request| request.status.is_answered())
}

/// What a node does once all that it waited for has an answer. An agent goes on with any answer but one: what was
/// approved and could not be built, since going on without it would look like going on with it. What the workflow
/// itself declares, the node does not begin without.
fn answered(state: &State, definition: &NodeDefinition, ids: &[RequestId]) -> Event {
    let node = definition.id.clone();
    for request in ids.iter().filter_map(|id| state.request(id)) {
        let asked = &request.capability;
        if request.status == RequestStatus::Failed && request.capability.kind().needs_image() {
            let detail = format!("{asked} was approved and could not be built: {}", request.problem);
            return Event::NodeFailed { node, code: FailureCode::Build, detail, decision: None };
        }
        let declared = request.askers.iter().any(|(asker, attempt)| *asker == node && *attempt == 0);
        if declared && request.status != RequestStatus::Applied {
            let words =
                request.decision.as_ref().map_or(request.problem.as_str(), |decision| decision.comment.as_str());
            let detail = format!("{asked}, which the workflow declares, is {}: {words}", request.status.as_str());
            return Event::NodeFailed { node, code: FailureCode::Denied, detail, decision: None };
        }
    }
    Event::NodeReady { node, why: ReadyReason::Answered, not_before: None }
}

fn finish(state: &State) -> Option<Event> {
    let open = state.nodes.iter().any(|node| !node.status.is_terminal()) || deployment::is_awaited(state);
    if open || state.status == RunStatus::Draft {
        return None;
    }
    let failed: Vec<_> = state
        .pairs()
        .filter(|(definition, node)| node.status == NodeStatus::Failed && !definition.continue_on_failure)
        .map(|(definition, _)| definition.id.clone())
        .collect();
    Some(if failed.is_empty() { Event::RunCompleted {} } else { Event::RunFailed { failed } })
}
