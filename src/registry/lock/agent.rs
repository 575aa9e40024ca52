//! The lock of a hired agent.

use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use super::{Hold, take};
use crate::registry::error::{Error, Result};
use crate::registry::layout::AgentLayout;
use crate::registry::{Registry, agents, root};
use crate::run::id::{AgentName, RunId};

/// The right to change an agent, for milliseconds. Taken after a run's lock, if at all with one, never before it.
#[derive(Debug)]
pub struct AgentLock {
    layout: AgentLayout,
    journal_name: RunId,
    head: PathBuf,
    _file: File,
}

impl AgentLock {
    /// Locks `agent`, waiting for at most `wait`.
    ///
    /// # Errors
    /// [`Error::NoAgent`], [`Error::Locked`], [`Error::Remote`], and those of the file system.
    pub fn acquire(registry: &Registry, agent: &AgentName, wait: Duration) -> Result<Self> {
        registry.require_local()?;
        let layout = registry.layout().agent(agent);
        if !root::is_dir(layout.root()) {
            return Err(Error::NoAgent { agent: agent.clone() });
        }
        registry.make_local_folders()?;
        let file = take(&layout.lock(), Hold::Exclusive, wait)?
            .ok_or_else(|| Error::Locked { what: format!("agent `{agent}`"), waited: wait })?;
        let journal_name = agents::journal_name(agent)?;
        Ok(Self { layout, journal_name, head: registry.layout().agent_head(agent), _file: file })
    }

    pub(crate) fn journal_name(&self) -> &RunId {
        &self.journal_name
    }

    /// The paths of the locked agent.
    #[must_use]
    pub fn layout(&self) -> &AgentLayout {
        &self.layout
    }

    pub(crate) fn head_path(&self) -> PathBuf {
        self.head.clone()
    }
}
