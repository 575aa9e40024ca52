//! `decide`: which events a command comes down to. Pure: the time is an argument, nothing is read or written.
//! A command that is already true gives no events; one that may not happen gives a [`Refusal`].

use chrono::{DateTime, Utc};

use super::capability::{Capability, CapabilityKind};
use super::command::{Command, Control, EXIT_SUSPENDED, EXIT_TIMEOUT, How, Seen, Verdict};
use super::consequence::{Depth, settle};
use super::definition::{NodeDefinition, Retry};
use super::deployment;
use super::event::{
    AttemptEnd, ChildRun, DecisionRecord, Event, FailureCode, Outcome, ReadyReason, SkipReason, WaitingOn,
};
use super::id::{Digest, NodeId, RequestId};
use super::outgoing::Outgoing;
use super::quantity;
use super::refusal::Refusal;
use super::review;
use super::session;
use super::state::{Node, RequestStatus, State};
use super::status::{NodeKind, NodeStatus, RunStatus};
use super::terms::Scope;
use super::time::{isoformat, parse_time};

/// How far the clock of whoever decided may go ahead of ours.
const CLOCKS: chrono::Duration = chrono::Duration::minutes(5);

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
            if approved_with(state, &recipe).is_empty() {
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

/// Each is judged by the state that all of them were shown in: what one adds to the set is no surprise to who says all
/// of it. Two sets of packages, each resolved without the other, are no set.
fn decide_all(
    state: &State,
    words: Vec<(RequestId, Verdict, DecisionRecord)>,
    now: DateTime<Utc>,
) -> Result<Vec<Event>, Refusal> {
    let mut bases: Vec<&str> = Vec::new();
    for (at, (id, verdict, _)) in words.iter().enumerate() {
        if words[..at].iter().any(|(other, ..)| other == id) {
            return Err(Refusal::Decided { id: id.clone(), status: "named twice" });
        }
        let Some(base) = base_of(state, id).filter(|_| *verdict == Verdict::Approve) else { continue };
        if bases.contains(&base) {
            let status = "for a package, and so is another of them: what one changes the other is resolved upon; \
                          approve them one after the other";
            return Err(Refusal::NotApprovable { id: id.clone(), status: status.to_owned() });
        }
        bases.push(base);
    }
    let mut events = Vec::new();
    for (id, verdict, decision) in words {
        events.extend(decision_on(state, id, verdict, decision, now)?);
    }
    Ok(events)
}

fn decision_on(
    state: &State,
    id: RequestId,
    verdict: Verdict,
    decision: DecisionRecord,
    now: DateTime<Utc>,
) -> Result<Vec<Event>, Refusal> {
    if let Some(at) = parse_time(&decision.at).filter(|at| *at > now + CLOCKS) {
        return Err(Refusal::NotYet { id, at: isoformat(at), now: isoformat(now) });
    }
    if let Some((definition, node)) = review::approval_node(state, &id) {
        let node_id = definition.id.clone();
        if node.status != NodeStatus::Waiting || node.waiting_on != Some(WaitingOn::Approval(id.clone())) {
            return Err(Refusal::Decided { id, status: node.status.as_str() });
        }
        alive(state)?;
        let now = review::approval_digest(state, &id);
        if now.as_ref() != Some(&decision.digest) {
            let now = now.unwrap_or_else(|| Digest::of(b""));
            return Err(Refusal::Stale { id, given: decision.digest, now });
        }
        if !decision.terms().are_usual() {
            return Err(Refusal::NoTerms(node_id));
        }
        return Ok(vec![match verdict {
            Verdict::Suggest => return Err(Refusal::NothingInstead(node_id)),
            Verdict::Approve => Event::NodeCompleted { node: node_id, artifacts: Vec::new(), decision: Some(decision) },
            Verdict::Deny => Event::NodeFailed {
                node: node_id,
                code: FailureCode::Denied,
                detail: format!("denied by {}: {}", decision.by, decision.comment),
                decision: Some(Box::new(decision)),
            },
        }]);
    }
    let Some(request) = state.request(&id) else {
        return Err(Refusal::NoRequest(id));
    };
    match request.status {
        RequestStatus::Requested | RequestStatus::Pending => {}
        RequestStatus::Unresolvable => {
            let status = format!("unresolvable: {}", request.problem);
            return Err(Refusal::NotApprovable { id, status });
        }
        status => return Err(Refusal::Decided { id, status: status.as_str() }),
    }
    alive(state)?;
    if verdict == Verdict::Approve {
        bounded(state, request, &decision, now)?;
    } else {
        said_of_what_is_shown(request, &decision)?;
    }
    match verdict {
        Verdict::Deny => return Ok(vec![Event::CapabilityDenied { id, decision }]),
        Verdict::Suggest => {
            let same = decision.instead.iter().find(|other| **other == request.capability);
            if let Some(same) = same {
                return Err(Refusal::NoOther { id, capability: same.to_string() });
            }
            return Ok(vec![Event::CapabilitySuperseded { id, decision }]);
        }
        Verdict::Approve => {}
    }
    if let Some(presented) = request.presented.as_ref().filter(|_| request.status == RequestStatus::Pending) {
        if presented.grants != state.given_with(request) {
            let status = "shown beside a set of grants that has changed since; the next tick shows it anew".to_owned();
            return Err(Refusal::NotApprovable { id, status });
        }
        if presented.review != decision.digest {
            return Err(Refusal::Stale { id, given: decision.digest, now: presented.review.clone() });
        }
        return Ok(vec![Event::CapabilityApproved { id, decision }]);
    }
    let Some(resolution) = request.resolution.as_ref().filter(|_| request.status == RequestStatus::Pending) else {
        return Err(Refusal::NotApprovable { id, status: "not resolved yet".to_owned() });
    };
    let granted = state.granted(&resolution.base).map(|request| &request.id);
    if resolution.upon.as_ref() != granted || !state.ended_beneath(request).is_empty() {
        let status = "resolved upon a set that has changed since; the next tick resolves it again".to_owned();
        return Err(Refusal::NotApprovable { id, status });
    }
    if resolution.review != decision.digest {
        return Err(Refusal::Stale { id, given: decision.digest, now: resolution.review.clone() });
    }
    Ok(vec![Event::CapabilityApproved { id, decision }])
}

/// Whether somebody who says no, or names something else, was shown what stands there now. Of what is not resolved yet there
/// is nothing to show, and a word on it names the digest of nothing.
fn said_of_what_is_shown(request: &super::state::Request, decision: &DecisionRecord) -> Result<(), Refusal> {
    let id = request.id.clone();
    match request.review().filter(|_| request.status == RequestStatus::Pending) {
        Some(shown) if *shown == decision.digest => Ok(()),
        Some(shown) => Err(Refusal::Stale { id, given: decision.digest.clone(), now: shown.clone() }),
        None if decision.digest == Digest::of(b"") => Ok(()),
        None => Err(Refusal::NotApprovable { id, status: "not resolved yet".to_owned() }),
    }
}

/// Whether a grant may have the bounds that a decision gives it.
fn bounded(
    state: &State,
    request: &super::state::Request,
    decision: &DecisionRecord,
    now: DateTime<Utc>,
) -> Result<(), Refusal> {
    let id = request.id.clone();
    let terms = decision.terms();
    if terms.are_over(now) {
        return Err(Refusal::OverAlready { id });
    }
    // The gate counts a ceiling over the whole run; what would become of it in between nobody could say.
    if terms.until.is_some() && matches!(request.capability, Capability::Budget(_)) {
        return Err(Refusal::NoTimeLimit { id });
    }
    match &terms.scope {
        Scope::Run => Ok(()),
        _ if matches!(request.capability, Capability::Budget(_)) => Err(Refusal::OnlyOfItsRun { id }),
        // Its name says nothing of what it does: each is looked at.
        _ if matches!(request.capability, Capability::Schedule(_)) => Err(Refusal::OnlyItself { id }),
        Scope::Workflow { id: workflow, definition } => {
            let same = *workflow == state.created.workflow_id && *definition == state.created.workflow_digest;
            if same { Ok(()) } else { Err(Refusal::OtherWorkflow { id }) }
        }
        Scope::Role { name } => match state.role_of(&request.node) {
            Some(role) if role == name => Ok(()),
            Some(role) => Err(Refusal::OtherRole { node: request.node.clone(), role: role.to_string() }),
            None => Err(Refusal::NoRole { node: request.node.clone() }),
        },
    }
}

/// The most that a list may hold.
const LONGEST_LIST: usize = 64;

/// A list of packages may be any other such list; what needs no image is one thing, and becomes another of its kind.
fn edit(
    state: &State,
    id: RequestId,
    by: String,
    asked: Vec<Capability>,
    list: Vec<Capability>,
) -> Result<Vec<Event>, Refusal> {
    let request = state.request(&id).ok_or_else(|| Refusal::NoRequest(id.clone()))?;
    alive(state)?;
    if !request.is_undecided() {
        return Err(Refusal::Decided { id, status: request.status.as_str() });
    }
    let refuse = |why: String| Err(Refusal::NotThatList { id: id.clone(), why });
    if list.is_empty() || list.len() > LONGEST_LIST {
        return refuse(format!(
            "it names {} things; 1 to {LONGEST_LIST} may be granted, and to grant none is to deny",
            list.len()
        ));
    }
    let kind = request.capability.kind();
    let wrong = list.iter().find(|listed| match kind.needs_image() {
        true => !matches!(listed, Capability::Pip(_) | Capability::Apt(_) | Capability::Npm(_)),
        false => listed.kind() != kind,
    });
    if let Some(wrong) = wrong {
        return refuse(match kind.needs_image() {
            true => format!("{wrong} is no package"),
            false => format!("{wrong} is no {kind}"),
        });
    }
    if kind.outlives_its_run() {
        let thing = if kind == CapabilityKind::Port { "deployment" } else { kind.as_str() };
        return refuse(format!("a {thing} is decided on as it was proposed"));
    }
    if !kind.needs_image() && list.len() != 1 {
        return refuse(format!("a request for a {kind} is for one"));
    }
    if let (Capability::Mount(asked), Some(Capability::Mount(listed))) = (&request.capability, list.first())
        && asked.target() != listed.target()
    {
        return refuse(
            "the folder has to be the one that was asked for; only how it is mounted may be another".to_owned(),
        );
    }
    let now = request.edited.as_ref().map_or(&asked, |edited| &edited.list);
    if *now == list {
        return Ok(Vec::new());
    }
    // What it stood for at first, however often it is edited.
    let asked = request.edited.as_ref().map_or(asked, |edited| edited.asked.clone());
    Ok(vec![Event::CapabilityEdited { id, by, asked, list, reason: String::new() }])
}

fn expire(
    state: &State,
    id: RequestId,
    limit: Option<chrono::Duration>,
    now: DateTime<Utc>,
) -> Result<Vec<Event>, Refusal> {
    let request = state.request(&id).ok_or_else(|| Refusal::NoRequest(id.clone()))?;
    let reason = if request.is_over(now) {
        let until = request.decision.as_ref().and_then(|decision| decision.until).map(isoformat).unwrap_or_default();
        format!("it was granted until {until}")
    } else if let Some(limit) = limit.filter(|limit| request.is_undecided() && request.at + *limit <= now) {
        format!("nobody decided within {}", quantity::words(limit))
    } else {
        return Ok(Vec::new());
    };
    Ok(vec![Event::CapabilityExpired { id, reason }])
}

fn end(state: &State, id: &NodeId, attempt: u32, seen: Seen, now: DateTime<Utc>) -> Result<Vec<Event>, Refusal> {
    let (definition, node) = find(state, id)?;
    let Some(live) = node.live().filter(|live| live.number == attempt) else {
        let known = node.attempts.iter().any(|a| a.number == attempt && a.end.is_some());
        return if known { Ok(Vec::new()) } else { Err(Refusal::NotLive { node: id.clone(), attempt }) };
    };
    let asker = (id.clone(), attempt);
    let asked = state.requests.iter().filter(|request| request.askers.contains(&asker));
    let asked: Vec<RequestId> = asked.map(|request| request.id.clone()).collect();
    let short = seen.spent.as_ref().and_then(|spent| short_of(state, spent, &asker));
    let (outcome, code, detail) = match &seen.how {
        _ if state.status == RunStatus::Cancelled => (Outcome::Cancelled, None, "the run was cancelled".to_owned()),
        How::Cancelled => (Outcome::Cancelled, None, "cancelled".to_owned()),
        How::Revoked => {
            let taken = state.taken_from(live).map_or("a folder", |mount| mount.folder.path.as_str());
            (Outcome::Revoked, None, format!("it had {taken}, which was taken back"))
        }
        How::Offboarded => {
            let agent = definition.agent().map_or("", |agent| agent.as_str());
            (Outcome::Offboarded, None, format!("agent `{agent}` was offboarded"))
        }
        How::Gone => (Outcome::Lost, None, "the container is gone".to_owned()),
        How::NotStarted { reason } => (Outcome::NotStarted, None, reason.clone()),
        How::OverDisk { limit } => {
            (Outcome::OverDisk, None, format!("its workspace holds more than {limit} bytes, or more files than may be"))
        }
        How::Exited { code, oom: true, .. } => (Outcome::Oom, Some(*code), "its memory limit was reached".to_owned()),
        // By what the gate said, and not by the exit code: a program knows nothing of budgets.
        How::Exited { code, .. } if short.is_some() && !(*code == 0 && seen.missing.is_empty()) => {
            let what = short.map_or_else(String::new, |(_, what)| format!("; {what} is asked for"));
            (Outcome::Suspended, Some(*code), format!("a budget is spent{what}"))
        }
        How::Exited { code, timed_out, .. } if *timed_out || *code == EXIT_TIMEOUT => {
            (Outcome::Timeout, Some(*code), "its wall clock limit was reached".to_owned())
        }
        How::Exited { code: 0, .. } if !seen.missing.is_empty() => {
            (Outcome::OutputsMissing, Some(0), seen.missing.join("; "))
        }
        How::Exited { code: 0, .. } => (Outcome::Succeeded, Some(0), String::new()),
        How::Exited { code, .. } if *code == EXIT_SUSPENDED && !asked.is_empty() => {
            (Outcome::Suspended, Some(*code), String::new())
        }
        How::Exited { code, .. } if *code == EXIT_SUSPENDED => {
            (Outcome::Failed, Some(*code), "exit 75 says that it waits, but this attempt asked for nothing".to_owned())
        }
        How::Exited { code, .. } if seen.said.is_empty() => (Outcome::Failed, Some(*code), format!("exit code {code}")),
        How::Exited { code, .. } => (Outcome::Failed, Some(*code), format!("exit code {code}: {}", seen.said)),
    };
    let ended = AttemptEnd { outcome, exit_code: code, detail: detail.clone(), traffic: seen.traffic };
    let mut events = vec![];
    if live.container_id.is_none() && matches!(seen.how, How::Exited { .. } | How::OverDisk { .. }) {
        // Found exited before its start was journaled: it did run.
        events.push(Event::NodeStarted { node: id.clone(), attempt, container_id: String::new() });
    }
    events.push(Event::AttemptEnded { node: id.clone(), attempt, end: ended });
    let next = match outcome {
        Outcome::Succeeded => {
            events.extend(deployment::declared(state, definition, attempt));
            Some(Event::NodeCompleted { node: id.clone(), artifacts: seen.artifacts, decision: None })
        }
        Outcome::Suspended => {
            let before = node.counted().filter(|end| end.outcome == Outcome::Suspended).count();
            if before as u64 + 1 > u64::from(state.created.limits.suspensions) {
                let limit = state.created.limits.suspensions;
                let detail = format!("it was suspended more than {limit} times");
                Some(Event::NodeFailed { node: id.clone(), code: FailureCode::Suspended, detail, decision: None })
            } else {
                let on = short.map_or(asked, |(request, _)| vec![request.clone()]);
                Some(Event::NodeWaiting { node: id.clone(), on: WaitingOn::Requests(on) })
            }
        }
        Outcome::Cancelled => Some(Event::NodeFailed {
            node: id.clone(),
            code: FailureCode::Cancelled,
            detail: detail.clone(),
            decision: None,
        }),
        Outcome::Offboarded => Some(Event::NodeFailed {
            node: id.clone(),
            code: FailureCode::Offboarded,
            detail: detail.clone(),
            decision: None,
        }),
        // A person did it, so that it is no failure and counts towards no bound.
        Outcome::Revoked => Some(Event::NodeReady { node: id.clone(), why: ReadyReason::Revoked, not_before: None }),
        Outcome::Lost if may_try_again(state, node) => {
            Some(Event::NodeReady { node: id.clone(), why: ReadyReason::Lost, not_before: None })
        }
        _ => Some(match retry_at(definition, node, code, now) {
            Some(at) if may_try_again(state, node) => {
                Event::NodeReady { node: id.clone(), why: ReadyReason::Retry, not_before: Some(at) }
            }
            _ => Event::NodeFailed { node: id.clone(), code: failure_code(outcome), detail, decision: None },
        }),
    };
    events.extend(next);
    Ok(events)
}

/// The request for what the attempt `asker` could not go on without, unless the answer is no.
fn short_of<'a>(
    state: &'a State,
    spent: &Capability,
    asker: &(NodeId, u32),
) -> Option<(&'a RequestId, &'a Capability)> {
    let of_it = |request: &&super::state::Request| request.capability == *spent && request.askers.contains(asker);
    let request = state.requests.iter().rfind(of_it)?;
    let hopeless = request.status.is_answered() && request.status != RequestStatus::Applied;
    (!hopeless).then_some((&request.id, &request.capability))
}

