//! The fold of an agent's journal.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::event::{AgentEvent, Task, Written};
use super::memory::{Entry, Lately, MemoryError, MemoryKey, check_value};
use crate::run::id::{AgentName, Digest, NodeId, RoleName, RunId};
use crate::run::record::Record;
use crate::run::time::parse_time;

/// A hired agent as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Agent {
    pub id: String,
    pub name: AgentName,
    pub role: RoleName,
    pub digest: Digest,
    pub max_concurrent: u32,
    pub hired_at: DateTime<Utc>,
    pub hired_by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offboarded: Option<Offboarded>,
    /// Attempts under way.
    pub active: Vec<Task>,
    /// Nodes that wait for it, in order.
    pub queue: Vec<(RunId, NodeId)>,
    /// Attempts that it has begun in all.
    pub tasks: u64,
    /// Keys and sizes in bytes; the values lie under `memory/`.
    pub memory: BTreeMap<MemoryKey, u64>,
    /// The values, with their times.
    #[serde(skip)]
    pub remembered: BTreeMap<MemoryKey, Entry>,
    /// Messages that changed the memory already.
    #[serde(skip)]
    pub ingested: BTreeSet<String>,
    /// What it has changed of it itself, of late.
    #[serde(skip)]
    pub written: Lately,
}

/// An agent's end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Offboarded {
    pub at: DateTime<Utc>,
    pub by: String,
    pub reason: String,
}

/// What an agent is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AgentStatus {
    Idle,
    Working,
    Offboarded,
}

impl AgentStatus {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Working => "working",
            Self::Offboarded => "offboarded",
        }
    }
}

/// Why a journal is no agent's.
#[derive(Debug, Error)]
pub enum FoldError {
    #[error("it does not begin with `agent.hired`")]
    NotHired,
    #[error("line {seq} ({event}) is not understood: {source}")]
    Line { seq: u64, event: String, source: serde_json::Error },
    #[error("line {seq} is of format {format}, and 1 is what this version knows")]
    Format { seq: u64, format: u32 },
    #[error("line {seq} has no time")]
    Time { seq: u64 },
}

/// Why something may not happen to an agent.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AgentRefusal {
    #[error("agent `{name}` was offboarded at {at} by {by}: {reason}")]
    Offboarded { name: AgentName, at: String, by: String, reason: String },
    #[error("agent `{name}` remembers nothing under `{key}`")]
    NoMemory { name: AgentName, key: MemoryKey },
    #[error(transparent)]
    Memory(#[from] MemoryError),
}

/// The agent that a journal's lines come to.
///
/// # Errors
/// [`FoldError`] says which line is not one of an agent's journal.
pub fn fold(records: &[Record]) -> Result<Agent, FoldError> {
    let mut agent: Option<Agent> = None;
    for record in records {
        let seq = record.seq;
        let event = AgentEvent::of(record);
        let event = event.map_err(|source| FoldError::Line { seq, event: record.event.clone(), source })?;
        let Some(event) = event else { continue };
        let at = parse_time(&record.timestamp).ok_or(FoldError::Time { seq })?;
        match (&mut agent, event) {
            (None, AgentEvent::Hired { format: 1, id, name, role, digest, max_concurrent }) => {
                agent = Some(Agent {
                    id,
                    name,
                    role,
                    digest,
                    max_concurrent,
                    hired_at: at,
                    hired_by: record.actor.clone(),
                    offboarded: None,
                    active: Vec::new(),
                    queue: Vec::new(),
                    tasks: 0,
                    memory: BTreeMap::new(),
                    remembered: BTreeMap::new(),
                    ingested: BTreeSet::new(),
                    written: Lately::default(),
                });
            }
            (None, AgentEvent::Hired { format, .. }) => return Err(FoldError::Format { seq, format }),
            (Some(agent), event) => agent.apply(event, at, &record.actor),
            (None, _) => return Err(FoldError::NotHired),
        }
    }
    agent.ok_or(FoldError::NotHired)
}

