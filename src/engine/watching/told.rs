//! What is told of watches, and starting one again.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::engine::error::Error;
use crate::engine::schedules::{self, Authority};
use crate::engine::store::Store;
use crate::registry::config::{Watch, WatchSource};
use crate::registry::schedules::{self as files, ScheduleFile};
use crate::registry::{Registry, WatchLock};
use crate::run::id::{AgentName, RunId};
use crate::run::status::RunStatus;
use crate::run::timetable::{SHOWN, When};
use crate::watch::{self, WatchState};

/// One thing that a look found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Found {
    pub key: String,
    pub what: String,
    pub run: RunId,
    /// A run was begun for it now; in a dry run, would be.
    pub new: bool,
}

/// What a look of one watch came to.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Looked {
    pub watch: String,
    /// Whether anything was looked at.
    pub looked: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits: Option<String>,
    pub found: Vec<Found>,
    /// How much more there is for the next look.
    pub left: usize,
    /// What is wrong, or odd.
    pub problems: Vec<String>,
    /// Whether a look failed now: all of it, or of one of its places.
    pub failed: bool,
    pub gave_up: bool,
}

/// How a watch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Nobody has looked yet.
    New,
    Good,
    /// It looks, and something is odd, or one of its places fails.
    Troubled,
    /// After a failure, until the time that it says.
    BacksOff,
    GaveUp,
    /// A schedule that may begin nothing as it is: somebody has to look.
    Stuck,
    /// A schedule whose approval has ended: the next look removes it.
    Over,
}

/// Work that was taken up and not done: nothing takes it up again by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FailedWork {
    pub key: String,
    pub run: RunId,
}

/// A watch as `watch list` and `watch show` have it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WatchStatus {
    pub name: String,
    pub source: WatchSource,
    pub target: String,
    pub standing: Standing,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub looked: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<DateTime<Utc>>,
    pub problems: Vec<String>,
    /// What was taken up, is still there, and failed as a run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<FailedWork>,
    pub definition: Watch,
    /// An agent asked for it, and it was approved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approved: Option<ScheduleFile>,
    /// The times that come next.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub next: Vec<DateTime<Utc>>,
    pub state: WatchState,
}

/// The agent that `one` of the settings gives work to and that is not there, and what that is called; none where all is well.
#[must_use]
pub fn lacks_agent<'w>(registry: &Registry, one: &'w WatchStatus) -> Option<(&'w AgentName, String)> {
    let agent = one.definition.agent.as_ref().filter(|_| one.approved.is_none())?;
    let hired = crate::engine::agents::is_hired(registry, agent).unwrap_or(false);
    (!hired).then(|| (agent, format!("there is no agent `{agent}`, or it was offboarded")))
}

/// All watches by name: those of the settings, and the schedules of agents.
///
/// # Errors
/// When the settings, or what one knows, cannot be read.
pub fn watches(registry: &Registry) -> Result<Vec<WatchStatus>, Error> {
    names(registry)?.iter().filter_map(|name| standing(registry, name).map(Some).or_else(gone).transpose()).collect()
}

/// What was revoked since the names were read is no trouble.
fn gone(error: Error) -> Result<Option<WatchStatus>, Error> {
    if matches!(error, Error::NoWatch(_)) { Ok(None) } else { Err(error) }
}

/// The names of all watches: those of the settings first.
///
/// # Errors
/// When the settings, or the folder of schedules, cannot be read.
pub fn names(registry: &Registry) -> Result<Vec<String>, Error> {
    let mut names: Vec<String> = registry.config()?.watch.keys().cloned().collect();
    names.extend(files::list(registry)?);
    Ok(names)
}

/// The watch `name`.
///
/// # Errors
/// [`Error::NoWatch`]; as [`watches`].
pub fn standing(registry: &Registry, name: &str) -> Result<WatchStatus, Error> {
    listed(registry, name, &defined(registry, name)?)
}

