//! What is told of watches, and starting one again.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::engine::error::Error;
use crate::registry::config::{Watch, WatchSource};
use crate::registry::{Registry, WatchLock};
use crate::run::id::RunId;
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
    pub definition: Watch,
    pub state: WatchState,
}

/// All watches by name.
///
/// # Errors
/// When the settings, or what one knows, cannot be read.
pub fn watches(registry: &Registry) -> Result<Vec<WatchStatus>, Error> {
    registry.config()?.watch.iter().map(|(name, watch)| listed(registry, name, watch)).collect()
}

/// The watch `name`.
///
/// # Errors
/// [`Error::NoWatch`]; as [`watches`].
pub fn standing(registry: &Registry, name: &str) -> Result<WatchStatus, Error> {
    listed(registry, name, defined(registry, name)?)
}

/// Forgets the failures, waits and tags of watch `name`, so that the next tick looks at everything. What was taken up
/// stays so. How it stood before.
///
/// # Errors
/// [`Error::NoWatch`], [`Error::WatchBusy`]; those of the file system.
pub fn reset(registry: &Registry, name: &str, dry_run: bool) -> Result<WatchStatus, Error> {
    let watch = defined(registry, name)?;
    if dry_run {
        return listed(registry, name, watch);
    }
    let Some(_lock) = WatchLock::try_acquire(registry, name)? else { return Err(Error::WatchBusy(name.to_owned())) };
    let before = listed(registry, name, watch)?;
    let mut state = before.state.clone();
    state.renew();
    watch::save(registry, name, &state)?;
    Ok(before)
}

pub(super) fn defined<'r>(registry: &'r Registry, name: &str) -> Result<&'r Watch, Error> {
    let all: &BTreeMap<String, Watch> = &registry.config()?.watch;
    all.get(name).ok_or_else(|| Error::NoWatch(name.to_owned()))
}

fn listed(registry: &Registry, name: &str, watch: &Watch) -> Result<WatchStatus, Error> {
    let state = watch::load(registry, name, watch)?;
    let standing = match &state {
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
        problems: state.problems().map(str::to_owned).collect(),
        definition: watch.clone(),
        state,
    })
}