impl Agent {
    /// Takes `event` in.
    pub fn apply(&mut self, event: AgentEvent, at: DateTime<Utc>, actor: &str) {
        match event {
            // One journal is one agent's.
            AgentEvent::Hired { .. } => {}
            AgentEvent::Offboarded { reason } => {
                self.queue.clear();
                self.offboarded.get_or_insert(Offboarded { at, by: actor.to_owned(), reason });
            }
            AgentEvent::Queued { run, node } => self.queue.push((run, node)),
            AgentEvent::Unqueued { run, node } => self.queue.retain(|waiting| *waiting != (run.clone(), node.clone())),
            AgentEvent::Begun(task) => {
                self.queue.retain(|(run, node)| (run, node) != (&task.run, &task.node));
                self.tasks += 1;
                self.active.push(task);
            }
            AgentEvent::Ended(task) => self.active.retain(|active| *active != task),
            AgentEvent::MemorySet { key, value, by } => {
                self.ingest(by, at, value.len() as u64);
                self.memory.insert(key.clone(), value.len() as u64);
                self.remembered.insert(key, Entry { value, at });
            }
            AgentEvent::MemoryRemoved { key, by } => {
                self.ingest(by, at, 0);
                self.memory.remove(&key);
                self.remembered.remove(&key);
            }
        }
    }

    /// A change that the agent made itself counts for its day.
    fn ingest(&mut self, by: Option<Written>, at: DateTime<Utc>, bytes: u64) {
        if let Some(by) = by {
            self.ingested.insert(by.inbox);
            self.written.count(at, bytes);
        }
    }

    #[must_use]
    pub fn status(&self) -> AgentStatus {
        match (&self.offboarded, self.active.is_empty()) {
            (Some(_), _) => AgentStatus::Offboarded,
            (None, true) => AgentStatus::Idle,
            (None, false) => AgentStatus::Working,
        }
    }

    /// Whether it was not offboarded.
    #[must_use]
    pub const fn is_hired(&self) -> bool {
        self.offboarded.is_none()
    }

    /// # Errors
    /// [`AgentRefusal::Offboarded`]: nothing happens to it any more.
    pub fn require_hired(&self) -> Result<(), AgentRefusal> {
        match &self.offboarded {
            None => Ok(()),
            Some(end) => Err(AgentRefusal::Offboarded {
                name: self.name.clone(),
                at: crate::run::time::isoformat(end.at),
                by: end.by.clone(),
                reason: end.reason.clone(),
            }),
        }
    }

    /// The events of remembering `value`, or of forgetting `key` if that is none: none for a message that was taken in.
    ///
    /// # Errors
    /// [`AgentRefusal`]: offboarded, a bound of the memory, nothing to forget.
    pub fn remember(
        &self,
        key: MemoryKey,
        value: Option<String>,
        by: Option<Written>,
    ) -> Result<Vec<AgentEvent>, AgentRefusal> {
        if by.as_ref().is_some_and(|by| self.ingested.contains(&by.inbox)) {
            return Ok(Vec::new());
        }
        self.require_hired()?;
        let Some(value) = value else {
            return match self.remembered.contains_key(&key) {
                true => Ok(vec![AgentEvent::MemoryRemoved { key, by }]),
                false => Err(AgentRefusal::NoMemory { name: self.name.clone(), key }),
            };
        };
        check_value(self.remembered.iter().map(|(key, entry)| (key, entry.value.len())), &key, &value)?;
        Ok(vec![AgentEvent::MemorySet { key, value, by }])
    }

    /// The events of beginning `task`; none if it is begun already. The caller knows that there is room.
    ///
    /// # Errors
    /// [`AgentRefusal::Offboarded`].
    pub fn begin(&self, task: Task) -> Result<Vec<AgentEvent>, AgentRefusal> {
        self.require_hired()?;
        Ok(if self.active.contains(&task) { Vec::new() } else { vec![AgentEvent::Begun(task)] })
    }

    /// Whether as many attempts are under way as may be, `task` itself left out.
    #[must_use]
    pub fn is_full_beside(&self, run: &RunId, node: &NodeId) -> bool {
        let others = self.active.iter().filter(|task| (&task.run, &task.node) != (run, node)).count();
        others as u64 >= u64::from(self.max_concurrent)
    }
}
