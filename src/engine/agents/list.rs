//! All agents, each from its projection: a file an agent, and no journal.

use serde::Serialize;

use crate::engine::error::Error;
use crate::registry::{Registry, agents as folders};
use crate::role::agent::Agent;
use crate::run::id::AgentName;

use super::store::AgentStore;

/// An agent's folder, sound or not.
#[derive(Debug, Clone, Serialize)]
pub struct ListedAgent {
    pub name: AgentName,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<Agent>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// All agents of the registry by name, those that were offboarded included.
///
/// # Errors
/// When the folder cannot be read.
pub fn agents(registry: &Registry) -> Result<Vec<ListedAgent>, Error> {
    let listed = |name: AgentName| match AgentStore::open(registry, &name).and_then(|store| store.peek()) {
        Ok(agent) => ListedAgent { name, agent: Some(agent), problem: None },
        Err(error) => ListedAgent { name, agent: None, problem: Some(error.to_string()) },
    };
    Ok(folders::list(registry)?.into_iter().map(listed).collect())
}
