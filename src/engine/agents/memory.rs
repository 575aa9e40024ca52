//! What an agent remembers, from the host's side: people change it by command, the agent through its gate's inbox, and
//! the gate answers the agent from a file that is written here. All of it goes through the agent's journal.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::engine::actor::{self, operator};
use crate::engine::error::Error;
use crate::engine::roles;
use crate::engine::store::Store;
use crate::gate::MemoryFile;
use crate::registry::{Registry, inbox, project};
use crate::role::Action;
use crate::role::agent::{Agent, AgentEvent, AgentRefusal, Entry, MemoryKey, Written, recall};
use crate::run::definition::NodeDefinition;
use crate::run::id::{AgentName, NodeId};
use crate::run::state::State;

use super::claim::is_hired;
use super::store::AgentStore;

/// Remembers `value` as `key`, by the person at the keyboard. The agent afterwards.
///
/// # Errors
/// [`Error::Agent`]: offboarded, or a bound of the memory.
pub fn remember(registry: &Registry, agent: &AgentName, key: &MemoryKey, value: String) -> Result<Agent, Error> {
    AgentStore::open(registry, agent)?.commit(&operator(), |agent, _| agent.remember(key.clone(), Some(value), None))
}

/// Forgets `key`. What it held stays in the agent's journal.
///
/// # Errors
/// [`Error::Agent`]: offboarded, or there is nothing of that name.
pub fn forget(registry: &Registry, agent: &AgentName, key: &MemoryKey) -> Result<Agent, Error> {
    AgentStore::open(registry, agent)?.commit(&operator(), |agent, _| agent.remember(key.clone(), None, None))
}

/// A version of something remembered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Remembered {
    /// The line of the agent's journal.
    pub seq: u64,
    pub at: String,
    /// Who: `operator:<name>`, `agent:<node>`.
    pub actor: String,
    /// None where it was forgotten.
    pub value: Option<String>,
    /// The attempt that wrote it; none where a person did.
    pub by: Option<Written>,
}

/// Every version of `key`, the oldest first.
///
/// # Errors
/// [`Error::Agent`] if nothing of that name was ever remembered; when the journal cannot be read.
pub fn history(registry: &Registry, agent: &AgentName, key: &MemoryKey) -> Result<Vec<Remembered>, Error> {
    let mut versions = Vec::new();
    for record in AgentStore::open(registry, agent)?.records()? {
        let (own, value, by) = match AgentEvent::of(&record) {
            Ok(Some(AgentEvent::MemorySet { key, value, by })) => (key, Some(value), by),
            Ok(Some(AgentEvent::MemoryRemoved { key, by })) => (key, None, by),
            _ => continue,
        };
        if own == *key {
            versions.push(Remembered { seq: record.seq, at: record.timestamp, actor: record.actor, value, by });
        }
    }
    match versions.is_empty() {
        true => Err(AgentRefusal::NoMemory { name: agent.clone(), key: key.clone() }.into()),
        false => Ok(versions),
    }
}

/// Takes in messages of the gate about the memory of one node's agent: together, so that many cost its journal one write.
/// Each exactly once, however often it is found: the agent's journal knows its id. Those that are refused, each with why.
///
/// # Errors
/// When the agent's journal cannot be read or written: the messages then stay for the next tick.
pub(crate) fn take(
    store: &Store<'_>,
    state: &State,
    messages: &[inbox::Message],
) -> Result<Vec<(String, String)>, Error> {
    let mut refused = Vec::new();
    let mut changes = Vec::new();
    let mut of: Option<(&AgentName, &NodeId)> = None;
    for message in messages {
        match wanted(store, state, message)? {
            Ok((agent, key, value, by)) => {
                of = Some((agent, &message.node));
                changes.push((key, value, by));
            }
            Err(why) => refused.push((message.id.to_string(), why)),
        }
    }
    let Some((agent, node)) = of else { return Ok(refused) };
    let actor = actor::agent(node);
    AgentStore::open(store.registry(), agent)?.commit(&actor, |agent, now| {
        let (mut agent, mut events) = (agent.clone(), Vec::new());
        for (key, value, by) in changes {
            let input = by.inbox.clone();
            match agent.remember(key, value, Some(by)) {
                Ok(more) => {
                    more.iter().for_each(|event| agent.apply(event.clone(), now, &actor));
                    events.extend(more);
                }
                // Somebody forgot it first.
                Err(AgentRefusal::NoMemory { .. }) => {}
                Err(refusal) => refused.push((input, refusal.to_string())),
            }
        }
        Ok(events)
    })?;
    // Before the messages go: the gate takes what lies in its inbox for newer than this file.
    publish(store, state)?;
    Ok(refused)
}

