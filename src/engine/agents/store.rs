//! An agent's journal as a place for commands: load, choose, commit, project, under the agent's lock and for
//! milliseconds.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::registry::{self, AgentLayout, AgentLock, Head, Journal, Registry, Scan, project};
use crate::role::agent::{Agent, AgentEvent, AgentRefusal, fold, is_known};
use crate::run::id::AgentName;
use crate::run::record::Record;

use crate::engine::error::Error;

/// How long a command waits for an agent's lock.
const PATIENCE: Duration = Duration::from_secs(10);

/// `agent.json`.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Projection {
    /// 1.
    pub(crate) format: u32,
    /// How far the journal had been folded.
    pub(crate) journal: Head,
    pub(crate) agent: Agent,
}

/// One hired agent of a registry.
#[derive(Debug, Clone)]
pub struct AgentStore<'a> {
    registry: &'a Registry,
    name: AgentName,
}

impl<'a> AgentStore<'a> {
    /// The agent `name`, which must exist, offboarded or not.
    ///
    /// # Errors
    /// [`registry::Error::NoAgent`].
    pub fn open(registry: &'a Registry, name: &AgentName) -> Result<Self, Error> {
        let store = Self { registry, name: name.clone() };
        if store.layout().journal().exists() {
            return Ok(store);
        }
        Err(registry::Error::NoAgent { agent: name.clone() }.into())
    }

    #[must_use]
    pub fn layout(&self) -> AgentLayout {
        self.registry.layout().agent(&self.name)
    }

    /// The agent as its journal has it, memory included, without a lock.
    ///
    /// # Errors
    /// When the journal cannot be read, is not what was written, or is no agent's.
    pub fn load(&self) -> Result<Agent, Error> {
        self.fold(&self.scan()?)
    }

    /// The journal's records.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn records(&self) -> Result<Vec<Record>, Error> {
        Ok(self.scan()?.records)
    }

    fn scan(&self) -> Result<Scan, Error> {
        let run = registry::agents::journal_name(&self.name)?;
        let scan = Journal::read(&self.layout().journal(), &run)?;
        match scan.grave() {
            None => Ok(scan),
            Some(finding) => Err(registry::Error::Integrity { run, what: finding.what.to_string() }.into()),
        }
    }

    /// The agent as its projection has it, if that covers the whole journal, without what it remembers; folded
    /// otherwise. For lists, where each agent costs a file instead of a journal.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn peek(&self) -> Result<Agent, Error> {
        match self.projection() {
            Some(found) if self.length() == Some(found.journal.at) && found.agent.name == self.name => Ok(found.agent),
            _ => self.load(),
        }
    }

    /// How long its journal is, in bytes.
    pub(crate) fn length(&self) -> Option<u64> {
        std::fs::metadata(self.layout().journal()).map(|meta| meta.len()).ok()
    }

    fn projection(&self) -> Option<Projection> {
        let bytes = std::fs::read(self.layout().agent()).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    fn fold(&self, scan: &Scan) -> Result<Agent, Error> {
        let agent = fold(&scan.records).map_err(|source| Error::NotAnAgent { name: self.name.clone(), source })?;
        // A journal that was copied from another agent's folder does not hash to its head; this says it in words.
        if agent.name == self.name { Ok(agent) } else { Err(Error::NotThisAgent { name: self.name.clone() }) }
    }

    /// Commits the events that `choose` gives for the agent as it is under the lock. The agent afterwards.
    ///
    /// # Errors
    /// What `choose` refuses, and those of the file system; after an error nothing was acknowledged.
    pub fn commit(
        &self,
        actor: &str,
        choose: impl FnOnce(&Agent, DateTime<Utc>) -> Result<Vec<AgentEvent>, AgentRefusal>,
    ) -> Result<Agent, Error> {
        let now = Utc::now();
        let lock = AgentLock::acquire(self.registry, &self.name, PATIENCE)?;
        let (mut journal, scan) = Journal::open(lock, is_known, actor, now)?;
        let mut agent = self.fold(&scan)?;
        let events = choose(&agent, now)?;
        let is_projected = self.projection().is_some_and(|found| found.journal.at == journal.head().at);
        if !events.is_empty() {
            let drafts = events.iter().map(AgentEvent::to_draft).collect();
            let records = journal.commit(drafts, actor, now)?;
            let at = records.last().and_then(|record| crate::run::time::parse_time(&record.timestamp)).unwrap_or(now);
            for event in events {
                agent.apply(event, at, actor);
            }
        } else if is_projected {
            return Ok(agent);
        }
        self.project(&agent, &journal.head())?;
        journal.keep(None);
        Ok(agent)
    }

    /// Writes what the journal comes to. What is remembered first: `agent.json` says that all of it stands.
    fn project(&self, agent: &Agent, head: &Head) -> Result<(), Error> {
        let layout = self.layout();
        if !layout.memory().exists() {
            let folder = layout.memory();
            std::fs::create_dir_all(&folder).map_err(|source| Error::Io { action: "create", path: folder, source })?;
        }
        let mut wanted = BTreeSet::new();
        for (key, entry) in &agent.remembered {
            let path = layout.remembered(key);
            project::write_if_changed(&path, entry.value.as_bytes())?;
            wanted.insert(path);
        }
        let folder = layout.memory();
        let io = |source| Error::Io { action: "tidy", path: folder.clone(), source };
        for entry in std::fs::read_dir(&folder).map_err(io)? {
            let path = entry.map_err(io)?.path();
            let ours = path.extension().is_some_and(|end| end == "md") && !wanted.contains(&path);
            if ours {
                std::fs::remove_file(&path).map_err(|source| Error::Io { action: "remove", path, source })?;
            }
        }
        project::write_if_changed(&layout.agent(), &projection(agent, head))?;
        Ok(())
    }
}

/// The text of `agent.json`.
pub(crate) fn projection(agent: &Agent, head: &Head) -> Vec<u8> {
    let projection = Projection { format: 1, journal: head.clone(), agent: agent.clone() };
    registry::to_opentask_json(&projection).into_bytes()
}
