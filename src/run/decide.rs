//! `decide`: which events a command comes down to. Pure: the time is an argument, nothing is read or written.
//! A command that is already true gives no events; one that may not happen gives a [`Refusal`].

mod control;
mod decision;
mod end;

use chrono::{DateTime, Utc};

use control::{control_events, killed};
use decision::{decide_all, decision_on, edit, expire};
use end::end;

use super::command::Command;
use super::consequence::{Depth, settle};
use super::definition::NodeDefinition;
use super::deployment;
use super::event::{ChildRun, Event, FailureCode, SkipReason};
use super::id::{Digest, NodeId, RequestId};
use super::refusal::Refusal;
use super::session;
use super::state::{Node, RequestStatus, State};
use super::status::{NodeKind, NodeStatus, RunStatus};

/// The events of `command` and of all that follows from it at once: dependents become ready, the run ends.
///
/// # Errors
/// [`Refusal`] when the command may not happen in this state; nothing has then happened.
pub fn decide(state: &State, command: Command, now: DateTime<Utc>) -> Result<Vec<Event>, Refusal> {
    let depth = depth_of(state, &command);
    let events = direct(state, command, now)?;
    Ok(settle(state, events, depth, now))
}

/// How far a command's consequences go. In OpenTask's own registry its helper leaves waits and approvals `ready`, and a
/// tick takes them from there, as OpenTask's service does.
fn depth_of(state: &State, command: &Command) -> Depth {
    let of_session = matches!(
        command,
        Command::Transition { .. }
            | Command::Bind(_)
            | Command::AddNode { .. }
            | Command::Rewire { .. }
            | Command::Adopt(_)
            | Command::Progress { .. }
            | Command::Result { .. }
            | Command::Appended { .. }
    );
    if of_session && state.is_bare() { Depth::Promotions } else { Depth::All }
}

