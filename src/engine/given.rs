//! What a run's agents are given without another image: showing it to a person, putting it into force, taking it back.
//! What the gate gives is in force once the gate says that it has read it; a folder, in the next attempt.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::capability::{self, Review};
use crate::registry::{Registry, queries};
use crate::run::capability::Capability;
use crate::run::command::Command;
use crate::run::event::Presented;
use crate::run::folder::Folder;
use crate::run::id::{Digest, NodeId, RequestId, RunId};
use crate::run::ruling::{Effect, Ruling};
use crate::run::state::{Request, RequestStatus, State};

use super::actor::{TICK, operator};
use super::error::Error;
use super::store::Store;
use super::{folders, gate, policy, rulings, tick};

/// How long a gate may take to cut what was revoked.
const PATIENCE: Duration = Duration::from_secs(15);

/// Makes the review that a person will be shown.
pub(crate) fn present(store: &Store<'_>, state: &State, request: &Request) -> Result<(), Error> {
    let ruling = rulings::on(store.registry(), state, state.role_of(&request.node), &request.capability, &[]);
    if ruling.effect == Effect::Deny {
        return forbid(store, state, request, ruling);
    }
    let folder = match folder_of(store.registry(), request) {
        Ok(folder) => folder,
        Err(Error::Unfit(unfit)) => {
            let command = Command::CannotResolve { id: request.id.clone(), reason: unfit.to_string() };
            return store.commit(TICK, command).map(drop);
        }
        Err(error) => return Err(error),
    };
    let mut presented =
        Presented { grants: state.given_with(request), folder, policy: Some(ruling), review: Digest::of(b"") };
    presented.review = review_of(state, request, &presented).digest();
    store.commit(TICK, Command::Present { id: request.id.clone(), presented }).map(drop)
}

/// Denies what a rule denies.
pub(crate) fn forbid(store: &Store<'_>, state: &State, request: &Request, ruling: Ruling) -> Result<(), Error> {
    let shown = Presented { grants: Vec::new(), folder: None, policy: Some(ruling.clone()), review: Digest::of(b"") };
    let digest = review_of(state, request, &shown).digest();
    store.commit(TICK, Command::Forbid { id: request.id.clone(), ruling, digest }).map(drop)
}

/// The folder that a request for one means now; none for other requests.
fn folder_of(registry: &Registry, request: &Request) -> Result<Option<Folder>, Error> {
    match &request.capability {
        Capability::Mount(mount) => folders::find(registry, mount).map(Some),
        _ => Ok(None),
    }
}

