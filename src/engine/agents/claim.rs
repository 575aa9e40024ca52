//! Whose turn it is: an agent has as many attempts under way as its role allows, and the others wait in the order in
//! which they came. A place is taken in the agent's journal before the attempt's intent is journaled, and given back
//! with its end; one that a crash left taken is found out by looking at the run that it is of.

use crate::engine::actor::TICK;
use crate::engine::error::Error;
use crate::engine::store::Store;
use crate::registry::{DriveLock, Registry};
use crate::role::agent::{Agent, AgentEvent, Task};
use crate::run::id::{AgentName, NodeId, RunId};
use crate::run::status::{NodeStatus, RunStatus};

use super::store::AgentStore;

/// Whether an agent can begin a task now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Room {
    Free,
    /// It has to wait.
    Full {
        why: String,
        /// The run that it waits for: whoever drives one may drive the other.
        behind: RunId,
        /// Whether it stands in the queue.
        queued: bool,
    },
}

/// Whether `agent` has room for `node` of `run`, which this process drives.
///
/// # Errors
/// [`Error::Agent`] if it was offboarded; when its journal cannot be read. Another run that cannot be read keeps the place
/// that it has, and does not hold up the queue.
pub(crate) fn room(registry: &Registry, agent: &AgentName, run: &RunId, node: &NodeId) -> Result<Room, Error> {
    let store = AgentStore::open(registry, agent)?;
    let mut found = store.peek()?;
    found.require_hired()?;
    let me = (run.clone(), node.clone());
    let queued = found.queue.contains(&me);
    let mut unreadable = None;
    if found.is_full_beside(run, node) {
        (found, unreadable) = reconcile(registry, &store, found, run)?;
    }
    if found.is_full_beside(run, node) {
        if let Some((task, error)) = unreadable {
            let (holds, run) = (format!("{}/{}", task.run, task.node), task.run);
            let why = format!(
                "agent `{agent}` has a place taken by {holds}, and that run cannot be read ({error}): \
                 `taskforge repair {run} --dry-run` says what is wrong with it"
            );
            return Ok(Room::Full { why, behind: run, queued });
        }
        let other = found.active.iter().find(|task| (&task.run, &task.node) != (run, node));
        let Some(other) = other else { return Ok(Room::Free) };
        let most = found.max_concurrent;
        let why = format!("agent `{agent}` works on {}/{}, and on {most} at once at most", other.run, other.node);
        return Ok(Room::Full { why, behind: other.run.clone(), queued });
    }
    let free = u64::from(found.max_concurrent).saturating_sub(found.active.len() as u64);
    let mut ahead = 0;
    for waiting in found.queue.iter().take_while(|waiting| **waiting != me) {
        // What cannot be read cannot begin either; it keeps its turn for when it is mended.
        let Ok(waits) = waits(registry, waiting) else { continue };
        if !waits {
            let (run, node) = waiting.clone();
            store.commit(TICK, |_, _| Ok(vec![AgentEvent::Unqueued { run, node }]))?;
            continue;
        }
        ahead += 1;
        if ahead >= free {
            let why = format!("{}/{} is before it in the queue of agent `{agent}`", waiting.0, waiting.1);
            return Ok(Room::Full { why, behind: waiting.0.clone(), queued });
        }
    }
    Ok(Room::Free)
}

