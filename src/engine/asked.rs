//! What was asked for, over all runs: how it stands, why, and how it came to that.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::registry::{Registry, queries};
use crate::run::capability::{Capability, CapabilityKind};
use crate::run::event::Event;
use crate::run::id::{Digest, NodeId, RequestId, RunId};
use crate::run::state::{Request, RequestStatus};
use crate::run::terms::Scope;
use crate::run::time::{isoformat, parse_time};

use super::error::Error;
use super::inbox;
use super::store::Store;

/// What somebody asked for.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AskedFor {
    pub id: RequestId,
    pub run: RunId,
    pub node: NodeId,
    /// Every node that asked, the first included.
    pub askers: Vec<NodeId>,
    pub capability: Capability,
    /// The capability in words: of a deployment with its command, since there may be several on one port.
    pub what: String,
    pub status: RequestStatus,
    /// Why, in the agent's words.
    pub reason: String,
    pub at: String,
    /// Who decided.
    pub by: Option<String>,
    /// When, as they said.
    pub decided_at: Option<String>,
    /// What they said.
    pub comment: Option<String>,
    /// When the grant ends, if not with the run.
    pub until: Option<DateTime<Utc>>,
    /// For whom it was granted.
    pub scope: Option<Scope>,
    /// What a person said may be asked for instead.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub instead: Vec<Capability>,
    /// What a person made of it.
    pub list: Option<Vec<Capability>>,
    /// The digest of what is, or was, shown.
    pub review: Option<String>,
    /// Why it could not be had, was revoked, or has expired; empty otherwise.
    pub problem: String,
}

impl AskedFor {
    pub(super) fn of(run: &RunId, request: Request) -> Self {
        let mut askers: Vec<NodeId> = Vec::new();
        for (node, _) in &request.askers {
            if !askers.contains(node) {
                askers.push(node.clone());
            }
        }
        let decision = request.decision.as_ref();
        Self {
            run: run.clone(),
            askers,
            at: isoformat(request.at),
            by: decision.map(|decision| decision.by.clone()),
            decided_at: decision.map(|decision| decision.at.clone()),
            comment: decision.map(|decision| decision.comment.clone()),
            until: decision.and_then(|decision| decision.until),
            scope: decision.map(|decision| decision.scope.clone()),
            review: request.review().map(ToString::to_string),
            what: inbox::what_of(&request),
            instead: decision.map(|decision| decision.instead.clone()).unwrap_or_default(),
            list: request.edited.as_ref().map(|edited| edited.list.clone()),
            id: request.id,
            node: request.node,
            capability: request.capability,
            status: request.status,
            reason: request.reason,
            problem: request.problem,
        }
    }
}

/// Which requests are wanted; everything that is not said fits.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    pub run: Option<RunId>,
    pub node: Option<NodeId>,
    pub kinds: Vec<CapabilityKind>,
    pub states: Vec<RequestStatus>,
    /// Asked for at this time or later.
    pub since: Option<DateTime<Utc>>,
}

impl Wanted {
    fn fits(&self, request: &Request) -> bool {
        let node = |node: &NodeId| request.askers.iter().any(|(asker, _)| asker == node);
        self.node.as_ref().is_none_or(node)
            && (self.kinds.is_empty() || self.kinds.contains(&request.capability.kind()))
            && (self.states.is_empty() || self.states.contains(&request.status))
            && self.since.is_none_or(|since| request.at >= since)
    }
}

/// What was asked for in a registry.
#[derive(Debug, Clone)]
pub struct Asked {
    pub requests: Vec<AskedFor>,
    /// Runs that could not be read, each with the reason.
    pub unreadable: Vec<(RunId, String)>,
}

/// What was asked for and is wanted.
///
/// # Errors
/// When the runs cannot be listed, or the one that was named cannot be read.
pub fn asked(registry: &Registry, wanted: &Wanted) -> Result<Asked, Error> {
    let runs = match &wanted.run {
        Some(run) => vec![run.clone()],
        None => queries::list_runs(registry)?,
    };
    let mut asked = Asked { requests: Vec::new(), unreadable: Vec::new() };
    for name in runs {
        let state = match Store::open(registry, &name).and_then(|store| store.load()) {
            Ok(state) => state,
            Err(error) if wanted.run.is_some() => return Err(error),
            Err(error) => {
                asked.unreadable.push((name, error.to_string()));
                continue;
            }
        };
        let fitting = state.requests.into_iter().filter(|request| wanted.fits(request));
        asked.requests.extend(fitting.map(|request| AskedFor::of(&name, request)));
    }
    Ok(asked)
}

