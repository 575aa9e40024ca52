//! What should happen next to the deployments of a run.

use chrono::{DateTime, Duration, Utc};

use super::{Deployment, Live, Outcome};
use crate::run::plan::{Action, Container, ContainerState, DeploymentEnd, DeploymentSeen, Observed};
use crate::run::state::State;

/// The pause after the first failure; it doubles with each, up to the longest.
const FIRST_PAUSE: Duration = Duration::seconds(5);
const LONGEST_PAUSE: Duration = Duration::minutes(5);
/// Who has run for this long begins anew with the count of failures.
const STEADY: Duration = Duration::minutes(10);

/// When a deployment's container is over by itself: never, as far as anybody who reads this is concerned.
pub(crate) fn deadline() -> DateTime<Utc> {
    DateTime::from_timestamp(253_402_300_799, 0).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// Failures in a row and the earliest next start, after a start that ended `at` with `outcome`.
pub(super) fn pause(failures: u32, live: &Live, outcome: Outcome, at: DateTime<Utc>) -> (u32, Option<DateTime<Utc>>) {
    if !outcome.is_failure() {
        return (failures, None);
    }
    let steady = live.started_at.is_some_and(|since| at - since >= STEADY);
    let failures = if steady { 1 } else { failures.saturating_add(1) };
    // After a reboot the next tick brings it back; who is ended from outside again and again waits like any other.
    if outcome == Outcome::Lost && failures == 1 {
        return (failures, None);
    }
    let pause = FIRST_PAUSE * (1_i32 << (failures - 1).min(10));
    (failures, Some(at + pause.min(LONGEST_PAUSE)))
}

/// What to do now about each deployment.
pub(in crate::run) fn plan(state: &State, seen: &Observed) -> Vec<Action> {
    state.deployments.iter().filter_map(|deployment| of(state, deployment, seen)).collect()
}

fn may_begin(state: &State, deployment: &Deployment, now: DateTime<Utc>) -> bool {
    state.is_wanted(deployment) && deployment.not_before.is_none_or(|time| time <= now)
}

fn of(state: &State, deployment: &Deployment, seen: &Observed) -> Option<Action> {
    let id = deployment.id.clone();
    // Of a run that goes on, this comes first for everything that was granted for a time.
    if state.request(&id).is_some_and(|request| request.is_over(seen.now)) {
        return Some(Action::Expire { id, limit: None });
    }
    let Some(live) = &deployment.live else {
        return may_begin(state, deployment, seen.now).then_some(Action::Deploy { id });
    };
    let DeploymentSeen { container, gate_runs } = seen.deployments.get(&id)?;
    if !state.is_wanted(deployment) {
        return Some(Action::TakeDown { id });
    }
    let ended = |how| Some(Action::EndDeployment { id: id.clone(), how });
    match container.as_ref().map(|Container { state, .. }| state) {
        None if live.container_id.is_some() => ended(DeploymentEnd::Lost),
        None | Some(ContainerState::Created) => Some(Action::GoOnDeploying { id }),
        Some(ContainerState::Exited { code, oom, .. }) => ended(how_it_ended(*code, *oom)),
        // Nobody gets through to it: the same start, with its gate.
        Some(ContainerState::Running) if live.container_id.is_none() || !gate_runs => {
            Some(Action::GoOnDeploying { id })
        }
        Some(ContainerState::Running) => None,
    }
}

/// 137 and 143 without a reason of ours, and the code of an end that the Engine did not see: somebody ended it from
/// outside.
fn how_it_ended(code: i64, oom: bool) -> DeploymentEnd {
    if !oom && matches!(code, 137 | 143 | 255) { DeploymentEnd::Lost } else { DeploymentEnd::Exited { code, oom } }
}