fn direct(state: &State, command: Command, now: DateTime<Utc>) -> Result<Vec<Event>, Refusal> {
    match command {
        Command::Settle => Ok(Vec::new()),
        Command::Dispatch { node, attempt, plan } => {
            alive(state)?;
            let (_, found) = find(state, &node)?;
            let next = found.attempts.len() as u64 + 1;
            // What is granted no more goes first: it must be in no container that starts.
            if state.requests.iter().any(|request| request.is_over(now)) || !state.to_relock().is_empty() {
                return Err(Refusal::NodeIs {
                    node,
                    status: found.status.as_str(),
                    wanted: "dispatched with what is over",
                });
            }
            if found.status != NodeStatus::Ready || found.live().is_some() || state.status == RunStatus::Paused {
                return Err(Refusal::NodeIs { node, status: found.status.as_str(), wanted: "dispatched" });
            }
            if u64::from(attempt) != next {
                return Err(Refusal::NotLive { node, attempt });
            }
            Ok(vec![Event::NodeDispatching { node, attempt, plan }])
        }
        Command::Started { node, attempt, container_id } => {
            let (_, found) = find(state, &node)?;
            match found.live().filter(|live| live.number == attempt) {
                Some(live) if live.container_id.is_some() => Ok(Vec::new()),
                Some(_) => Ok(vec![Event::NodeStarted { node, attempt, container_id }]),
                None => Err(Refusal::NotLive { node, attempt }),
            }
        }
        Command::End { node, attempt, seen } => end(state, &node, attempt, seen, now),
        Command::Dismiss { node } => {
            let (definition, found) = find(state, &node)?;
            let waits = found.status == NodeStatus::Waiting && found.live().is_none();
            let Some(agent) = definition.agent().filter(|_| waits) else { return Ok(Vec::new()) };
            let detail = format!("agent `{agent}` was offboarded");
            Ok(vec![Event::NodeFailed { node, code: FailureCode::Offboarded, detail, decision: None }])
        }
        Command::Request { id, node, attempt, capability, reason, by_gate, deploy, schedule } => {
            if state.ingested.contains(id.as_str()) {
                return Ok(Vec::new());
            }
            alive(state)?;
            let (definition, _) = find(state, &node)?;
            // Rules may look at the role: what one role is given is not another's. One that could not be resolved or built, or was taken back, may be asked for again, and is decided again;
            // everything else has, or gets, one answer.
            let same = state.requests.iter().find(|request| {
                request.capability == capability
                    && request.deploy == deploy
                    && request.schedule == schedule
                    && state.role_of(&request.node) == definition.role()
                    && !matches!(request.status, RequestStatus::Unresolvable | RequestStatus::Failed)
                    && !request.has_ended()
                    && !request.is_over(now)
            });
            Ok(vec![match same {
                Some(same) => Event::CapabilityJoined { id: same.id.clone(), inbox: id.to_string(), node, attempt },
                None => Event::CapabilityRequested { id, node, attempt, capability, reason, by_gate, deploy, schedule },
            }])
        }
        Command::Resolve { id, resolution } => match request_status(state, &id)? {
            RequestStatus::Requested | RequestStatus::Pending => Ok(vec![Event::CapabilityResolved { id, resolution }]),
            _ => Ok(Vec::new()),
        },
        Command::CannotResolve { id, reason } => {
            let request = state.request(&id).ok_or_else(|| Refusal::NoRequest(id.clone()))?;
            Ok(match &request.edited {
                _ if !request.is_undecided() => Vec::new(),
                // A person's list that cannot be had is no answer to the agent: what it asked for is looked at again.
                Some(edited) if edited.list != edited.asked => {
                    let (asked, list) = (edited.asked.clone(), edited.asked.clone());
                    vec![Event::CapabilityEdited { id, by: edited.by.clone(), asked, list, reason }]
                }
                _ => vec![Event::CapabilityUnresolvable { id, reason }],
            })
        }
        Command::Present { id, presented } => match request_status(state, &id)? {
            RequestStatus::Requested | RequestStatus::Pending => Ok(vec![Event::CapabilityPresented { id, presented }]),
            _ => Ok(Vec::new()),
        },
        Command::Forbid { id, ruling, digest } => match request_status(state, &id)? {
            RequestStatus::Requested | RequestStatus::Pending => {
                Ok(vec![Event::CapabilityDenied { id, decision: ruling.decision(digest, now) }])
            }
            _ => Ok(Vec::new()),
        },
        Command::Deployment(command) => deployment::decide(state, command),
        Command::Given { id } => Ok(match given(state, &id)? {
            request if request.is_over(now) => Vec::new(),
            request if request.status == RequestStatus::Approved => {
                vec![Event::CapabilityApplied { id, image: String::new() }]
            }
            _ => Vec::new(),
        }),
        Command::SettleAction { node, settled } => {
            find(state, &node)?;
            let same = state
                .settled
                .iter()
                .any(|before| (before.record, before.done, &before.by) == (settled.record, settled.done, &settled.by));
            Ok(if same { Vec::new() } else { vec![Event::ActionSettled { node, settled }] })
        }
        Command::CannotGive { id, reason } => Ok(match request_status(state, &id)? {
            RequestStatus::Approved => vec![Event::CapabilityFailed { id, reason }],
            _ => Vec::new(),
        }),
        Command::Revoke { id, by, reason } => {
            let request = state.request(&id).ok_or_else(|| Refusal::NoRequest(id.clone()))?;
            let status = request.status;
            // A deployment, or a schedule, goes on when its run is over, and what was granted beyond the run is given to
            // others then: all have to be taken back all the same, and here it stands that they were.
            let beyond = request.decision.as_ref().is_some_and(|decision| !decision.scope.is_run());
            if !request.capability.kind().outlives_its_run() && !beyond {
                alive(state)?;
            }
            if !status.is_granted() {
                return Err(Refusal::NotRevocable { id, status: status.as_str() });
            }
            Ok(vec![Event::CapabilityRevoked { id, by, reason }])
        }
        Command::Expire { id, limit } => expire(state, id, limit, now),
        Command::Relock { id, relocked } => {
            let ended = state.to_relock().into_iter().find(|request| request.id == id);
            let ended = ended.map(|request| state.ended_beneath(request));
            // Seldom two ticks saw the same, and the first was faster, or one more has ended meanwhile.
            let current = ended.is_some_and(|ended| ended.iter().all(|ended| relocked.without.contains(ended)));
            Ok(if current { vec![Event::CapabilityRelocked { id, relocked }] } else { Vec::new() })
        }
        Command::Decide { id, verdict, decision } => decision_on(state, id, verdict, decision, now),
        Command::Edit { id, by, asked, list } => edit(state, id, by, asked, list),
        Command::DecideAll(words) => decide_all(state, words, now),
        Command::ImageReady { recipe, image } => {
            let of_recipe = approved_with(state, &recipe);
            if of_recipe.is_empty() {
                return Err(Refusal::NoSuchImage { recipe });
            }
            // The newest lock holds everything that was approved before it, so that its image serves all of them.
            let base = of_recipe.last().and_then(|id| base_of(state, id)).map(str::to_owned);
            let newest = base.as_deref().and_then(|base| state.recipe_for(base)) == Some(&recipe);
            let over = |id: &RequestId| state.request(id).is_some_and(|request| request.is_over(now));
            let events = state.approved.iter().filter(|id| !over(id)).filter(|id| {
                let served = of_recipe.contains(id) || (newest && base_of(state, id) == base.as_deref());
                served && state.request(id).is_some_and(|request| request.status == RequestStatus::Approved)
            });
            Ok(events.map(|id| Event::CapabilityApplied { id: id.clone(), image: image.clone() }).collect())
        }
        Command::Building { recipe } => {
            // Applied: its image is gone, and is made again.
            if !state.requests.iter().any(|request| request.status.is_granted() && request.recipe() == Some(&recipe)) {
                return Err(Refusal::NoSuchImage { recipe });
            }
            Ok(vec![Event::ImageBuilding { recipe }])
        }
        Command::ImageFailed { recipe, reason } => {
            let failed = approved_with(state, &recipe);
            Ok(failed.into_iter().map(|id| Event::CapabilityFailed { id, reason: reason.clone() }).collect())
        }
        Command::Progress { inbox, node, message } => {
            if inbox.as_ref().is_some_and(|id| state.ingested.contains(id)) {
                return Ok(Vec::new());
            }
            Ok(vec![Event::RunProgress { node, message, inbox }])
        }
        Command::Child(child) => {
            if state.ingested.contains(child.id.as_str()) {
                return Ok(Vec::new());
            }
            find(state, &child.node)?;
            let ChildRun { id, node, attempt, role, run, share } = *child;
            Ok(vec![Event::ChildStarted { id, node, attempt, role, run, share }])
        }
        Command::Result { inbox, node, result, report } => {
            if inbox.as_ref().is_some_and(|id| state.ingested.contains(id)) {
                return Ok(Vec::new());
            }
            let (definition, _) = find(state, &node)?;
            if report.is_some() {
                // A session speaks of what sessions do; what a container's agent says comes through its gate.
                session::may_move(state, definition)?;
            }
            Ok(vec![Event::NodeResult { node, inbox, result, report }])
        }
        Command::Transition { node, to, detail } => session::transition(state, &node, to, detail),
        Command::Bind(binding) => session::bind(state, binding),
        Command::AddNode { before, definition } => session::add_node(state, before, definition),
        Command::Rewire { node, needs } => session::rewire(state, &node, needs),
        Command::Adopt(adoption) => Ok(vec![Event::RegistryAdopted(adoption)]),
        Command::Ask { id, request } => {
            let asked = state.outgoing.iter().any(|asked| asked.id == id);
            Ok(if asked { Vec::new() } else { vec![Event::OpenclawRequested { id, request }] })
        }
        Command::Answer { id, outcome } => match state.outgoing.iter().find(|asked| asked.id == id) {
            None => Err(Refusal::NotAsked(id)),
            Some(asked) if !asked.is_open() => Ok(Vec::new()),
            Some(_) => Ok(vec![match outcome {
                Ok(()) => Event::OpenclawDelivered { id },
                Err(reason) => Event::OpenclawFailed { id, reason },
            }]),
        },
        Command::Appended { name, line } => Ok(vec![Event::EventAppended { name, line }]),
        Command::RejectInput { input, reason } => {
            if state.ingested.contains(&input) {
                return Ok(Vec::new());
            }
            Ok(vec![Event::InputRejected { input, reason, request: None }])
        }
        Command::RejectDecision { id, file, reason } => {
            Ok(vec![Event::InputRejected { input: file, reason, request: Some(id) }])
        }
        Command::Notified { ids } => {
            let ids: Vec<_> = ids.into_iter().filter(|id| !state.notified.contains(id)).collect();
            Ok(if ids.is_empty() { Vec::new() } else { vec![Event::RunNotified { ids }] })
        }
        Command::ConditionMet { node } => {
            alive(state)?;
            let (definition, found) = find(state, &node)?;
            if definition.kind != NodeKind::Wait || found.status != NodeStatus::Waiting {
                return Err(Refusal::NodeIs {
                    node,
                    status: found.status.as_str(),
                    wanted: "completed by its condition",
                });
            }
            Ok(vec![Event::NodeCompleted { node, artifacts: Vec::new(), decision: None }])
        }
        Command::GateStopped { traffic } => {
            Ok(if state.gate_up { vec![Event::GateStopped { traffic }] } else { Vec::new() })
        }
        Command::Control { id: Some(id), .. } | Command::RejectControl { id, .. }
            if state.applied_controls.contains(&id) =>
        {
            Ok(Vec::new())
        }
        Command::Control { id, control } => {
            let mut events = control_events(state, id.as_deref(), &control)?;
            if let Some(id) = id {
                events.push(Event::ControlApplied { id, action: control.action().to_owned() });
            }
            Ok(events)
        }
        Command::RejectControl { id, reason } => Ok(vec![Event::ControlRejected { id, reason }]),
        Command::Killed { reason, traffic } => Ok(killed(state, &reason, traffic)),
    }
}

