//! The end of an agent: from the moment that its journal says so nothing begins, its gate refuses, and what it had under
//! way is ended. Its folder stays as it is.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::engine::actor::operator;
use crate::engine::error::Error;
use crate::engine::seal;
use crate::engine::store::Store;
use crate::engine::tick;
use crate::registry::{Registry, schedules};
use crate::role::agent::AgentEvent;
use crate::run::id::{AgentName, RunId};

use super::store::AgentStore;

/// How long the ending of what it had under way may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What became of an offboarding.
#[derive(Debug, Clone, Serialize)]
pub struct Offboarding {
    pub name: AgentName,
    /// Attempts that were ended, as `run/node/number`.
    pub ended: Vec<String>,
    /// Tasks that waited and will not be done, as `run/node`.
    pub dropped: Vec<String>,
}

/// Offboards agent `name`. When it returns, nothing of it runs.
///
/// # Errors
/// [`Error::Agent`] if it was offboarded before; when what it had under way cannot be ended, which does not undo it: the
/// next tick ends it.
pub fn offboard(registry: &Registry, name: &AgentName, reason: &str) -> Result<Offboarding, Error> {
    let store = AgentStore::open(registry, name)?;
    let mut before = None;
    store.commit(&operator(), |agent, _| {
        agent.require_hired()?;
        before = Some((agent.active.clone(), agent.queue.clone()));
        Ok(vec![AgentEvent::Offboarded { reason: reason.to_owned() }])
    })?;
    let (active, queue) = before.unwrap_or_default();
    let mut runs: Vec<RunId> = active.iter().map(|task| task.run.clone()).collect();
    runs.extend(queue.iter().map(|(run, _)| run.clone()));
    runs.sort();
    runs.dedup();
    // One run that cannot be ended keeps none of the others from it.
    let mut failed = None;
    for run in &runs {
        if let Err(error) = end_in(registry, name, run) {
            failed.get_or_insert(error);
        }
    }
    // What it was to be told at times is nobody's any more: a look would find that out as well.
    for schedule in schedules::list(registry)? {
        if schedules::parts(&schedule).is_some_and(|(whose, _)| whose == *name) {
            schedules::remove(registry, &schedule)?;
        }
    }
    seal::seal_offboarded(registry, name);
    if let Some(error) = failed {
        return Err(error);
    }
    Ok(Offboarding {
        name: name.clone(),
        ended: active.iter().map(|task| format!("{}/{}/{}", task.run, task.node, task.attempt)).collect(),
        dropped: queue.iter().map(|(run, node)| format!("{run}/{node}")).collect(),
    })
}

/// Ticks `run` until no attempt of `name` lives in it. Another process that drives it does the same.
fn end_in(registry: &Registry, name: &AgentName, run: &RunId) -> Result<(), Error> {
    let store = match Store::open(registry, run) {
        Ok(store) => store,
        Err(Error::NoRun(_)) => return Ok(()),
        Err(error) => return Err(error),
    };
    let begun = Instant::now();
    loop {
        // A tick that fails with something else may have ended it all the same.
        let ticked = tick::tick(registry, run);
        let state = store.load()?;
        let lives = state.live_attempts().any(|(definition, _)| definition.agent() == Some(name));
        if !lives {
            return Ok(());
        }
        ticked?;
        if begun.elapsed() > PATIENCE {
            return Err(Error::StillRuns { run: run.clone(), agent: name.clone() });
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
