//! The end of an agent: from the moment that its journal says so nothing begins, its gate refuses, and what it had under
//! way is ended. Its folder stays as it is.

use std::panic::resume_unwind;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::engine::actor::operator;
use crate::engine::error::Error;
use crate::engine::given::StillDeployed;
use crate::engine::store::Store;
use crate::engine::{deployments, listing, seal, tick};
use crate::registry::index::Ask;
use crate::registry::{Registry, kill, schedules};
use crate::role::agent::AgentEvent;
use crate::run::id::{AgentName, NodeId, RunId};
use crate::run::state::State;
use crate::run::status::NodeStatus;

use super::store::AgentStore;

/// How long the ending of what it had under way may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// So many runs are ended at the same time: while one waits for its container, the gates of the others would go on serving.
const AT_ONCE: usize = 16;

/// What became of an offboarding.
#[derive(Debug, Clone, Serialize)]
pub struct Offboarding {
    pub name: AgentName,
    /// Attempts that were ended, as `run/node/number`.
    pub ended: Vec<String>,
    /// Tasks that waited, in its queue or for a decision, and will not be done, as `run/node`.
    pub dropped: Vec<String>,
    /// What it was allowed to offer on a port: that goes on until it is taken back.
    pub deployed: Vec<StillDeployed>,
}

/// Offboards agent `name`. When it returns, nothing of it runs but what it deployed.
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
    let waiting = waiting_for(registry, name)?;
    let mut dropped: Vec<String> = queue.iter().chain(&waiting).map(|(run, node)| format!("{run}/{node}")).collect();
    dropped.sort();
    dropped.dedup();
    let mut runs: Vec<&RunId> = active.iter().map(|task| &task.run).collect();
    runs.extend(queue.iter().chain(&waiting).map(|(run, _)| run));
    runs.sort();
    runs.dedup();
    // One run that cannot be ended keeps none of the others from it.
    let mut failed = None;
    for some in runs.chunks(AT_ONCE) {
        let ended = std::thread::scope(|scope| {
            let each: Vec<_> = some.iter().map(|run| scope.spawn(|| end_in(registry, name, run))).collect();
            each.into_iter().map(|one| one.join().unwrap_or_else(|panic| resume_unwind(panic))).collect::<Vec<_>>()
        });
        for result in ended {
            if let Err(error) = result {
                failed.get_or_insert(error);
            }
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
        dropped,
        deployed: deployed_by(registry, name)?,
    })
}

/// Nodes of `name` that wait for a decision: they hold no place of it. What cannot be read is for its own tick to say.
fn waiting_for(registry: &Registry, name: &AgentName) -> Result<Vec<(RunId, NodeId)>, Error> {
    let mut found = Vec::new();
    for listed in listing::list(registry, Ask::Active)? {
        let Ok(entry) = listed.entry else { continue };
        if !entry.active {
            continue;
        }
        let Ok(state) = Store::open(registry, &listed.run).and_then(|store| store.load()) else { continue };
        if state.status.is_terminal() {
            continue;
        }
        let waits = state.pairs().filter(|(definition, node)| {
            definition.agent() == Some(name) && node.status == NodeStatus::Waiting && node.live().is_none()
        });
        found.extend(waits.map(|(definition, _)| (listed.run.clone(), definition.id.clone())));
    }
    Ok(found)
}

/// What goes on that nodes of `name` deployed.
fn deployed_by(registry: &Registry, name: &AgentName) -> Result<Vec<StillDeployed>, Error> {
    let (rows, _) = deployments::list_deployments(registry, None)?;
    let own = |row: &deployments::Row| {
        let state = Store::open(registry, &row.run).and_then(|store| store.load());
        let agent = state.is_ok_and(|state| state.node(&row.node).is_some_and(|(node, _)| node.agent() == Some(name)));
        agent && row.down.is_none()
    };
    let own = rows.into_iter().filter(own);
    Ok(own.map(|row| StillDeployed { id: row.id, run: row.run, address: row.address }).collect())
}

/// Ticks `run` until no attempt of `name` lives in it, none of it waits, and the runs that it gave work to are over. Another
/// process that drives it does the same.
fn end_in(registry: &Registry, name: &AgentName, run: &RunId) -> Result<(), Error> {
    // Under the switch nothing runs, and nothing is decided on: what waits ends when the run is driven again.
    let killed = kill::read(registry.layout())?.is_some();
    let of_agent = |state: &State| {
        let waits = !killed && !state.status.is_terminal();
        state.pairs().any(|(definition, node)| {
            let there = node.live().is_some() || (waits && node.status == NodeStatus::Waiting);
            definition.agent() == Some(name) && there
        })
    };
    let Some(state) = tick_until(registry, name, run, |state| !of_agent(state))? else { return Ok(()) };
    let children = state
        .children
        .iter()
        .filter(|child| state.node(&child.node).is_some_and(|(definition, _)| definition.agent() == Some(name)));
    for child in children {
        end_below(registry, name, &child.run)?;
    }
    Ok(())
}

/// The same for a child of its, and for what that one gave away.
fn end_below(registry: &Registry, name: &AgentName, run: &RunId) -> Result<(), Error> {
    let over = |state: &State| state.status.is_terminal() && state.live_attempts().next().is_none();
    let Some(state) = tick_until(registry, name, run, over)? else { return Ok(()) };
    state.children.iter().try_for_each(|child| end_below(registry, name, &child.run))
}

/// Ticks `run` until `over` says so; none where there is no such run.
fn tick_until(
    registry: &Registry,
    name: &AgentName,
    run: &RunId,
    over: impl Fn(&State) -> bool,
) -> Result<Option<State>, Error> {
    let store = match Store::open(registry, run) {
        Ok(store) => store,
        Err(Error::NoRun(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let begun = Instant::now();
    loop {
        // A tick that fails with something else may have ended it all the same.
        let ticked = tick::tick(registry, run);
        let state = store.load()?;
        if over(&state) {
            return Ok(Some(state));
        }
        ticked?;
        if begun.elapsed() > PATIENCE {
            return Err(Error::StillRuns { run: run.clone(), agent: name.clone() });
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