/// Whether `agent` may work: it is there, and was not offboarded.
///
/// # Errors
/// When its journal cannot be read.
pub(crate) fn is_hired(registry: &Registry, agent: &AgentName) -> Result<bool, Error> {
    match AgentStore::open(registry, agent).and_then(|store| store.peek()) {
        Ok(found) => Ok(found.is_hired()),
        Err(Error::Registry(crate::registry::Error::NoAgent { .. })) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Takes a place for an attempt that is about to be dispatched; whether there was one.
///
/// # Errors
/// As [`room`].
pub(crate) fn claim(registry: &Registry, agent: &AgentName, task: &Task) -> Result<bool, Error> {
    let mut taken = true;
    AgentStore::open(registry, agent)?.commit(TICK, |agent, _| {
        agent.require_hired()?;
        // Somebody else's run was faster.
        if agent.is_full_beside(&task.run, &task.node) {
            taken = false;
            return Ok(Vec::new());
        }
        // A place that an earlier attempt of this node still holds is this one's.
        let earlier = agent
            .active
            .iter()
            .filter(|active| (&active.run, &active.node) == (&task.run, &task.node) && active.attempt != task.attempt);
        let mut events: Vec<AgentEvent> = earlier.map(|earlier| AgentEvent::Ended(earlier.clone())).collect();
        events.extend(agent.begin(task.clone())?);
        Ok(events)
    })?;
    Ok(taken)
}

/// Puts a node into the queue.
///
/// # Errors
/// As [`room`].
pub(crate) fn queue(registry: &Registry, agent: &AgentName, run: &RunId, node: &NodeId) -> Result<(), Error> {
    let store = AgentStore::open(registry, agent)?;
    store.commit(TICK, |agent, _| {
        agent.require_hired()?;
        let me = (run.clone(), node.clone());
        let stands = agent.queue.contains(&me);
        Ok(if stands { Vec::new() } else { vec![AgentEvent::Queued { run: me.0, node: me.1 }] })
    })?;
    Ok(())
}

/// Gives a place back, if it is taken.
///
/// # Errors
/// When the agent's journal cannot be read or written.
pub(crate) fn release(registry: &Registry, agent: &AgentName, task: &Task) -> Result<(), Error> {
    AgentStore::open(registry, agent)?.commit(TICK, |agent, _| {
        let held = agent.active.contains(task);
        Ok(if held { vec![AgentEvent::Ended(task.clone())] } else { Vec::new() })
    })?;
    Ok(())
}

/// Takes a run that is over out of the queue of `agent`, and gives back what places it has.
///
/// # Errors
/// When the agent's journal cannot be read or written.
pub(crate) fn leave(registry: &Registry, agent: &AgentName, run: &RunId) -> Result<(), Error> {
    let store = match AgentStore::open(registry, agent) {
        Ok(store) => store,
        Err(Error::Registry(crate::registry::Error::NoAgent { .. })) => return Ok(()),
        Err(error) => return Err(error),
    };
    let left = |agent: &Agent| -> Vec<AgentEvent> {
        let waiting = agent.queue.iter().filter(|(own, _)| own == run);
        let waiting = waiting.map(|(run, node)| AgentEvent::Unqueued { run: run.clone(), node: node.clone() });
        let active = agent.active.iter().filter(|task| task.run == *run);
        waiting.chain(active.map(|task| AgentEvent::Ended(task.clone()))).collect()
    };
    if left(&store.peek()?).is_empty() {
        return Ok(());
    }
    store.commit(TICK, |agent, _| Ok(left(agent)))?;
    Ok(())
}

/// A place whose run cannot be read, and why.
type Unreadable = (Task, Error);

/// The agent without the places of attempts that are over. Whether one is cannot be told where the run cannot be read.
fn reconcile(
    registry: &Registry,
    store: &AgentStore<'_>,
    agent: Agent,
    own: &RunId,
) -> Result<(Agent, Option<Unreadable>), Error> {
    let (mut over, mut unreadable) = (Vec::new(), None);
    for task in &agent.active {
        match is_live(registry, task, own) {
            Ok(true) => {}
            Ok(false) => over.push(task.clone()),
            Err(error) => unreadable = Some((task.clone(), error)),
        }
    }
    if over.is_empty() {
        return Ok((agent, unreadable));
    }
    let agent = store.commit(TICK, |agent, _| {
        let over = over.into_iter().filter(|task| agent.active.contains(task));
        Ok(over.map(AgentEvent::Ended).collect())
    })?;
    Ok((agent, unreadable))
}

fn is_live(registry: &Registry, task: &Task, own: &RunId) -> Result<bool, Error> {
    let state = match Store::open(registry, &task.run) {
        Ok(store) => store.peek()?,
        Err(Error::NoRun(_)) => return Ok(false),
        Err(error) => return Err(error),
    };
    let attempt = state.node(&task.node).and_then(|(_, node)| node.attempts.iter().find(|a| a.number == task.attempt));
    match attempt {
        Some(attempt) => Ok(attempt.end.is_none()),
        // We drive it, and are not dispatching it.
        None if task.run == *own => Ok(false),
        // Its place is taken before its intent is journaled: somebody may be between the two, who then drives the run.
        None => Ok(DriveLock::try_acquire(registry, &task.run)?.is_none()),
    }
}

/// Whether a node that stands in the queue would begin if it could.
fn waits(registry: &Registry, (run, node): &(RunId, NodeId)) -> Result<bool, Error> {
    let state = match Store::open(registry, run) {
        Ok(store) => store.peek()?,
        Err(Error::NoRun(_)) => return Ok(false),
        Err(error) => return Err(error),
    };
    let ready = state.node(node).is_some_and(|(_, node)| node.status == NodeStatus::Ready && node.live().is_none());
    Ok(state.status == RunStatus::Running && ready)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::engine::recorded;
    use crate::run::id::RoleName;

    #[test]
    fn a_run_that_cannot_be_read_holds_its_place_and_not_the_queue() {
        let (folder, registry) = recorded::registry();
        std::fs::create_dir_all(folder.path().join("roles")).unwrap();
        let role =
            "---\nrole: tester\ndisplayName: Tester\ndescription: Tests\ntasks: {maxConcurrent: 1}\n---\nYou test.\n";
        std::fs::write(folder.path().join("roles/tester.role.md"), role).unwrap();
        let ada = AgentName::parse("ada").unwrap();
        super::super::hire(&registry, &RoleName::parse("tester").unwrap(), &ada).unwrap();
        let [damaged, own] = [0, 1].map(|n| recorded::runs(&registry)[n].clone());
        let node = NodeId::parse("work").unwrap();
        // A journal that no disk gives back, and what was made of it neither.
        let journal = folder.path().join(format!("runs/{damaged}/events.jsonl"));
        std::fs::remove_file(&journal).unwrap();
        std::fs::create_dir(&journal).unwrap();
        std::fs::write(folder.path().join(format!("runs/{damaged}/taskforge.json")), "{broken\n").unwrap();
        assert!(Store::open(&registry, &damaged).and_then(|store| store.peek()).is_err());
        queue(&registry, &ada, &damaged, &node).unwrap();
        queue(&registry, &ada, &own, &node).unwrap();
        assert_eq!(room(&registry, &ada, &own, &node).unwrap(), Room::Free);
        let stands = |run: &RunId| {
            AgentStore::open(&registry, &ada).unwrap().peek().unwrap().queue.iter().any(|(queued, _)| queued == run)
        };
        assert!(stands(&damaged), "it keeps its turn");
        let task = Task { run: damaged.clone(), node: node.clone(), attempt: 1 };
        assert!(claim(&registry, &ada, &task).unwrap());
        match room(&registry, &ada, &own, &node).unwrap() {
            Room::Full { why, behind, .. } => {
                assert_eq!(behind, damaged);
                assert!(why.contains(&format!("`taskforge repair {damaged} --dry-run`")), "{why}");
            }
            Room::Free => panic!("there is one place, and it is taken"),
        }
    }
}
