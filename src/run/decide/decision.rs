//! What a person's or a rule's word on a request comes down to: one that counts names what was shown.

use chrono::{DateTime, Utc};

use super::super::capability::{Capability, CapabilityKind};
use super::super::command::Verdict;
use super::super::event::{DecisionRecord, Event, FailureCode, WaitingOn};
use super::super::id::{Digest, RequestId};
use super::super::quantity;
use super::super::refusal::Refusal;
use super::super::review;
use super::super::state::{Request, RequestStatus, State};
use super::super::status::NodeStatus;
use super::super::terms::Scope;
use super::super::time::{isoformat, parse_time};
use super::{alive, base_of};

/// How far the clock of whoever decided may go ahead of ours.
const CLOCKS: chrono::Duration = chrono::Duration::minutes(5);

/// Each is judged by the state that all of them were shown in: what one adds to the set is no surprise to who says all
/// of it. Two sets of packages, each resolved without the other, are no set.
pub(super) fn decide_all(
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

pub(super) fn decision_on(
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
fn said_of_what_is_shown(request: &Request, decision: &DecisionRecord) -> Result<(), Refusal> {
    let id = request.id.clone();
    match request.review().filter(|_| request.status == RequestStatus::Pending) {
        Some(shown) if *shown == decision.digest => Ok(()),
        Some(shown) => Err(Refusal::Stale { id, given: decision.digest.clone(), now: shown.clone() }),
        None if decision.digest == Digest::of(b"") => Ok(()),
        None => Err(Refusal::NotApprovable { id, status: "not resolved yet".to_owned() }),
    }
}

/// Whether a grant may have the bounds that a decision gives it.
fn bounded(state: &State, request: &Request, decision: &DecisionRecord, now: DateTime<Utc>) -> Result<(), Refusal> {
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
pub(super) fn edit(
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

pub(super) fn expire(
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
