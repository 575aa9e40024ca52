//! Standing grants: what a person granted to a workflow, and not only to the run that asked. `grants/<request>.json`
//! holds what they were shown; the decision of that request, signed where approvers are configured, names its digest and
//! the scope, and is all that is believed. A later run gets nothing by it that was not shown then.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::capability::{Decision, Review, Verdict};
use crate::image::{Lock, Recipe};
use crate::registry::{self, Registry, decisions as files, grants};
use crate::run::event::DecisionRecord;
use crate::run::id::{Digest, RequestId, RunId};
use crate::run::refusal::Refusal;
use crate::run::ruling::{Effect, Ruling, STANDING};
use crate::run::state::{Request, RequestStatus, State};
use crate::run::terms::Scope;
use crate::signature::AllowedSigners;

use super::actor::operator;
use super::approvers;
use super::error::Error;
use super::inbox::Waiting;
use super::store::Store;
use super::{given, images};

/// A grant that stands, as it lies in `grants/`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct GrantFile {
    /// 1.
    format: u32,
    request: RequestId,
    /// What was shown: its digest is the one that the decision names.
    review: Review,
}

/// That a grant stands no more.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RevokedFile {
    format: u32,
    request: RequestId,
    by: String,
    at: String,
    reason: String,
}

/// A standing grant, for a person.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StandingGrant {
    pub id: RequestId,
    /// The run whose request it was granted upon.
    pub run: RunId,
    pub capability: String,
    pub scope: Scope,
    pub until: Option<DateTime<Utc>>,
    pub by: String,
    pub comment: String,
    /// Why it stands for nothing; empty if it stands.
    pub problem: String,
}

/// One that was found, with what proves it.
struct Found {
    review: Review,
    decision: Decision,
    file: Digest,
}

/// Puts what was granted beyond its run where later runs look for it. Nothing for other decisions.
pub(crate) fn keep(registry: &Registry, state: &State, id: &RequestId, decision: &Decision) -> Result<(), Error> {
    if decision.scope.is_run() || decision.verdict != Verdict::Approve {
        return Ok(());
    }
    let Some(review) = state.request(id).map(|request| review_of(state, request)).transpose()?.flatten() else {
        return Ok(());
    };
    if review.digest() != decision.digest {
        return Ok(());
    }
    let file = GrantFile { format: 1, request: id.clone(), review };
    let mut bytes = serde_json::to_vec_pretty(&file).map_err(Error::Json)?;
    bytes.push(b'\n');
    grants::write(&path(registry, id), &bytes).map_err(Error::from)
}

/// [`keep`] for all that a run was granted: what a crash left undone, and what was decided on another machine.
pub(crate) fn keep_all(store: &Store<'_>, state: &State) -> Result<(), Error> {
    let registry = store.registry();
    let wide = |request: &&Request| {
        request.status.is_granted() && request.decision.as_ref().is_some_and(|decision| !decision.scope.is_run())
    };
    for request in state.requests.iter().filter(wide) {
        if path(registry, &request.id).symlink_metadata().is_ok() {
            continue;
        }
        let Some(bytes) = files::read(&registry.layout().decision(&request.id))? else { continue };
        if let Ok(decision) = Decision::parse(&bytes) {
            keep(registry, state, &request.id, &decision)?;
        }
    }
    Ok(())
}

/// What a standing grant makes of a request that the rules leave to a person; none if none covers it. `review` is what
/// they would be shown.
pub(crate) fn ruling(
    registry: &Registry,
    state: &State,
    request: &Request,
    rules: &Ruling,
    review: &Review,
) -> Result<Option<Ruling>, Error> {
    if rules.effect != Effect::Ask || was_taken_back(state, request) {
        return Ok(None);
    }
    let allowed = approvers::of_run(registry, state)?;
    for found in all(registry, allowed.as_ref()).into_iter().filter_map(Result::ok) {
        if is_for(&found.decision, state, request).is_err() || found.review.covers(review).is_err() {
            continue;
        }
        if journal_has_it_taken_back(registry, &found.decision) {
            continue;
        }
        let Decision { by, run, scope, until, request, .. } = &found.decision;
        return Ok(Some(Ruling {
            effect: Effect::Allow,
            rule: Some(format!("{STANDING}{request}")),
            because: format!("{by} granted it in run {run} to {scope}"),
            policies: found.file,
            until: *until,
        }));
    }
    Ok(None)
}

/// The lock that was shown with a standing grant for `request`, if it makes the very image that was shown: resolved anew,
/// an index that has moved on would give another.
pub(crate) fn lock_for(
    registry: &Registry,
    state: &State,
    request: &Request,
    make: impl Fn(Lock) -> Recipe,
    before: &Lock,
) -> Result<Option<Lock>, Error> {
    if was_taken_back(state, request) {
        return Ok(None);
    }
    let allowed = approvers::of_run(registry, state)?;
    for found in all(registry, allowed.as_ref()).into_iter().filter_map(Result::ok) {
        let Review { lock: Some(lock), lock_before, recipe, request: asked, edited: None, .. } = found.review else {
            continue;
        };
        let same_place = asked.capability == request.capability && lock_before.unwrap_or_default() == *before;
        if !same_place || is_for(&found.decision, state, request).is_err() {
            continue;
        }
        if journal_has_it_taken_back(registry, &found.decision) {
            continue;
        }
        if Some(make(lock.clone()).identity()) == recipe {
            return Ok(Some(lock));
        }
    }
    Ok(None)
}

