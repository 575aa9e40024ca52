//! The kill switch. Once `kill` has returned, nothing of the registry runs and nothing starts until a person unlocks
//! it: the file first, then everything that runs, then everything that was about to, and only then the journals.
//! It waits for no run lock before everything is dead.

use std::time::{Duration, Instant};

use chrono::Utc;
use serde::Serialize;

use crate::registry::kill::{self as switch, Kill};
use crate::registry::{KillLock, Registry, queries};
use crate::run::command::Command;
use crate::run::id::RunId;

use super::actor::operator;
use super::docker::Docker;
use super::error::Error;
use super::store::Store;
use super::{images, secrets};

/// How long the second sweep waits for starts that are under way; what starts later than that dies by itself, since no
/// gate greets it.
const SWEEP_PATIENCE: Duration = Duration::from_secs(30);

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

/// [`finish_kill`], and the lock under which it was finished: nobody starts, and nobody lifts the switch, while it is held.
fn finish(registry: &Registry) -> Result<(Killed, Option<KillLock>), Error> {
    if switch::read(registry.layout())?.is_none() {
        return Err(Error::NotKilled);
    }
    let mut killed = Killed { removed: Vec::new(), runs: Vec::new(), unfinished: Vec::new() };
    let docker = Docker::default();
    let mut engine_is_clean = sweep(registry, &docker, &mut killed);
    // Whoever was between its look at the file and its start has started by the time we get this lock.
    let lock = KillLock::acquire(registry, SWEEP_PATIENCE);
    // Lifted while we waited: what runs now may run, and is not to be paused.
    let Some(killing) = switch::read(registry.layout())? else { return Err(Error::NotKilled) };
    match &lock {
        Ok(_) if engine_is_clean => engine_is_clean = sweep(registry, &docker, &mut killed),
        Ok(_) => {}
        Err(error) => killed.unfinished.push(format!("a start is still under way: {error}")),
    }
    images::end_builds(registry);
    let lock = lock.ok();
    if !engine_is_clean || lock.is_none() {
        return Ok((killed, lock));
    }
    for run in queries::list_runs(registry)? {
        match journal(registry, &run, &killing.reason) {
            Ok(true) => killed.runs.push(run),
            Ok(false) => {}
            Err(error) => killed.unfinished.push(format!("run {run}: {error}")),
        }
    }
    Ok((killed, lock))
}

/// Removes containers until none is left. Whether the Engine could be asked.
fn sweep(registry: &Registry, docker: &Docker, killed: &mut Killed) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < SWEEP_PATIENCE {
        let swept = registry
            .id()
            .map_err(Error::from)
            .and_then(|id| docker.wait(|engine| async move { engine.kill_all(&id).await }));
        match swept {
            Ok(result) => {
                let none_left = result.removed.is_empty() && result.failed.is_empty();
                for container in result.removed {
                    // Listed again while its removal, perhaps by another kill, goes on.
                    if !killed.removed.contains(&container.name) {
                        killed.removed.push(container.name);
                    }
                }
                if none_left {
                    return true;
                }
                for (container, problem) in result.failed {
                    killed.unfinished.push(format!("container {}: {problem}", container.name));
                }
                if !killed.unfinished.is_empty() {
                    return false;
                }
                std::thread::sleep(Duration::from_millis(2));
            }
            Err(error) => {
                killed.unfinished.push(error.to_string());
                return false;
            }
        }
    }
    killed.unfinished.push("containers keep appearing".to_owned());
    false
}

fn journal(registry: &Registry, run: &RunId, reason: &str) -> Result<bool, Error> {
    let store = Store::open(registry, run)?;
    let state = store.load()?;
    secrets::withdraw(&store)?;
    if !state.may_have_containers() {
        return Ok(false);
    }
    let traffic = super::gate::traffic_head(&store);
    store.commit(&operator(), Command::Killed { reason: reason.to_owned(), traffic })?;
    Ok(true)
}

/// Turns the switch off. Runs that were ended stay paused until each is resumed.
///
/// # Errors
/// When the switch is off, or what the kill began cannot be finished first.
pub fn unlock(registry: &Registry, reason: &str) -> Result<Kill, Error> {
    let Some(killing) = switch::read(registry.layout())? else { return Err(Error::NotKilled) };
    let (finished, _lock) = finish(registry)?;
    if let Some(first) = finished.unfinished.first() {
        return Err(Error::KillUnfinished(first.clone()));
    }
    switch::record_lift(registry.layout(), &killing, reason, &operator(), Utc::now())?;
    switch::lift(registry.layout())?;
    Ok(killing)
}
