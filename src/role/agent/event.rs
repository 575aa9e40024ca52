//! What happens to an agent, as its journal has it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::memory::MemoryKey;
use crate::run::id::{AgentName, Digest, NodeId, RoleName, RunId};
use crate::run::record::{Draft, Record};

/// One event of an agent's journal: the name as `event`, the rest as `data` of the line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "event", content = "data", rename_all_fields = "camelCase")]
pub enum AgentEvent {
    #[serde(rename = "agent.hired")]
    Hired {
        /// 1.
        format: u32,
        /// A ULID: never another agent's, in whatever registry.
        id: String,
        name: AgentName,
        role: RoleName,
        /// SHA-256 of the role and its skills as they lie under `role/` from then on.
        digest: Digest,
        max_concurrent: u32,
    },
    #[serde(rename = "agent.offboarded")]
    Offboarded { reason: String },
    /// A task has to wait: as many as the role allows are under way.
    #[serde(rename = "task.queued")]
    Queued { run: RunId, node: NodeId },
    /// A task waits no longer: it was begun, or is not to be done any more.
    #[serde(rename = "task.unqueued")]
    Unqueued { run: RunId, node: NodeId },
    #[serde(rename = "task.begun")]
    Begun(Task),
    #[serde(rename = "task.ended")]
    Ended(Task),
    #[serde(rename = "memory.set")]
    MemorySet {
        key: MemoryKey,
        value: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Written>,
    },
    #[serde(rename = "memory.removed")]
    MemoryRemoved {
        key: MemoryKey,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Written>,
    },
}

/// An attempt that the agent has under way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Task {
    pub run: RunId,
    pub node: NodeId,
    /// From 1.
    pub attempt: u32,
}

/// The message in a run's inbox that a change of the memory came by; none where a person made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Written {
    pub run: RunId,
    pub node: NodeId,
    pub attempt: u32,
    /// Journaled once, however often the message is found.
    pub inbox: String,
}

/// The events that this version understands; `journal.voided` is the journal's own.
const NAMES: [&str; 9] = [
    "agent.hired",
    "agent.offboarded",
    "task.queued",
    "task.unqueued",
    "task.begun",
    "task.ended",
    "memory.set",
    "memory.removed",
    "journal.voided",
];

/// Whether an event's name is one that an agent's journal may hold.
#[must_use]
pub fn is_known(name: &str) -> bool {
    NAMES.contains(&name)
}

impl AgentEvent {
    /// The line's content, with a sentence for people.
    #[must_use]
    pub fn to_draft(&self) -> Draft {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        let data = match value.get_mut("data").map(Value::take) {
            Some(Value::Object(data)) => data,
            _ => Map::new(),
        };
        let event = value.get("event").and_then(Value::as_str).unwrap_or_default().to_owned();
        Draft { event, node_id: None, message: Some(self.sentence()), payload: Map::new(), data }
    }

    /// The event of a line; none for one that says nothing of the agent (`journal.voided`).
    ///
    /// # Errors
    /// When its data is not what its name stands for.
    pub fn of(record: &Record) -> Result<Option<Self>, serde_json::Error> {
        if record.event == "journal.voided" {
            return Ok(None);
        }
        let value = serde_json::json!({"event": record.event, "data": record.data});
        serde_json::from_value(value).map(Some)
    }

    fn sentence(&self) -> String {
        match self {
            Self::Hired { name, role, digest, .. } => format!("{name} hired as {role} ({})", digest.short()),
            Self::Offboarded { reason } => format!("offboarded: {reason}"),
            Self::Queued { run, node } => format!("{run}/{node} waits"),
            Self::Unqueued { run, node } => format!("{run}/{node} waits no longer"),
            Self::Begun(task) => format!("{}/{} attempt {} begun", task.run, task.node, task.attempt),
            Self::Ended(task) => format!("{}/{} attempt {} ended", task.run, task.node, task.attempt),
            Self::MemorySet { key, value, .. } => format!("{key} set to {} bytes", value.len()),
            Self::MemoryRemoved { key, .. } => format!("{key} removed"),
        }
    }
}
