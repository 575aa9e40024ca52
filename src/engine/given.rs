//! What a run's agents are given without another image: showing it to a person, putting it into force, taking it back.
//! What the gate gives is in force once the gate says that it has read it; a folder, in the next attempt.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::capability::policy::Policies;
use crate::capability::{self, Review};
use crate::registry::{Registry, queries};
use crate::run::capability::{Capability, CapabilityKind};
use crate::run::command::Command;
use crate::run::decide::decide;
use crate::run::deployment::Proposed;
use crate::run::event::Presented;
use crate::run::folder::Folder;
use crate::run::id::{Digest, NodeId, RequestId, RunId};
use crate::run::ruling::{Effect, Ruling};
use crate::run::state::{Request, RequestStatus, State};
use crate::run::timetable::Scheduled;

use super::actor::{TICK, operator};
use super::children;
use super::error::Error;
use super::store::Store;
use super::{asked, deployments, folders, gate, policy, rulings, schedules, standing, tick};

/// How long a gate may take to cut what was revoked.
const PATIENCE: Duration = Duration::from_secs(15);

/// Makes the reviews that a person will be shown, all in one batch of the journal: what is granted stands in each, so that
/// one more grant shows every other request anew.
pub(crate) fn present_all(store: &Store<'_>, ids: &[RequestId]) -> Result<(), Error> {
    let registry = store.registry();
    let now = store.load()?;
    let policies = rulings::of_run(registry, &now);
    // Files are copied and the Engine is asked before the run's lock is taken.
    let mut proposals = Proposals::new();
    for request in ids.iter().filter_map(|id| now.request(id)).filter(|request| request.is_undecided()) {
        let denied = || {
            let role = now.role_of(&request.node);
            rulings::on_with(&policies, &now, role, request.meant(), &[]).effect == Effect::Deny
        };
        if request.capability.kind() == CapabilityKind::Port && !denied() {
            let effect = |other: &Request| {
                rulings::on_with(&policies, &now, now.role_of(&other.node), other.meant(), &[]).effect
            };
            let waits = |other: &Request| match proposals.get(&other.id) {
                Some(proposed) => proposed.is_ok() && effect(other) != Effect::Allow,
                None => {
                    let allowed = other.ruling().is_some_and(|ruling| ruling.effect == Effect::Allow);
                    other.status == RequestStatus::Pending && !allowed
                }
            };
            let proposed = deployments::propose(store, &now, request, waits)?;
            proposals.insert(request.id.clone(), proposed);
        }
    }
    let committed = store.commit_with(TICK, |state, now| {
        let mut state = state.clone();
        let mut all = Vec::new();
        for id in ids {
            let Some(request) = state.request(id).filter(|request| request.is_undecided()) else { continue };
            let command = presenting(registry, &policies, &proposals, &state, request)?;
            // What does not apply any more is for the next look.
            let Ok(events) = decide(&state, command, now) else { continue };
            for event in events {
                state.apply(&event, now).map_err(|source| Error::Fold { run: store.run().clone(), source })?;
                all.push(event);
            }
        }
        Ok(all)
    });
    committed.map(drop)
}

/// Makes the review of one request anew.
pub(crate) fn present(store: &Store<'_>, request: &Request) -> Result<(), Error> {
    present_all(store, std::slice::from_ref(&request.id))
}

/// What would be said of `request`, which stands so in `state` and in no journal.
pub(super) fn trying(store: &Store<'_>, state: &State, request: &Request) -> Result<Command, Error> {
    let registry = store.registry();
    presenting(registry, &rulings::of_run(registry, state), &Proposals::new(), state, request)
}

/// What deployments come down to, or why they cannot be had.
type Proposals = BTreeMap<RequestId, Result<Proposed, String>>;

