//! A request with all that there is to say of it years later: what was decided on, by whom, and what came of it. Made from the
//! journal alone.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::capability::Review;
use crate::registry::Registry;
use crate::run::deployment::Down;
use crate::run::event::{DecisionRecord, Event};
use crate::run::id::{Digest, RequestId, RunId};
use crate::run::state::{RejectedDecision, Request, RequestStatus, State};
use crate::run::time::parse_time;

use super::asked::{AskedFor, any_request};
use super::error::Error;
use super::store::Store;
use super::{given, images};

/// What a decision was about, shown as it was then.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AsDecided {
    pub run: RunId,
    pub request: RequestId,
    pub status: RequestStatus,
    pub decision: DecisionRecord,
    pub review: Review,
}

impl AsDecided {
    /// Whether the digest of what is shown now is the one that was decided on.
    #[must_use]
    pub fn is_the_same(&self) -> bool {
        self.review.digest() == self.decision.digest
    }
}

/// What was decided on under `text`; nothing of a request that nobody decided, or of which nothing was shown before a rule
/// denied it.
///
/// # Errors
/// When a run cannot be read, or `text` fits several.
pub fn as_decided(registry: &Registry, text: &str) -> Result<Option<AsDecided>, Error> {
    let (run, request) = match any_request(registry, text) {
        Err(Error::NoRequest(_)) => return Ok(None),
        found => found?,
    };
    of(&Store::open(registry, &run)?.load()?, &request)
}

/// As [`as_decided`], of one request.
///
/// # Errors
/// When what was shown cannot be made again.
pub(crate) fn of(state: &State, request: &Request) -> Result<Option<AsDecided>, Error> {
    let Some(decision) = request.decision.clone() else { return Ok(None) };
    let review = match (&request.resolution, &request.presented) {
        (Some(resolution), _) => images::review_of(state, request, resolution)?,
        (None, Some(presented)) => given::review_of(state, request, presented),
        (None, None) => return Ok(None),
    };
    let (run, status, request) = (state.run.clone(), request.status, request.id.clone());
    Ok(Some(AsDecided { run, request, status, decision, review }))
}

/// Who took a grant back, when and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TakenBack {
    pub by: String,
    pub at: Option<DateTime<Utc>>,
    pub reason: String,
}

/// All of one request.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explained {
    #[serde(flatten)]
    pub asked: AskedFor,
    /// The decision as the journal has it, with the key that signed it.
    pub decision: Option<DecisionRecord>,
    /// What was decided on: lock, image, policy, files of a deployment.
    pub presentation: Option<Review>,
    /// The digest of that, reckoned anew.
    pub presentation_digest: Option<Digest>,
    /// Whether it is the digest that was decided on.
    pub as_decided: Option<bool>,
    /// The image in which it is, or was, in force.
    pub image: Option<String>,
    /// Where a deployment is offered on the host.
    pub address: Option<String>,
    /// Who took a deployment down, if somebody did.
    pub down: Option<Down>,
    pub revoked: Option<TakenBack>,
    /// Decisions on it that could not count.
    pub rejected: Vec<RejectedDecision>,
}

/// The request that `text` names, with all that there is to say of it.
///
/// # Errors
/// As [`any_request`].
pub fn explained(registry: &Registry, text: &str) -> Result<Explained, Error> {
    let (run, request) = any_request(registry, text)?;
    let store = Store::open(registry, &run)?;
    let state = store.load()?;
    let decided = of(&state, &request)?;
    let revoked = match request.status {
        RequestStatus::Revoked => taken_back(&store, &request.id)?,
        _ => None,
    };
    let deployment = state.deployment(&request.id);
    Ok(Explained {
        decision: request.decision.clone(),
        presentation_digest: decided.as_ref().map(|decided| decided.review.digest()),
        as_decided: decided.as_ref().map(AsDecided::is_the_same),
        presentation: decided.map(|decided| decided.review),
        image: request.image.clone(),
        address: deployment.map(|deployment| format!("127.0.0.1:{}", deployment.port)),
        down: deployment.and_then(|deployment| deployment.down.clone()),
        revoked,
        rejected: state.rejected_of(&request.id).cloned().collect(),
        asked: AskedFor::of(&run, request),
    })
}

fn taken_back(store: &Store<'_>, id: &RequestId) -> Result<Option<TakenBack>, Error> {
    let records = store.records()?;
    let found = records.iter().rev().find_map(|record| match Event::from_record(record) {
        Ok(Event::CapabilityRevoked { id: revoked, by, reason }) if revoked == *id => {
            Some(TakenBack { by, at: parse_time(&record.timestamp), reason })
        }
        _ => None,
    });
    Ok(found)
}