/// Forgets the failures, waits and tags of watch `name`, so that the next tick looks at everything. What was taken up
/// stays so. How it stood before.
///
/// # Errors
/// [`Error::NoWatch`], [`Error::WatchBusy`]; those of the file system.
pub fn reset(registry: &Registry, name: &str, dry_run: bool) -> Result<WatchStatus, Error> {
    let watch = defined(registry, name)?;
    if dry_run {
        return listed(registry, name, &watch);
    }
    let Some(_lock) = WatchLock::try_acquire(registry, name)? else { return Err(Error::WatchBusy(name.to_owned())) };
    let before = listed(registry, name, &watch)?;
    let mut state = before.state.clone();
    state.renew();
    watch::save(registry, name, &state)?;
    Ok(before)
}

/// A watch as somebody wanted it.
pub(super) struct Defined {
    pub(super) watch: Watch,
    /// Where it was approved, if an agent asked for it.
    pub(super) approved: Option<ScheduleFile>,
    /// Why it cannot be used, as it stands.
    pub(super) unfit: Option<String>,
}

pub(super) fn defined(registry: &Registry, name: &str) -> Result<Defined, Error> {
    if let Some(watch) = registry.config()?.watch.get(name) {
        return Ok(Defined { watch: watch.clone(), approved: None, unfit: None });
    }
    match files::read(registry, name)? {
        None => Err(Error::NoWatch(name.to_owned())),
        Some(Ok(file)) => Ok(Defined { watch: schedules::definition(&file), approved: Some(file), unfit: None }),
        Some(Err(why)) => Ok(Defined { watch: schedules::unreadable(name), approved: None, unfit: Some(why) }),
    }
}

impl Defined {
    /// What it may do now.
    pub(super) fn authority(&self, registry: &Registry, name: &str, now: DateTime<Utc>) -> Result<Authority, Error> {
        match (&self.approved, &self.unfit) {
            (_, Some(why)) => Ok(Authority::Stuck(why.clone())),
            (Some(file), None) => schedules::authority(registry, name, file, now),
            (None, None) => Ok(Authority::InForce),
        }
    }
}

fn failed(registry: &Registry, state: &WatchState) -> Vec<FailedWork> {
    let taken = state.parts.values().flat_map(|part| &part.taken);
    let has_failed = |run: &RunId| {
        // A run that is gone, or cannot be read, has others who tell of it.
        let found = Store::open(registry, run).and_then(|store| store.peek());
        found.is_ok_and(|state| state.status == RunStatus::Failed)
    };
    let failed = taken.filter(|(_, run)| has_failed(run));
    failed.map(|(key, run)| FailedWork { key: key.clone(), run: run.clone() }).collect()
}

fn listed(registry: &Registry, name: &str, defined: &Defined) -> Result<WatchStatus, Error> {
    let watch = &defined.watch;
    let now = Utc::now();
    let authority = defined.authority(registry, name, now)?;
    let problem = match &authority {
        Authority::InForce => None,
        Authority::Over(why) | Authority::Stuck(why) => Some(why.clone()),
    };
    let next = match (&problem, watch.cron.as_deref().map(When::parse)) {
        (None, Some(Ok(when))) => when.next(now, SHOWN),
        _ => Vec::new(),
    };
    let state = watch::load(registry, name, watch)?;
    let standing = match &state {
        _ if matches!(authority, Authority::Over(_)) => Standing::Over,
        _ if problem.is_some() => Standing::Stuck,
        state if state.gave_up() => Standing::GaveUp,
        state if state.pace.failures > 0 => Standing::BacksOff,
        state if state.problems().next().is_some() => Standing::Troubled,
        state if state.looked.is_none() => Standing::New,
        _ => Standing::Good,
    };
    Ok(WatchStatus {
        name: name.to_owned(),
        source: watch.source,
        target: watch.target(),
        standing,
        looked: state.looked,
        not_before: state.pace.not_before,
        problems: problem.into_iter().chain(state.problems().map(str::to_owned)).collect(),
        failed: failed(registry, &state),
        definition: watch.clone(),
        approved: defined.approved.clone(),
        next,
        state,
    })
}
