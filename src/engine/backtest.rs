//! Proposed policies, asked about every request on record.

use serde::Serialize;

use crate::capability::policy::Policies;
use crate::registry::{Registry, queries};
use crate::run::capability::Capability;
use crate::run::id::{RequestId, RunId};
use crate::run::ruling::{Effect, Ruling};
use crate::run::state::{Request, RequestStatus, State};

use super::error::Error;
use super::store::Store;
use super::{images, rulings};

/// One request on record, with what the proposed policies say of it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Replayed {
    pub id: RequestId,
    pub run: RunId,
    pub workflow: String,
    /// With its exact version, where it was resolved to one.
    pub capability: Capability,
    pub status: RequestStatus,
    /// What the policies of then said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub then: Option<Ruling>,
    /// What was decided: `allow` or `deny`; none if nothing was yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided: Option<Effect>,
    /// Who decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    #[serde(skip)]
    by_person: bool,
    pub proposed: Ruling,
}

impl Replayed {
    /// Whether a person decided, and the proposed policies would have done the opposite.
    #[must_use]
    pub fn contradicts_a_person(&self) -> bool {
        self.by_person && self.proposed.effect != Effect::Ask && self.decided != Some(self.proposed.effect)
    }
}

/// All requests on record.
#[derive(Debug, Clone)]
pub struct Backtest {
    pub requests: Vec<Replayed>,
    /// Runs that could not be read, each with the reason.
    pub unreadable: Vec<(RunId, String)>,
}

/// Replays the requests of `run`, or of all runs, against `proposed`.
///
/// # Errors
/// When the runs cannot be listed, or the one that was named cannot be read.
pub fn backtest(registry: &Registry, proposed: &Policies, run: Option<&RunId>) -> Result<Backtest, Error> {
    let runs = match run {
        Some(run) => vec![run.clone()],
        None => queries::list_runs(registry)?,
    };
    let mut found = Backtest { requests: Vec::new(), unreadable: Vec::new() };
    for name in runs {
        match Store::open(registry, &name).and_then(|store| store.load()) {
            Ok(state) => {
                found.requests.extend(state.requests.iter().map(|request| replayed(&state, request, proposed)));
            }
            Err(error) if run.is_some() => return Err(error),
            Err(error) => found.unreadable.push((name, error.to_string())),
        }
    }
    Ok(found)
}

fn replayed(state: &State, request: &Request, proposed: &Policies) -> Replayed {
    // A lock that this version cannot read says nothing of versions.
    let (capability, brings) =
        images::stands_for(state, request).unwrap_or_else(|_| (request.meant().clone(), Vec::new()));
    let decided = request.decision.as_ref();
    // Whoever names something else to ask for did not allow this.
    let refused = matches!(request.status, RequestStatus::Denied | RequestStatus::Superseded);
    Replayed {
        id: request.id.clone(),
        run: state.run.clone(),
        workflow: state.created.workflow_id.to_string(),
        status: request.status,
        then: request.ruling().cloned(),
        decided: decided.map(|_| if refused { Effect::Deny } else { Effect::Allow }),
        by_person: decided.is_some_and(|decision| !decision.is_by_rule()),
        by: decided.map(|decision| decision.by.clone()),
        proposed: rulings::on_by(proposed, state, state.role_of(&request.node), &capability, &brings),
        capability,
    }
}