/// A change that is asked for: whose memory, the key, its value or none, and by what.
type Wanted<'s> = (&'s AgentName, MemoryKey, Option<String>, Written);

/// What a message asks for; the inner error is why it is refused.
fn wanted<'s>(
    store: &Store<'_>,
    state: &'s State,
    message: &inbox::Message,
) -> Result<Result<Wanted<'s>, String>, Error> {
    let Some((definition, node)) = state.node(&message.node) else {
        return Ok(Err("there is no such node".to_owned()));
    };
    if !node.attempts.iter().any(|attempt| attempt.number == message.attempt) {
        return Ok(Err(format!("the run has no attempt {} of node {}", message.attempt, message.node)));
    }
    let Some(agent) = definition.agent() else { return Ok(Err("its node is no hired agent's".to_owned())) };
    let (key, value) = match change(message) {
        Ok(change) => change,
        Err(why) => return Ok(Err(why)),
    };
    let action = if value.is_some() { Action::MemorySet } else { Action::MemoryRm };
    if !roles::of_node(store, definition)?.is_some_and(|bundle| bundle.role.allows(action)) {
        return Ok(Err(format!("its role does not allow {action}")));
    }
    let by = Written {
        run: store.run().clone(),
        node: message.node.clone(),
        attempt: message.attempt,
        inbox: message.id.to_string(),
    };
    Ok(Ok((agent, key, value, by)))
}

pub(crate) fn change(message: &inbox::Message) -> Result<(MemoryKey, Option<String>), String> {
    let text = |name: &str| message.body.get(name).and_then(Value::as_str);
    let key = MemoryKey::parse(text("key").ok_or("`key` is missing")?).map_err(|error| error.to_string())?;
    match (message.body.get("value"), text("value")) {
        (None | Some(Value::Null), _) => Ok((key, None)),
        (_, Some(value)) => Ok((key, Some(value.to_owned()))),
        _ => Err("`value` is no text".to_owned()),
    }
}

/// Writes for the gate what the agents of live attempts remember.
///
/// # Errors
/// When a journal cannot be read, or the file cannot be written.
pub(crate) fn publish(store: &Store<'_>, state: &State) -> Result<(), Error> {
    let agents: BTreeSet<&AgentName> = state.live_attempts().filter_map(|(definition, _)| definition.agent()).collect();
    for agent in agents {
        if !is_hired(store.registry(), agent)? {
            continue;
        }
        let of = AgentStore::open(store.registry(), agent)?;
        let (found, journal) = (of.load()?, of.length().unwrap_or(0));
        let (entries, written) = (found.remembered, found.written);
        let file = MemoryFile { format: 1, agent: agent.clone(), entries, written, journal };
        let bytes = serde_json::to_vec(&file).map_err(Error::Json)?;
        project::write_if_changed(&store.layout().gate_memory().join(format!("{agent}.json")), &bytes)?;
    }
    Ok(())
}

/// What stands of the agent's memory in the prompt of a new attempt; empty where its role does not let it look.
///
/// # Errors
/// When the agent's journal, or the role, cannot be read.
pub(crate) fn recalled(store: &Store<'_>, definition: &NodeDefinition) -> Result<String, Error> {
    let Some(agent) = definition.agent() else { return Ok(String::new()) };
    let Some(bundle) = roles::of_node(store, definition)? else { return Ok(String::new()) };
    if !bundle.role.allows(Action::MemoryGet) {
        return Ok(String::new());
    }
    let remembered: BTreeMap<MemoryKey, Entry> = AgentStore::open(store.registry(), agent)?.load()?.remembered;
    Ok(recall(&remembered, bundle.role.config.memory.prompt).text)
}