const fn failure_code(outcome: Outcome) -> FailureCode {
    match outcome {
        Outcome::Timeout => FailureCode::Timeout,
        Outcome::Oom => FailureCode::Oom,
        Outcome::OverDisk => FailureCode::OverDisk,
        Outcome::Lost => FailureCode::Lost,
        Outcome::OutputsMissing => FailureCode::OutputsMissing,
        Outcome::NotStarted => FailureCode::NotStarted,
        Outcome::Suspended => FailureCode::Suspended,
        Outcome::Cancelled | Outcome::Killed | Outcome::Revoked => FailureCode::Cancelled,
        Outcome::Offboarded => FailureCode::Offboarded,
        Outcome::Succeeded | Outcome::Failed => FailureCode::Exit,
    }
}

/// The bound on attempts counts what did not end in a suspension: waiting for a person is not a failure.
fn may_try_again(state: &State, node: &Node) -> bool {
    let spent = node.counted().filter(|end| is_a_try(end.outcome)).count();
    (spent as u64) + 1 < u64::from(state.created.limits.attempts)
}

/// Whether an attempt that ended so was one to do the work, and not cut short by a person.
const fn is_a_try(outcome: Outcome) -> bool {
    !matches!(outcome, Outcome::Suspended | Outcome::Killed | Outcome::Revoked)
}

