//! Whether a schedule may begin runs now. Asked before each look, and under the lock of the look: what was taken back
//! before is found out.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::engine::agents::AgentStore;
use crate::engine::error::Error;
use crate::engine::store::Store;
use crate::registry::config::{Schedules, Watch, WatchSource};
use crate::registry::schedules::{ScheduleFile, parts};
use crate::registry::{self, Registry};
use crate::run::capability::{Capability, ScheduleName};
use crate::run::id::AgentName;
use crate::run::state::{Request, State};
use crate::run::status::RunStatus;
use crate::run::timetable::When;
use crate::workflow::template;

/// What a schedule may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Authority {
    InForce,
    /// It is over for good, with the reason.
    Over(String),
    /// It may begin nothing as it is, with the reason: somebody has to look.
    Stuck(String),
}

/// What the schedule that goes by `name` may do.
///
/// # Errors
/// When the journal of its run or of its agent cannot be read.
pub(crate) fn authority(
    registry: &Registry,
    name: &str,
    file: &ScheduleFile,
    now: DateTime<Utc>,
) -> Result<Authority, Error> {
    let Some((agent, own)) = parts(name) else { return Ok(Authority::Stuck("it has no name".to_owned())) };
    let stuck = |why: String| Ok(Authority::Stuck(why));
    let state = match Store::open(registry, &file.run) {
        Ok(store) => store.load()?,
        Err(Error::NoRun(_)) => return stuck(format!("run {}, in which it was approved, is gone", file.run)),
        Err(error) => return Err(error),
    };
    let Some(request) = state.request(&file.request) else {
        return stuck(format!("run {} knows no request {}", file.run, file.request));
    };
    if let Some(why) = over(&state, request, now) {
        return Ok(Authority::Over(why));
    }
    if !is_approved(request, &agent, &own, file) {
        return stuck("its file is not what was approved: put it back, or revoke it".to_owned());
    }
    match AgentStore::open(registry, &agent) {
        Ok(store) => {
            if let Err(refusal) = store.peek()?.require_hired() {
                return Ok(Authority::Over(refusal.to_string()));
            }
        }
        Err(Error::Registry(error @ registry::Error::NoAgent { .. })) => return stuck(error.to_string()),
        Err(error) => return Err(error),
    }
    Ok(match allowed(&registry.config()?.schedules, &file.when, now) {
        Ok(()) => Authority::InForce,
        Err(why) => Authority::Stuck(why),
    })
}

/// Why a request gives nothing any more.
fn over(state: &State, request: &Request, now: DateTime<Utc>) -> Option<String> {
    if !request.status.is_granted() {
        let why = if request.problem.is_empty() { String::new() } else { format!(": {}", request.problem) };
        return Some(format!("request {} is {}{why}", request.id, request.status.as_str()));
    }
    if request.is_over(now) {
        return Some(format!("request {} was granted until a time that has passed", request.id));
    }
    (state.status == RunStatus::Cancelled).then(|| format!("run {} was cancelled", state.run))
}

/// Whether the file says what the journal says that a person approved.
fn is_approved(request: &Request, agent: &AgentName, name: &ScheduleName, file: &ScheduleFile) -> bool {
    let approved = request.presented.as_ref().and_then(|presented| presented.schedule.as_ref());
    request.capability == Capability::Schedule(name.clone())
        && approved.is_some_and(|approved| {
            approved.agent == *agent && approved.when == file.when && approved.task == file.task
        })
}

/// Whether the settings let an agent have such a schedule.
///
/// # Errors
/// The rule that it breaks.
pub(super) fn allowed(settings: &Schedules, when: &str, now: DateTime<Utc>) -> Result<(), String> {
    if settings.most == 0 {
        return Err("the settings allow no schedules of agents: `schedules.most` is 0".to_owned());
    }
    let when = When::parse(when).map_err(|error| error.to_string())?;
    match when.least_gap(now) {
        Some(gap) if gap < settings.every => Err(format!(
            "two of its times are {}s apart, and the settings want {}s between them at least (`schedules.every`)",
            gap.as_secs(),
            settings.every.as_secs()
        )),
        _ => Ok(()),
    }
}

/// A schedule as the watch that it is.
pub(crate) fn definition(file: &ScheduleFile) -> Watch {
    Watch {
        cron: Some(file.when.clone()),
        agent: Some(file.agent.clone()),
        // An agent's words are no template.
        task: Some(template::literal(&file.task)),
        ..nothing()
    }
}

/// One whose file cannot be used: there is nothing to it but its agent.
pub(crate) fn unreadable(name: &str) -> Watch {
    Watch { agent: parts(name).map(|(agent, _)| agent), ..nothing() }
}

fn nothing() -> Watch {
    Watch {
        source: WatchSource::Schedule,
        repositories: Vec::new(),
        drafts: None,
        cron: None,
        folder: None,
        glob: None,
        agent: None,
        task: None,
        workflow: None,
        params: BTreeMap::new(),
        retries: None,
        every: None,
        at_once: 1,
        give_up: 30,
    }
}
