//! What somebody who drives a run does with it: pause, cancel, try again, skip; and the kill switch.

use super::super::command::Control;
use super::super::deployment;
use super::super::event::{AttemptEnd, Event, Outcome, ReadyReason, SkipReason, TrafficHead};
use super::super::id::NodeId;
use super::super::outgoing::Outgoing;
use super::super::refusal::Refusal;
use super::super::session;
use super::super::state::State;
use super::super::status::{NodeKind, NodeStatus, RunStatus};
use super::{alive, find, need_is_met};

pub(super) fn control_events(state: &State, id: Option<&str>, control: &Control) -> Result<Vec<Event>, Refusal> {
    match control {
        Control::Approve { node } => {
            alive(state)?;
            let (definition, found) = find(state, node)?;
            if !matches!(definition.kind, NodeKind::Approval | NodeKind::Wait) {
                return Err(Refusal::NothingToApprove(node.clone()));
            }
            session::may_move(state, definition)?;
            if !matches!(found.status, NodeStatus::Waiting | NodeStatus::Ready) {
                let status = found.status.as_str();
                return Err(Refusal::NodeIs { node: node.clone(), status, wanted: "approved" });
            }
            let waiting = Event::NodeWaiting { node: node.clone(), on: session::waiting_on(state, definition) };
            let completed = Event::NodeCompleted { node: node.clone(), artifacts: Vec::new(), decision: None };
            Ok(if found.status == NodeStatus::Ready { vec![waiting, completed] } else { vec![completed] })
        }
        Control::SendMessage { node, text } => {
            let session = match node {
                Some(node) => session_of(state, node)?,
                None => state.created.sessions.driver.clone(),
            };
            let request = Outgoing::SendMessage { session, text: text.clone() };
            Ok(vec![Event::OpenclawRequested { id: id.unwrap_or_default().to_owned(), request }])
        }
        Control::PatchCron { patch } => {
            let job = state.cron_job_id.clone().ok_or(Refusal::NoCronJob)?;
            let request = Outgoing::PatchCron { job, patch: patch.clone() };
            Ok(vec![Event::OpenclawRequested { id: id.unwrap_or_default().to_owned(), request }])
        }
        Control::Pause { reason } => {
            alive(state)?;
            if state.status == RunStatus::Paused {
                return Err(Refusal::RunIs("paused"));
            }
            Ok(vec![Event::RunPaused { reason: reason.clone() }])
        }
        Control::Resume => {
            alive(state)?;
            if state.status != RunStatus::Paused {
                return Err(Refusal::RunIs("running"));
            }
            Ok(vec![Event::RunResumed {}])
        }
        Control::Cancel { reason } => {
            alive(state)?;
            Ok(vec![Event::RunCancelled { reason: reason.clone() }])
        }
        Control::Retry { node } => retry(state, node),
        Control::Skip { node } => {
            alive(state)?;
            let (definition, found) = find(state, node)?;
            if definition.kind == NodeKind::Approval && state.needs_decisions() {
                return Err(Refusal::NeedsDecision(node.clone()));
            }
            if found.status.is_terminal() || found.live().is_some() {
                let status = found.status.as_str();
                return Err(Refusal::NodeIs { node: node.clone(), status, wanted: "skipped" });
            }
            Ok(vec![Event::NodeSkipped { node: node.clone(), why: SkipReason::Operator }])
        }
    }
}

/// A failed or skipped node is tried again, and what was skipped because of it waits for it again.
fn retry(state: &State, id: &NodeId) -> Result<Vec<Event>, Refusal> {
    let (definition, node) = find(state, id)?;
    if !matches!(node.status, NodeStatus::Failed | NodeStatus::Skipped) {
        return Err(Refusal::NodeIs { node: id.clone(), status: node.status.as_str(), wanted: "tried again" });
    }
    for need in &definition.needs {
        let met = state.node(need).is_some_and(|(d, n)| need_is_met(d, n));
        if !met {
            return Err(Refusal::Unmet { node: id.clone(), need: need.clone() });
        }
    }
    let mut events = Vec::new();
    if state.status.is_terminal() {
        events.push(Event::RunReopened {});
    }
    events.push(Event::NodeReady { node: id.clone(), why: ReadyReason::Operator, not_before: None });
    events.extend(session::reset_dependents(state, id));
    Ok(events)
}

pub(super) fn killed(state: &State, reason: &str, traffic: Option<TrafficHead>) -> Vec<Event> {
    let mut events = Vec::new();
    for (definition, attempt) in state.live_attempts() {
        let node = definition.id.clone();
        let end = AttemptEnd {
            outcome: Outcome::Killed,
            exit_code: None,
            detail: reason.to_owned(),
            traffic: traffic.clone(),
        };
        events.push(Event::AttemptEnded { node: node.clone(), attempt: attempt.number, end });
        if state.node(&node).is_some_and(|(_, n)| n.status == NodeStatus::Running) {
            events.push(Event::NodeReady { node, why: ReadyReason::Killed, not_before: None });
        }
    }
    if state.gate_up {
        events.push(Event::GateStopped { traffic });
    }
    if state.status == RunStatus::Running && (!events.is_empty() || state.goes_on_by_itself()) {
        events.push(Event::RunPaused { reason: format!("killed: {reason}") });
    }
    events.extend(deployment::killed(state, reason));
    events
}

/// The session that does a node, or else the one that drives the run.
fn session_of(state: &State, node: &NodeId) -> Result<String, Refusal> {
    let (definition, found) = find(state, node)?;
    let bound = found.bound.child_session_key.as_ref().or(found.bound.session_key.as_ref());
    let session = bound.or(definition.session_key.as_ref()).unwrap_or(&state.created.sessions.driver);
    Ok(session.clone())
}
