//! What waits for a person, over all runs.

use serde::Serialize;

use crate::registry::Registry;
use crate::registry::index::Ask;
use crate::registry::spread::spread;
use crate::run::id::{Digest, NodeId, RequestId, RunId};
use crate::run::review;
use crate::run::state::{RejectedDecision, Request, RequestStatus, State};

use super::error::Error;
use super::listing::{self, Listed};
use super::store::Store;

/// One thing that a person can decide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Waiting {
    pub id: RequestId,
    pub run: RunId,
    pub node: NodeId,
    /// `capability` or `approval`.
    pub kind: &'static str,
    /// What is asked for: a capability (of a deployment with its command), or the approval node's title.
    pub what: String,
    pub why: String,
    /// Who asks: an agent, or the workflow.
    pub by: String,
    /// The digest a decision has to name.
    pub digest: Option<Digest>,
    pub since: String,
    /// Decisions on it that could not count.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<RejectedDecision>,
}

/// What waits in run `state`.
#[must_use]
pub fn waiting_of(state: &State) -> Vec<Waiting> {
    let mut found = Vec::new();
    for id in state.waiting_for_a_person() {
        let rejected = state.rejected_of(&id).cloned().collect();
        if let Some(request) = state.request(&id).filter(|request| request.status == RequestStatus::Pending) {
            let by = super::actor::asker(request);
            found.push(Waiting {
                run: state.run.clone(),
                node: request.node.clone(),
                kind: "capability",
                what: what_of(request),
                why: request.reason.clone(),
                by,
                digest: request.review().cloned(),
                since: crate::run::time::isoformat(request.at),
                rejected,
                id,
            });
        } else if let Some((definition, node)) = review::approval_node(state, &id) {
            found.push(Waiting {
                run: state.run.clone(),
                node: definition.id.clone(),
                kind: "approval",
                what: definition.title.clone(),
                why: String::new(),
                by: "workflow".to_owned(),
                digest: review::approval_digest(state, &id),
                since: node.started_at.map(crate::run::time::isoformat).unwrap_or_default(),
                rejected,
                id,
            });
        }
    }
    found
}

/// What is asked for; of a deployment the command, of a schedule the times, too: there may be several.
pub(super) fn what_of(request: &Request) -> String {
    match (&request.deploy, &request.schedule) {
        (Some(deploy), _) => format!("{} ({})", request.capability, deploy.command.join(" ")),
        (None, Some(schedule)) => format!("{} ({})", request.capability, schedule.when),
        (None, None) => request.capability.to_string(),
    }
}

/// Below so many runs a second thread costs more than it saves.
const MANY: usize = 64;

/// What agents have said, and nobody has heard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Untaken {
    pub run: RunId,
    pub messages: usize,
}

/// What lies in the inbox of a run's gate. One that cannot be read has its own complaint at the next tick.
#[must_use]
pub fn untaken(registry: &Registry, run: &RunId) -> Option<Untaken> {
    let messages = crate::registry::inbox::count(&registry.layout().run(run)).unwrap_or(0);
    (messages > 0).then(|| Untaken { run: run.clone(), messages })
}

/// What waits in a registry.
#[derive(Debug, Clone)]
pub struct Inbox {
    pub waiting: Vec<Waiting>,
    /// Runs with messages of their agents that no tick has taken in yet, and how many: requests may be among them.
    pub untaken: Vec<Untaken>,
    /// Runs that could not be read, each with the reason.
    pub unreadable: Vec<(RunId, String)>,
}

/// What waits in all runs of `registry`, and the runs that could not be read, each with its reason.
///
/// # Errors
/// When the registry's runs cannot be listed.
pub fn inbox(registry: &Registry) -> Result<Inbox, Error> {
    let (mut waiting, mut unreadable, mut open) = (Vec::new(), Vec::new(), Vec::new());
    let mut heard = Vec::new();
    for Listed { run, entry } in listing::list(registry, Ask::Shown)? {
        // In a run that has ended nobody is heard any more.
        if entry.as_ref().is_ok_and(|entry| entry.active) {
            heard.extend(untaken(registry, &run));
        }
        // The index says where nothing waits; what waits, the run says itself.
        match entry {
            Ok(entry) if entry.waiting == 0 => {}
            Ok(_) => open.push(run),
            Err(error) => unreadable.push((run, error.to_string())),
        }
    }
    let look = |run: &RunId| Ok::<_, Error>(waiting_of(&Store::open(registry, run)?.load()?));
    for (run, found) in open.iter().zip(spread(&open, MANY, look)) {
        match found {
            Ok(found) => waiting.extend(found),
            Err(error) => unreadable.push((run.clone(), error.to_string())),
        }
    }
    Ok(Inbox { waiting, untaken: heard, unreadable })
}