/// What is to be said of `request`: what a person will be shown, or that a rule denies it, or why it cannot be had.
fn presenting(
    registry: &Registry,
    policies: &Policies,
    proposals: &Proposals,
    state: &State,
    request: &Request,
) -> Result<Command, Error> {
    if let Some(ruling) = children::beyond(registry, state, request)? {
        return Ok(forbidding(state, request, ruling));
    }
    let role = state.role_of(&request.node);
    let ruling = rulings::on_with(policies, state, role, request.meant(), &[]);
    if ruling.effect == Effect::Deny {
        return Ok(forbidding(state, request, ruling));
    }
    let deployment = match proposals.get(&request.id) {
        Some(Ok(proposed)) => Some(proposed.clone()),
        Some(Err(reason)) => {
            return Ok(Command::CannotResolve { id: request.id.clone(), reason: reason.clone() });
        }
        // Nothing is shown of a deployment without its files: the next look has them.
        None if request.capability.kind() == CapabilityKind::Port => return Ok(Command::Settle),
        None => None,
    };
    let schedule = match schedule_of(registry, state, request)? {
        Ok(schedule) => schedule,
        Err(reason) => return Ok(Command::CannotResolve { id: request.id.clone(), reason }),
    };
    let folder = match folder_of(registry, request) {
        Ok(folder) => folder,
        Err(Error::Unfit(unfit)) => {
            return Ok(Command::CannotResolve { id: request.id.clone(), reason: unfit.to_string() });
        }
        Err(error) => return Err(error),
    };
    let ruling = rulings::of_a_list(request, ruling);
    let mut presented = Presented {
        grants: state.given_with(request),
        folder,
        deployment,
        schedule,
        policy: Some(ruling.clone()),
        review: Digest::of(b""),
    };
    let review = review_of(state, request, &presented);
    if let Some(standing) = standing::ruling(registry, state, request, &ruling, &review)? {
        presented.policy = Some(standing);
    }
    presented.review = review_of(state, request, &presented).digest();
    Ok(Command::Present { id: request.id.clone(), presented })
}

/// Denies what a rule denies.
pub(crate) fn forbid(store: &Store<'_>, state: &State, request: &Request, ruling: Ruling) -> Result<(), Error> {
    store.commit(TICK, forbidding(state, request, ruling)).map(drop)
}

pub(super) fn forbidding(state: &State, request: &Request, ruling: Ruling) -> Command {
    // A person's list that no rule lets through is no answer to the agent: what it asked for is looked at again.
    if let Some(edited) = request.edited.as_ref().filter(|edited| edited.list != edited.asked) {
        let list: Vec<String> = edited.list.iter().map(ToString::to_string).collect();
        let reason = format!("as {} it is not granted: {ruling}", list.join(", "));
        return Command::CannotResolve { id: request.id.clone(), reason };
    }
    let policy = Some(ruling.clone());
    let shown = Presented {
        grants: Vec::new(),
        folder: None,
        deployment: None,
        schedule: None,
        policy,
        review: Digest::of(b""),
    };
    let digest = review_of(state, request, &shown).digest();
    Command::Forbid { id: request.id.clone(), ruling, digest }
}

/// What a request for a schedule comes down to now, or why it cannot be had; none for other requests.
fn schedule_of(
    registry: &Registry,
    state: &State,
    request: &Request,
) -> Result<Result<Option<Scheduled>, String>, Error> {
    match request.capability {
        Capability::Schedule(_) => Ok(schedules::propose(registry, state, request)?.map(Some)),
        _ => Ok(Ok(None)),
    }
}

/// The folder that a request for one means now; none for other requests.
fn folder_of(registry: &Registry, request: &Request) -> Result<Option<Folder>, Error> {
    match request.meant() {
        Capability::Mount(mount) => folders::find(registry, mount).map(Some),
        _ => Ok(None),
    }
}