/// What a person took back in this run, or granted for a time that is over, they are asked about again; and what they made
/// another list of is theirs to decide.
fn was_taken_back(state: &State, request: &Request) -> bool {
    let same = |other: &&Request| other.capability == request.capability && other.has_ended();
    request.edited.is_some() || state.requests.iter().any(|other| same(&other))
}

/// Whether the journal of the run that the grant was made in says that it was taken back, or cannot be read: the file
/// beside the grant that says so is one that anybody who writes to the registry can remove. A run that was cleared up
/// says nothing.
fn journal_has_it_taken_back(registry: &Registry, decision: &Decision) -> bool {
    if registry.layout().run(&decision.run).root().symlink_metadata().is_err() {
        return false;
    }
    match Store::open(registry, &decision.run).and_then(|store| store.load()) {
        Ok(state) => state.request(&decision.request).is_none_or(|request| request.status == RequestStatus::Revoked),
        Err(_) => true,
    }
}

/// Whether a decision is for a request of this run.
fn is_for(decision: &Decision, state: &State, request: &Request) -> Result<(), String> {
    if decision.terms().are_over(Utc::now()) {
        return Err("its time is over".to_owned());
    }
    let fits = match &decision.scope {
        Scope::Run => false,
        Scope::Workflow { id, definition } => {
            *id == state.created.workflow_id && *definition == state.created.workflow_digest
        }
        Scope::Role { name } => state.role_of(&request.node) == Some(name),
    };
    if fits { Ok(()) } else { Err(format!("it is for {}", decision.scope)) }
}

/// All grants that stand, and why the others do not.
fn all(registry: &Registry, allowed: Option<&AllowedSigners>) -> Vec<Result<Found, (RequestId, String)>> {
    let Ok(ids) = grants::list(&registry.layout().grants()) else { return Vec::new() };
    ids.into_iter().map(|id| read(registry, &id, allowed).map_err(|why| (id, why))).collect()
}

/// One grant, with the decision that it rests on.
fn read(registry: &Registry, id: &RequestId, allowed: Option<&AllowedSigners>) -> Result<Found, String> {
    if revoked_path(registry, id).symlink_metadata().is_ok() {
        return Err("it was revoked".to_owned());
    }
    let found = proven(registry, id, allowed, &[Utc::now()])?;
    if found.decision.terms().are_over(Utc::now()) {
        return Err("its time is over".to_owned());
    }
    Ok(found)
}

/// [`read`], whatever became of it later; the key that signed was good when it did, and at `times`.
fn proven(
    registry: &Registry,
    id: &RequestId,
    allowed: Option<&AllowedSigners>,
    times: &[DateTime<Utc>],
) -> Result<Found, String> {
    let text = |error: registry::Error| error.to_string();
    let bytes = files::read(&path(registry, id)).map_err(text)?.ok_or("there is no such grant")?;
    let grant: GrantFile = serde_json::from_slice(&bytes).map_err(|error| format!("it cannot be read: {error}"))?;
    let place = registry.layout().decision(id);
    let bytes = files::read(&place).map_err(text)?.ok_or("its decision is gone")?;
    let decision = Decision::parse(&bytes).map_err(|error| error.to_string())?;
    let names = grant.request == *id && decision.request == *id && grant.review.request.id == *id;
    if grant.format != 1 || !names || decision.verdict != Verdict::Approve || decision.scope.is_run() {
        return Err("its decision does not grant it beyond its run".to_owned());
    }
    if decision.digest != grant.review.digest() {
        return Err("it is not what was shown when it was decided".to_owned());
    }
    if let Some(allowed) = allowed {
        let own = registry.id().map_err(text)?;
        let signature = files::read(&files::signature(&place)).map_err(text)?;
        approvers::prove(allowed, &own, &bytes, signature.as_deref(), times).map_err(|why| why.to_string())?;
    }
    Ok(Found { review: grant.review, decision, file: Digest::of(&bytes) })
}