fn retry_at(definition: &NodeDefinition, node: &Node, code: Option<i64>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let Retry { limit, backoff_ms, max_backoff_ms, on } = definition.retry.as_ref()?;
    if !on.is_empty() && !code.is_some_and(|code| on.contains(&code)) {
        return None;
    }
    let failed = node.counted().filter(|end| is_a_try(end.outcome)).count();
    let failed = u32::try_from(failed).unwrap_or(u32::MAX);
    if failed >= *limit {
        return None;
    }
    let wait = backoff_ms.saturating_mul(1_u64.checked_shl(failed.min(40)).unwrap_or(u64::MAX)).min(*max_backoff_ms);
    let wait = chrono::Duration::milliseconds(i64::try_from(wait.min(86_400_000 * 365)).unwrap_or(0));
    Some(now + wait)
}

fn control_events(state: &State, id: Option<&str>, control: &Control) -> Result<Vec<Event>, Refusal> {
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

fn killed(state: &State, reason: &str, traffic: Option<super::event::TrafficHead>) -> Vec<Event> {
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

/// The session that does a node, or else the one that drives the run.
fn session_of(state: &State, node: &NodeId) -> Result<String, Refusal> {
    let (definition, found) = find(state, node)?;
    let bound = found.bound.child_session_key.as_ref().or(found.bound.session_key.as_ref());
    let session = bound.or(definition.session_key.as_ref()).unwrap_or(&state.created.sessions.driver);
    Ok(session.clone())
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
