//! The kill switch. Once `kill` has returned, nothing of the registry runs and nothing starts until a person unlocks
//! it: the file first, then everything that runs, then everything that was about to, and only then the journals.
//! It waits for no run lock before everything is dead.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::registry::kill::{self as switch, Kill};
use crate::registry::{KillLock, Registry, queries};
use crate::run::command::Command;
use crate::run::id::RunId;

use super::actor::operator;
use super::approvers::Hand;
use super::error::Error;
use super::store::Store;
use super::{engines, gate, images, secrets, workspace};

mod lift;
mod status;
mod sweep;

pub use self::lift::verify_lifts;
pub use self::status::{KillState, KillStatus, kill_status};
use self::sweep::Sweep;

/// How often a kill that waits for starts under way looks at what they bring, and whether the Engine gets on. What starts
/// later than it waits dies by itself, since no gate greets it.
const LOOK: Duration = Duration::from_millis(250);

/// What `kill` did.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Killed {
    /// Containers that were removed, by name.
    pub removed: Vec<String>,
    /// Runs whose journals say so now.
    pub runs: Vec<RunId>,
    /// What could not be reached or written; the next invocation of anything tries again.
    pub unfinished: Vec<String>,
}

/// Turns the switch on and ends everything.
///
/// # Errors
/// Only when the kill file itself cannot be written; what else went wrong stands in [`Killed::unfinished`].
pub fn kill(registry: &Registry, reason: &str) -> Result<Killed, Error> {
    loop {
        switch::engage(registry.layout(), reason, &operator(), Utc::now())?;
        match finish_kill(registry) {
            // Somebody lifted the kill before this one; ours came later, and stands.
            Err(Error::NotKilled) => {}
            finished => return finished,
        }
    }
}

/// Does what is left to do of a kill: removes containers, ends builds, journals what was ended.
///
/// # Errors
/// When the switch is off, or the registry cannot be read.
pub fn finish_kill(registry: &Registry) -> Result<Killed, Error> {
    finish(registry).map(|(killed, _)| killed)
}

/// Goes on with a kill that was cut short (the Engine was away, the command was ended), whoever comes by. What is still
/// unfinished then; nothing if no such kill is on, which costs one look at the file system.
#[must_use]
pub fn finish_in_passing(registry: &Registry) -> Vec<String> {
    if !switch::is_unfinished(registry.layout()) {
        return Vec::new();
    }
    match finish(registry) {
        Ok((killed, _)) => killed.unfinished,
        Err(Error::NotKilled) => Vec::new(),
        Err(error) => vec![error.to_string()],
    }
}

/// [`finish_kill`], and the lock under which it was finished: nobody starts, and nobody lifts the switch, while it is held.
fn finish(registry: &Registry) -> Result<(Killed, Option<KillLock>), Error> {
    if switch::read(registry.layout())?.is_none() {
        return Err(Error::NotKilled);
    }
    let mut killed = Killed { removed: Vec::new(), runs: Vec::new(), unfinished: Vec::new() };
    // What was opened for those who run is shut with them; before the Engine is waited for.
    let shut = crate::vault::lock(registry).err().map(|error| format!("the vault is still unlocked: {error}"));
    let mut sweep = Sweep::new(registry);
    sweep.until_none_is_left();
    // Whoever was between its look at the file and its start has started by the time we get this lock.
    let lock = await_starts(registry, &mut sweep);
    // Lifted while we waited: what runs now may run, and is not to be paused.
    let Some(killing) = switch::read(registry.layout())? else { return Err(Error::NotKilled) };
    images::end_builds(registry);
    // Also if a start still hangs, or the Engine was away before: whatever can be ended now is ended now.
    let engine_is_clean = sweep.until_none_is_left();
    (killed.removed, killed.unfinished) = sweep.done();
    killed.unfinished.extend(shut);
    let lock = match lock {
        Ok(lock) => lock,
        Err(error) => {
            killed.unfinished.push(format!("a start is still under way: {error}"));
            return Ok((killed, None));
        }
    };
    // Nobody starts: what is still mounted, somebody left who was ended.
    workspace::release_all(registry.layout());
    if !engine_is_clean {
        return Ok((killed, Some(lock)));
    }
    for run in queries::list_runs(registry)? {
        match journal(registry, &run, &killing) {
            Ok(true) => killed.runs.push(run),
            Ok(false) => {}
            Err(error) => killed.unfinished.push(format!("run {run}: {error}")),
        }
    }
    if killed.unfinished.is_empty() {
        engines::forget(registry);
        // On a full disk there is no note, and the next command looks again.
        let _ = switch::note_finished(registry.layout(), &killing);
    }
    Ok((killed, Some(lock)))
}

/// Waits for starts that are under way as long as the Engine gets on, and removes what they bring.
fn await_starts(registry: &Registry, sweep: &mut Sweep<'_>) -> crate::registry::error::Result<KillLock> {
    let mut waited = false;
    loop {
        let patience = if sweep.gets_on() { LOOK } else { Duration::ZERO };
        let lock = KillLock::acquire(registry, patience);
        if lock.is_ok() && waited {
            sweep.has_seen_a_start_end();
        }
        if lock.is_ok() || patience.is_zero() {
            return lock;
        }
        waited = true;
        sweep.until_none_is_left();
    }
}

fn journal(registry: &Registry, run: &RunId, killing: &Kill) -> Result<bool, Error> {
    let store = Store::open(registry, run)?;
    let state = store.load()?;
    secrets::withdraw(&store)?;
    // Who has resumed it since, or approved what it waits for, gets it when the switch is lifted.
    let since = killing.at.parse::<DateTime<Utc>>().is_ok_and(|at| state.updated_at >= at);
    if !state.may_have_containers() && (since || !state.goes_on_by_itself()) {
        return Ok(false);
    }
    let traffic = gate::traffic_head(&store);
    store.commit(&operator(), Command::Killed { reason: killing.reason.clone(), traffic })?;
    Ok(true)
}

/// Turns the switch off. Runs that were ended stay paused until each is resumed.
///
/// # Errors
/// When the switch is off, or what the kill began cannot be finished first; where approvers are configured, when nobody
/// who may lift it signs.
pub fn unlock(registry: &Registry, reason: &str, hand: &Hand<'_>) -> Result<Kill, Error> {
    let Some(killing) = switch::read(registry.layout())? else { return Err(Error::NotKilled) };
    let lifting = lift::sign(registry, &killing, reason, hand)?;
    let (finished, _lock) = finish(registry)?;
    if let Some(first) = finished.unfinished.first() {
        return Err(Error::KillUnfinished(first.clone()));
    }
    if switch::read(registry.layout())?.as_ref() != Some(&killing) {
        // What was signed for is another kill than the one that is on.
        return Err(Error::NotKilled);
    }
    switch::record_lift(registry.layout(), &killing, &lifting)?;
    switch::lift(registry.layout())?;
    Ok(killing)
}