/// Whether what was shown of a request that waits is what would be mounted.
pub(crate) fn is_the_same_folder(registry: &Registry, request: &Request) -> Result<bool, Error> {
    let shown = request.presented.as_ref().and_then(|presented| presented.folder.as_ref());
    match folder_of(registry, request) {
        Ok(found) => Ok(found.as_ref() == shown),
        Err(Error::Unfit(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// What a person is shown of `request`: made from the journal alone, but for the digest of it.
pub(crate) fn review_of(state: &State, request: &Request, presented: &Presented) -> Review {
    let by = if request.attempt == 0 { "workflow".to_owned() } else { super::actor::agent(&request.node) };
    let asked = capability::Request {
        id: request.id.clone(),
        run: state.run.clone(),
        node: request.node.clone(),
        attempt: request.attempt,
        capability: request.capability.clone(),
    };
    let view = rulings::view(presented.policy.as_ref());
    let uid = state.created.users.map(|users| users.agent_uid);
    let folder = presented.folder.as_ref().map(|folder| (folder, uid));
    Review::of_given(asked, by, request.reason.clone(), view, presented.grants.clone(), folder)
}

/// Puts an approved request into force: journaled once the gate gives it, or at once if no agent runs.
pub(crate) fn give(store: &Store<'_>, state: &State, id: RequestId) -> Result<(), Error> {
    let of_gate = state.request(&id).is_some_and(|request| request.capability.kind().is_of_gate());
    if of_gate && state.live_attempts().next().is_some() {
        gate::publish(store, state)?;
        gate::await_in_force(store)?;
    }
    store.commit(TICK, Command::Given { id }).map(drop)
}

/// What somebody asked for.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AskedFor {
    pub id: RequestId,
    pub run: RunId,
    pub node: NodeId,
    pub capability: Capability,
    pub status: RequestStatus,
    /// Who decided.
    pub by: Option<String>,
    /// Why it could not be had, or was revoked; empty otherwise.
    pub problem: String,
}

/// What was asked for in a registry.
#[derive(Debug, Clone)]
pub struct Asked {
    pub requests: Vec<AskedFor>,
    /// Runs that could not be read, each with the reason.
    pub unreadable: Vec<(RunId, String)>,
}

/// What was asked for in `run`, or in all runs of `registry`.
///
/// # Errors
/// When the runs cannot be listed, or the one that was named cannot be read.
pub fn asked(registry: &Registry, run: Option<&RunId>) -> Result<Asked, Error> {
    let runs = match run {
        Some(run) => vec![run.clone()],
        None => queries::list_runs(registry)?,
    };
    let mut asked = Asked { requests: Vec::new(), unreadable: Vec::new() };
    for name in runs {
        let state = match Store::open(registry, &name).and_then(|store| store.load()) {
            Ok(state) => state,
            Err(error) if run.is_some() => return Err(error),
            Err(error) => {
                asked.unreadable.push((name, error.to_string()));
                continue;
            }
        };
        asked.requests.extend(state.requests.into_iter().map(|request| AskedFor {
            id: request.id,
            run: name.clone(),
            node: request.node,
            capability: request.capability,
            status: request.status,
            by: request.decision.map(|decision| decision.by),
            problem: request.problem,
        }));
    }
    Ok(asked)
}

/// What became of a revocation.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Revoked {
    pub id: RequestId,
    pub run: RunId,
    pub capability: Capability,
    pub by: String,
    /// Whether the gate has cut it; false if no agent runs, so that there was nothing to cut.
    pub cut: bool,
    /// Attempts that were ended because they had it as a folder, as `node/number`.
    pub ended: Vec<String>,
}

/// Takes back what request `text` (an id, or the start of one) was granted. When it returns, the gate has cut every
/// connection of it, and attempts that had it as a folder are over.
///
/// # Errors
/// [`Error::NothingGranted`], [`Error::Ambiguous`], [`Error::Refused`]; and when the gate cannot be told, which does not
/// undo the revocation: the next tick tells it.
pub fn revoke(registry: &Registry, text: &str, reason: &str) -> Result<Revoked, Error> {
    let (run, request) = find(registry, text)?;
    let store = Store::open(registry, &run)?;
    let by = operator();
    let (id, capability) = (request.id, request.capability);
    store.commit(&by, Command::Revoke { id: id.clone(), by: by.clone(), reason: reason.to_owned() })?;
    let state = store.load()?;
    let had = state.live_attempts().filter(|(_, attempt)| state.taken_from(attempt).is_some());
    revoke_below(registry, &state, &capability, &request.askers, reason)?;
    let ended = had.map(|(definition, attempt)| format!("{}/{}", definition.id, attempt.number)).collect();
    let cut = told(&store)?;
    Ok(Revoked { id, run, capability, by, cut, ended })
}

/// What is taken from a node is taken from its children, and theirs.
fn revoke_below(
    registry: &Registry,
    state: &State,
    capability: &Capability,
    askers: &[(NodeId, u32)],
    reason: &str,
) -> Result<(), Error> {
    for child in state.children.iter().filter(|child| askers.iter().any(|(node, _)| *node == child.node)) {
        let theirs = Store::open(registry, &child.run)?.load()?;
        let held = |request: &&Request| request.capability == *capability && request.status.is_granted();
        for request in theirs.requests.iter().filter(held).filter(|_| !theirs.status.is_terminal()) {
            revoke(registry, request.id.as_str(), reason)?;
        }
    }
    Ok(())
}

/// Ticks until the gate has in force what the journal says; whether there is a gate to tell. Another process that
/// drives the run may have read the journal before us, so that its word alone is not enough.
fn told(store: &Store<'_>) -> Result<bool, Error> {
    let begun = Instant::now();
    loop {
        tick::tick(store.registry(), store.run())?;
        let state = store.load()?;
        if state.live_attempts().next().is_none() {
            return Ok(false);
        }
        let ended = state.live_attempts().all(|(_, attempt)| state.taken_from(attempt).is_none());
        if ended && policy::is_current(store, &state) {
            gate::await_in_force(store)?;
            return Ok(true);
        }
        if begun.elapsed() > PATIENCE {
            return Err(Error::GateBehind { run: store.run().clone() });
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn find(registry: &Registry, text: &str) -> Result<(RunId, Request), Error> {
    let mut found = Vec::new();
    for run in queries::list_runs(registry)? {
        // A run that cannot be read keeps nobody from revoking what another has.
        let Ok(state) = Store::open(registry, &run).and_then(|store| store.load()) else { continue };
        let fits = state.requests.into_iter().filter(|request| request.id.as_str().starts_with(text));
        found.extend(fits.map(|request| (run.clone(), request)));
    }
    // An id says which; the start of one is taken for what can be revoked.
    if found.len() > 1 {
        found.retain(|(_, request)| request.status.is_granted());
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