/// Whether a need lets its dependents start.
pub(crate) fn need_is_met(definition: &NodeDefinition, node: &Node) -> bool {
    match node.status {
        NodeStatus::Completed => true,
        NodeStatus::Failed => definition.continue_on_failure,
        NodeStatus::Skipped => {
            matches!(node.skipped, Some(SkipReason::Operator | SkipReason::Session)) || definition.continue_on_failure
        }
        _ => false,
    }
}

fn approved_with(state: &State, recipe: &Digest) -> Vec<RequestId> {
    let with = |id: &&RequestId| {
        state
            .request(id)
            .is_some_and(|request| request.status == RequestStatus::Approved && request.recipe() == Some(recipe))
    };
    state.approved.iter().filter(with).cloned().collect()
}

fn base_of<'a>(state: &'a State, id: &RequestId) -> Option<&'a str> {
    state.request(id)?.resolution.as_ref().map(|resolution| resolution.base.as_str())
}

/// The request `id`, if what it is about is given without another image.
fn given<'a>(state: &'a State, id: &RequestId) -> Result<&'a super::state::Request, Refusal> {
    let request = state.request(id).ok_or_else(|| Refusal::NoRequest(id.clone()))?;
    if request.capability.kind().is_given() { Ok(request) } else { Err(Refusal::PartOfImage { id: id.clone() }) }
}

fn request_status(state: &State, id: &RequestId) -> Result<RequestStatus, Refusal> {
    state.request(id).map(|request| request.status).ok_or_else(|| Refusal::NoRequest(id.clone()))
}

fn find<'a>(state: &'a State, id: &NodeId) -> Result<(&'a NodeDefinition, &'a Node), Refusal> {
    state.node(id).ok_or_else(|| Refusal::NoNode(id.clone()))
}

fn alive(state: &State) -> Result<(), Refusal> {
    if state.status.is_terminal() { Err(Refusal::RunFinished(state.status.as_str())) } else { Ok(()) }
}