/// Whether what was shown of a request that waits is what would be mounted, deployed or done at times.
pub(crate) fn is_still_there(store: &Store<'_>, state: &State, request: &Request) -> Result<bool, Error> {
    if request.capability.kind() == CapabilityKind::Port {
        return deployments::is_the_same(store, state, request);
    }
    let registry = store.registry();
    if request.capability.kind() == CapabilityKind::Schedule {
        return schedules::is_the_same(registry, state, request);
    }
    let shown = request.presented.as_ref().and_then(|presented| presented.folder.as_ref());
    match folder_of(registry, request) {
        Ok(found) => Ok(found.as_ref() == shown),
        Err(Error::Unfit(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// What a person is shown of `request`: made from the journal alone, but for the digest of it.
pub(crate) fn review_of(state: &State, request: &Request, presented: &Presented) -> Review {
    let by = super::actor::asker(request);
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
    let edited = request.edited.as_ref().map(shown_list);
    let review = Review::of_given(asked, by, request.reason.clone(), view, presented.grants.clone(), folder, edited);
    match (&presented.deployment, &presented.schedule) {
        (Some(deployment), _) => review.deploying(deployment.clone()),
        (None, Some(schedule)) => review.scheduling(schedule.clone()),
        (None, None) => review,
    }
}

/// A list that a person made, as it is shown.
pub(crate) fn shown_list(edited: &crate::run::state::Edited) -> capability::Edited {
    capability::Edited { by: edited.by.clone(), asked: edited.asked.clone(), list: edited.list.clone() }
}

/// Puts an approved request into force: journaled once the gate gives it, or at once if no agent runs.
pub(crate) fn give(store: &Store<'_>, state: &State, id: RequestId) -> Result<(), Error> {
    if state.request(&id).is_some_and(|request| request.capability.kind() == CapabilityKind::Port) {
        return deployments::place(store, id);
    }
    if state.request(&id).is_some_and(|request| request.capability.kind() == CapabilityKind::Schedule) {
        return schedules::begin(store, state, id);
    }
    let of_gate = state.request(&id).is_some_and(|request| request.capability.kind().is_of_gate());
    if of_gate && state.live_attempts().next().is_some() {
        gate::publish(store, state)?;
        gate::await_in_force(store)?;
    }
    store.commit(TICK, Command::Given { id }).map(drop)
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
    /// Where it was offered on the host, if it was a deployment.
    pub published: Option<String>,
    /// Attempts that were ended because they had it as a folder, as `node/number`.
    pub ended: Vec<String>,
    /// Whether a grant beyond its run was ended with it.
    pub standing: bool,
    /// Requests of other runs that had it by that grant, and have it no more.
    pub with_it: Vec<Withdrawn>,
    /// Deployments whose image has it, and which go on with it.
    pub deployed: Vec<StillDeployed>,
}

/// A deployment that keeps what was taken back: its image is pinned.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StillDeployed {
    pub id: RequestId,
    pub run: RunId,
    pub address: String,
}

/// A request that lost what a standing grant gave it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Withdrawn {
    pub id: RequestId,
    pub run: RunId,
    /// Why it could not be taken back; empty if it was.
    pub problem: String,
}

/// Takes back what request `text` (an id, or the start of one) was granted. When it returns, the gate has cut every
/// connection of it, and attempts that had it as a folder are over. If it was granted beyond its run, it stands no more,
/// and runs that had it by that lose it, too.
///
/// # Errors
/// [`Error::NothingGranted`], [`Error::Ambiguous`], [`Error::Refused`]; and when the gate cannot be told, which does not
/// undo the revocation: the next tick tells it.
pub fn revoke(registry: &Registry, text: &str, reason: &str) -> Result<Revoked, Error> {
    let standing = standing::called(registry, text)?;
    let (run, request) = match (standing.as_slice(), asked::find_request(registry, text)) {
        // The run that it was asked in may have been cleared up.
        ([id], Err(Error::NothingGranted(_))) => return revoke_standing_alone(registry, id, reason),
        (_, found) => found?,
    };
    let by = operator();
    let (id, capability) = (request.id, request.capability);
    if !standing.contains(&id) {
        let Taken { cut, published, ended } = take_back(registry, &run, &id, &by, reason)?;
        let with_it = Vec::new();
        let deployed = still_deployed(registry, &run, &id, &with_it);
        return Ok(Revoked { id, run, capability, by, cut, published, ended, standing: false, with_it, deployed });
    }
    // First that nobody gets it any more.
    standing::revoke(registry, &id, reason)?;
    let with_it = withdraw(registry, &id, &by, reason)?;
    let Taken { cut, published, ended } = match take_back(registry, &run, &id, &by, reason) {
        // Its own run is over, or had it in an image: the grant is ended all the same.
        Err(Error::Refused { .. }) => Taken::default(),
        other => other?,
    };
    let deployed = still_deployed(registry, &run, &id, &with_it);
    Ok(Revoked { id, run, capability, by, cut, published, ended, standing: true, with_it, deployed })
}

/// The deployments that go on with what was taken back in `run` and in the runs `with_it`. It is taken back whether or not
/// these can be read.
fn still_deployed(registry: &Registry, run: &RunId, id: &RequestId, with_it: &[Withdrawn]) -> Vec<StillDeployed> {
    let others = with_it.iter().map(|other| (&other.run, &other.id));
    let rows = std::iter::once((run, id)).chain(others).flat_map(|(run, id)| {
        Store::open(registry, run).and_then(|store| deployments::outliving(&store, id)).unwrap_or_default()
    });
    rows.map(|row| StillDeployed { id: row.id, run: row.run, address: row.address }).collect()
}

fn revoke_standing_alone(registry: &Registry, id: &RequestId, reason: &str) -> Result<Revoked, Error> {
    let grants = standing::standing_grants(registry)?;
    let grant = grants.into_iter().find(|grant| grant.id == *id);
    let grant = grant.ok_or_else(|| Error::NothingGranted(id.to_string()))?;
    let capability = Capability::parse(&grant.capability).map_err(|error| Error::Usage(error.to_string()))?;
    let by = operator();
    standing::revoke(registry, id, reason)?;
    let with_it = withdraw(registry, id, &by, reason)?;
    let (id, ended) = (id.clone(), Vec::new());
    let deployed = still_deployed(registry, &grant.run, &id, &with_it);
    Ok(Revoked {
        id,
        run: grant.run,
        capability,
        by,
        cut: false,
        published: None,
        ended,
        standing: true,
        with_it,
        deployed,
    })
}

/// Takes a standing grant from the runs that have it.
fn withdraw(registry: &Registry, grant: &RequestId, by: &str, reason: &str) -> Result<Vec<Withdrawn>, Error> {
    let mut with_it = Vec::new();
    for run in queries::list_runs(registry)? {
        let Ok(state) = Store::open(registry, &run).and_then(|store| store.load()) else { continue };
        let over = state.status.is_terminal();
        let by_it = |request: &&Request| {
            let decided_by = request.decision.as_ref().and_then(|decision| decision.standing());
            request.status.is_granted() && decided_by == Some(grant.as_str())
        };
        // A deployment goes on when its run is over.
        let goes_on = |request: &&Request| !over || request.capability.kind() == CapabilityKind::Port;
        for request in state.requests.iter().filter(by_it).filter(goes_on) {
            let problem = take_back(registry, &run, &request.id, by, reason).err().map(|error| error.to_string());
            with_it.push(Withdrawn { id: request.id.clone(), run: run.clone(), problem: problem.unwrap_or_default() });
        }
    }
    Ok(with_it)
}

/// What became of one request of one run that was taken back.
#[derive(Default)]
struct Taken {
    /// Whether a gate has cut it.
    cut: bool,
    published: Option<String>,
    ended: Vec<String>,
}

/// Takes back one request of one run.
fn take_back(registry: &Registry, run: &RunId, id: &RequestId, by: &str, reason: &str) -> Result<Taken, Error> {
    let store = Store::open(registry, run)?;
    store.commit(by, Command::Revoke { id: id.clone(), by: by.to_owned(), reason: reason.to_owned() })?;
    let state = store.load()?;
    schedules::end(registry, &state, id)?;
    let had = state.live_attempts().filter(|(_, attempt)| state.taken_from(attempt).is_some());
    if let Some(request) = state.request(id) {
        take_back_below(registry, &state, request, by, reason)?;
    }
    let ended = had.map(|(definition, attempt)| format!("{}/{}", definition.id, attempt.number)).collect();
    let deployed = state.deployment(id);
    let published = deployed.map(|deployment| format!("127.0.0.1:{}", deployment.port));
    let ran = deployed.is_some_and(|deployment| deployment.live.is_some());
    let cut = told(&store)? || ran;
    Ok(Taken { cut, published, ended })
}

/// What is taken from a node is taken from its children, and theirs.
fn take_back_below(registry: &Registry, state: &State, taken: &Request, by: &str, reason: &str) -> Result<(), Error> {
    let of_asker = |node: &NodeId| taken.askers.iter().any(|(asker, _)| asker == node);
    for child in state.children.iter().filter(|child| of_asker(&child.node)) {
        let theirs = Store::open(registry, &child.run)?.load()?;
        let held = |request: &&Request| request.meant() == taken.meant() && request.status.is_granted();
        for request in theirs.requests.iter().filter(held).filter(|_| !theirs.status.is_terminal()) {
            take_back(registry, &child.run, &request.id, by, reason)?;
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
        let down = state.deployments.iter().all(|one| one.live.is_none() || state.is_wanted(one));
        if down && state.live_attempts().next().is_none() {
            return Ok(false);
        }
        let ended = state.live_attempts().all(|(_, attempt)| state.taken_from(attempt).is_none());
        if ended && down && policy::is_current(store, &state) {
            gate::await_in_force(store)?;
            return Ok(true);
        }
        if begun.elapsed() > PATIENCE {
            return Err(Error::GateBehind { run: store.run().clone() });
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