/// The request that `text` names: its id, or the start of one. Where several begin so, the one that is granted.
///
/// # Errors
/// [`Error::NothingGranted`], [`Error::Ambiguous`].
pub fn find_request(registry: &Registry, text: &str) -> Result<(RunId, Request), Error> {
    let mut found = Vec::new();
    for run in queries::list_runs(registry)? {
        // A run that cannot be read keeps nobody from what another has.
        let Ok(state) = Store::open(registry, &run).and_then(|store| store.load()) else { continue };
        let fits = state.requests.into_iter().filter(|request| request.id.as_str().starts_with(text));
        found.extend(fits.map(|request| (run.clone(), request)));
    }
    if found.len() > 1 {
        let all: Vec<String> = found.iter().map(|(_, request)| request.id.to_string()).collect();
        found.retain(|(_, request)| request.status.is_granted());
        if found.is_empty() {
            return Err(Error::Ambiguous { text: text.to_owned(), found: all });
        }
    }
    match found.len() {
        0 => Err(Error::NothingGranted(text.to_owned())),
        1 => Ok(found.remove(0)),
        _ => {
            let found = found.iter().map(|(_, request)| request.id.to_string()).collect();
            Err(Error::Ambiguous { text: text.to_owned(), found })
        }
    }
}

/// [`find_request`], for who wants to see it however it stands.
///
/// # Errors
/// [`Error::NoRequest`], [`Error::Ambiguous`].
pub fn any_request(registry: &Registry, text: &str) -> Result<(RunId, Request), Error> {
    find_request(registry, text).map_err(|error| match error {
        Error::NothingGranted(text) => Error::NoRequest(text),
        other => other,
    })
}

/// One thing that happened to a request.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    pub at: String,
    pub run: RunId,
    pub request: RequestId,
    pub capability: Capability,
    /// The event's name in the journal, and its place there.
    pub event: String,
    pub seq: u64,
    /// Who did it, as the journal has it.
    pub actor: String,
    pub what: String,
    /// Who did it: of a decision whoever made it.
    pub by: String,
    /// What was said with it, or why it came to that.
    pub comment: String,
    /// What a person made of it, of an edit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list: Option<Vec<Capability>>,
    /// What may be asked for instead, of such an answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub instead: Vec<Capability>,
    /// The digest of what was decided on, or is shown from here on.
    pub digest: Option<String>,
}

/// All that happened to the requests of a run that are wanted, in the order of the journal.
///
/// # Errors
/// When a run cannot be read.
pub fn request_history(registry: &Registry, run: &RunId, ids: &[RequestId]) -> Result<Vec<Step>, Error> {
    let store = Store::open(registry, run)?;
    let state = store.load()?;
    let mut steps = Vec::new();
    for record in store.records()? {
        let Ok(event) = Event::from_record(&record) else { continue };
        let Some(id) = event.request() else { continue };
        let Some(request) = state.request(id).filter(|request| ids.contains(&request.id)) else { continue };
        let decision = event.decision();
        steps.push(Step {
            at: parse_time(&record.timestamp).map(isoformat).unwrap_or_default(),
            run: run.clone(),
            request: id.clone(),
            capability: request.capability.clone(),
            seq: record.seq,
            actor: record.actor.clone(),
            what: event.message(),
            by: decision.filter(|decision| decision.proven).map_or(&record.actor, |decision| &decision.by).clone(),
            comment: words(&event),
            list: if let Event::CapabilityEdited { list, .. } = &event { Some(list.clone()) } else { None },
            instead: decision.map(|decision| decision.instead.clone()).unwrap_or_default(),
            digest: digest(&event).map(ToString::to_string),
            event: record.event.clone(),
        });
    }
    Ok(steps)
}

/// What was said with an event, or why it came to that.
fn words(event: &Event) -> String {
    match event {
        Event::CapabilityRequested { reason, .. }
        | Event::CapabilityUnresolvable { reason, .. }
        | Event::CapabilityFailed { reason, .. }
        | Event::CapabilityRevoked { reason, .. }
        | Event::CapabilityEdited { reason, .. }
        | Event::CapabilityExpired { reason, .. } => reason.clone(),
        Event::InputRejected { input, reason, .. } => format!("{reason} (decisions/{input})"),
        other => other.decision().map(|decision| decision.comment.clone()).unwrap_or_default(),
    }
}

fn digest(event: &Event) -> Option<&Digest> {
    match event {
        Event::CapabilityPresented { presented, .. } => Some(&presented.review),
        Event::CapabilityResolved { resolution, .. } => Some(&resolution.review),
        other => other.decision().map(|decision| &decision.digest),
    }
}