/// What is wrong with a request of a run that was granted by a standing grant; nothing if it holds. That the grant was
/// revoked later, or that its time is over, changes nothing about that.
pub(crate) fn problem(
    registry: &Registry,
    state: &State,
    request: &Request,
    record: &DecisionRecord,
    allowed: Option<&AllowedSigners>,
) -> Option<String> {
    let id = RequestId::parse(record.standing()?).ok();
    let found =
        match id.ok_or_else(|| "it names no grant".to_owned()).and_then(|id| proven(registry, &id, allowed, &[])) {
            Ok(found) => found,
            Err(why) => return Some(why),
        };
    if found.file != record.file {
        return Some("its decision is not the one that the journal names".to_owned());
    }
    if found.decision.until != record.until {
        return Some("it was granted for another time".to_owned());
    }
    let scope = match &found.decision.scope {
        Scope::Workflow { id, definition } => {
            *id == state.created.workflow_id && *definition == state.created.workflow_digest
        }
        Scope::Role { name } => state.role_of(&request.node) == Some(name),
        Scope::Run => false,
    };
    if !scope {
        return Some(format!("it was granted to {}", found.decision.scope));
    }
    match review_of(state, request) {
        Ok(Some(review)) => found.review.covers(&review).err(),
        Ok(None) => Some("nothing was shown of the request".to_owned()),
        Err(error) => Some(error.to_string()),
    }
}

fn review_of(state: &State, request: &Request) -> Result<Option<Review>, Error> {
    Ok(match (&request.resolution, &request.presented) {
        (Some(resolution), _) => Some(images::review_of(state, request, resolution)?),
        (None, Some(presented)) => Some(given::review_of(state, request, presented)),
        (None, None) => None,
    })
}

/// All standing grants of a registry, also those that stand for nothing.
///
/// # Errors
/// When who may sign cannot be read.
pub fn standing_grants(registry: &Registry) -> Result<Vec<StandingGrant>, Error> {
    let allowed = approvers::approvers(registry)?;
    let ids = grants::list(&registry.layout().grants())?;
    Ok(ids.into_iter().filter_map(|id| shown(registry, &id, allowed.as_ref())).collect())
}

fn shown(registry: &Registry, id: &RequestId, allowed: Option<&AllowedSigners>) -> Option<StandingGrant> {
    let bytes = files::read(&registry.layout().decision(id)).ok()??;
    let decision = Decision::parse(&bytes).ok()?;
    let problem = match read(registry, id, allowed) {
        Err(why) => why,
        Ok(_) if journal_has_it_taken_back(registry, &decision) => "it was revoked".to_owned(),
        Ok(_) => String::new(),
    };
    let grant = files::read(&path(registry, id)).ok().flatten();
    let grant = grant.and_then(|bytes| serde_json::from_slice::<GrantFile>(&bytes).ok());
    Some(StandingGrant {
        id: id.clone(),
        run: decision.run.clone(),
        capability: grant.map_or_else(|| "?".to_owned(), |grant| grant.review.request.capability.to_string()),
        by: decision.by.clone(),
        comment: decision.comment.clone(),
        until: decision.until,
        scope: decision.scope,
        problem,
    })
}

/// The scope of a grant that stands for all runs of the workflow that asked, as it is defined now.
///
/// # Errors
/// When the run cannot be read.
pub fn workflow_scope(registry: &Registry, waiting: &Waiting) -> Result<Scope, Error> {
    let state = Store::open(registry, &waiting.run)?.load()?;
    Ok(Scope::Workflow { id: state.created.workflow_id.clone(), definition: state.created.workflow_digest.clone() })
}

/// The scope of a grant that stands for the role of the node that asked.
///
/// # Errors
/// [`Error::Refused`] if the node has none.
pub fn role_scope(registry: &Registry, waiting: &Waiting) -> Result<Scope, Error> {
    let state = Store::open(registry, &waiting.run)?.load()?;
    match state.role_of(&waiting.node) {
        Some(role) => Ok(Scope::Role { name: role.clone() }),
        None => {
            Err(Error::Refused { run: waiting.run.clone(), refusal: Refusal::NoRole { node: waiting.node.clone() } })
        }
    }
}

/// The standing grants whose id begins with `text`, and that were not revoked.
pub(crate) fn called(registry: &Registry, text: &str) -> Result<Vec<RequestId>, Error> {
    let mut ids = grants::list(&registry.layout().grants())?;
    ids.retain(|id| id.as_str().starts_with(text) && revoked_path(registry, id).symlink_metadata().is_err());
    Ok(ids)
}

/// Ends a standing grant: later runs are asked about again.
pub(crate) fn revoke(registry: &Registry, id: &RequestId, reason: &str) -> Result<(), Error> {
    let file = RevokedFile {
        format: 1,
        request: id.clone(),
        by: operator(),
        at: crate::run::time::isoformat(Utc::now()),
        reason: reason.to_owned(),
    };
    let mut bytes = serde_json::to_vec_pretty(&file).map_err(Error::Json)?;
    bytes.push(b'\n');
    grants::write(&revoked_path(registry, id), &bytes).map_err(Error::from)
}

fn path(registry: &Registry, id: &RequestId) -> PathBuf {
    registry.layout().grants().join(format!("{id}.json"))
}

fn revoked_path(registry: &Registry, id: &RequestId) -> PathBuf {
    registry.layout().grants().join(format!("{id}.revoked.json"))
}
