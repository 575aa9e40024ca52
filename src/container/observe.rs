//! What the Engine says of a container.

use std::collections::BTreeMap;

use bollard::models::{ContainerInspectResponse, ContainerState, ContainerStateStatusEnum as Status};
use bollard::query_parameters::InspectContainerOptions;
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::engine::Engine;
use super::error::Error;
use super::labels::{Labels, SPEC};
use super::name::is_addressable;

/// Where a container is in its life. Ours are never restarted, so that it only moves forward.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "state")]
pub enum State {
    /// Made, never started; `error` is the reason, if a start was tried and failed.
    Created {
        error: String,
    },
    Running,
    Exited {
        /// The exit code; 137 after SIGKILL.
        code: i64,
        /// Whether the kernel ended a process of the container for want of memory; not necessarily the last one.
        oom_killed: bool,
        started_at: Option<DateTime<Utc>>,
        finished_at: Option<DateTime<Utc>>,
        /// The Engine's words, where it has any.
        error: String,
    },
    /// On its way out.
    Removing,
}

/// A container as it was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Observed {
    pub id: String,
    pub name: String,
    /// The id of the image it was made from.
    pub image: String,
    #[serde(flatten)]
    pub state: State,
    pub labels: BTreeMap<String, String>,
}

impl Observed {
    /// Whose container this is, if its labels are complete.
    #[must_use]
    pub fn owner(&self) -> Option<Labels> {
        Labels::read(|key| self.labels.get(key))
    }

    /// The digest of the spec it was made from.
    #[must_use]
    pub fn spec_digest(&self) -> Option<&str> {
        self.labels.get(SPEC).map(String::as_str)
    }
}

impl Engine {
    /// What the Engine says of the container `name`; `None` if there is none.
    ///
    /// # Errors
    /// The Engine cannot be reached, or fails.
    pub async fn inspect(&self, name: &str) -> Result<Option<Observed>, Error> {
        Ok(self.inspect_raw(name).await?.map(observed))
    }

    /// The process of the container `name` that is the first inside, as the host counts; `None` if it does not run.
    ///
    /// # Errors
    /// The Engine cannot be reached, or fails.
    pub async fn pid(&self, name: &str) -> Result<Option<u32>, Error> {
        let pid = self.inspect_raw(name).await?.and_then(|found| found.state).and_then(|state| state.pid);
        Ok(pid.and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0))
    }

    pub(crate) async fn inspect_raw(&self, name: &str) -> Result<Option<ContainerInspectResponse>, Error> {
        if !is_addressable(name) {
            return Ok(None);
        }
        match self.docker().inspect_container(name, None::<InspectContainerOptions>).await {
            Ok(found) => Ok(Some(found)),
            Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
            Err(error) => Err(self.explain(format!("inspect `{name}`"), error)),
        }
    }
}

fn observed(found: ContainerInspectResponse) -> Observed {
    Observed {
        id: found.id.unwrap_or_default(),
        name: found.name.unwrap_or_default().trim_start_matches('/').to_owned(),
        image: found.image.unwrap_or_default(),
        state: found.state.map_or(State::Removing, state),
        labels: found.config.and_then(|config| config.labels).unwrap_or_default().into_iter().collect(),
    }
}

fn state(state: ContainerState) -> State {
    let error = state.error.unwrap_or_default();
    match state.status {
        Some(Status::CREATED) => State::Created { error },
        Some(Status::RUNNING | Status::PAUSED | Status::RESTARTING | Status::STOPPING) => State::Running,
        Some(Status::REMOVING) => State::Removing,
        // `dead`: a removal that failed half-way. Its process is gone.
        _ => State::Exited {
            code: state.exit_code.unwrap_or(-1),
            oom_killed: state.oom_killed.unwrap_or(false),
            started_at: time(state.started_at.as_deref()),
            finished_at: time(state.finished_at.as_deref()),
            error,
        },
    }
}

/// The Engine writes the year 1 for "never".
fn time(text: Option<&str>) -> Option<DateTime<Utc>> {
    let time = DateTime::parse_from_rfc3339(text?).ok()?.to_utc();
    (time.timestamp() > 0).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_is_no_time() {
        assert_eq!(time(Some("0001-01-01T00:00:00Z")), None);
        assert!(time(Some("2026-11-20T11:46:18.964660123Z")).is_some());
    }

    #[test]
    fn an_exit_keeps_what_the_engine_said() {
        let state = state(ContainerState {
            status: Some(Status::EXITED),
            exit_code: Some(137),
            oom_killed: Some(true),
            ..ContainerState::default()
        });
        assert!(matches!(state, State::Exited { code: 137, oom_killed: true, started_at: None, .. }));
    }
}
