//! `gate/memory/<agent>.json`: what a hired agent remembers, as the host last wrote it. What the agent has written since
//! lies in the inbox and is laid over it.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Error, durable};
use crate::role::Action;
use crate::role::agent::{Entry, Lately, MemoryKey};
use crate::run::capability::ActionLimit;
use crate::run::id::AgentName;

/// The largest file, in bytes: all that an agent may remember, escaped.
const LARGEST: u64 = 8 << 20;

/// The content of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct MemoryFile {
    /// 1.
    pub format: u32,
    pub agent: AgentName,
    pub entries: BTreeMap<MemoryKey, Entry>,
    /// What the agent has changed of it itself, of late.
    #[serde(default)]
    pub written: Lately,
    /// How long its journal is, in bytes.
    #[serde(default)]
    pub journal: u64,
}

/// Whose memory an attempt reaches, and what it may do with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct MemoryUse {
    pub agent: AgentName,
    /// Of the family `memory`.
    pub actions: Vec<Action>,
    /// How often some of them may be done.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<Action, ActionLimit>,
}

/// What `agent` remembers; nothing if there is no file.
pub(crate) fn read(gate: &Path, agent: &AgentName) -> Result<MemoryFile, Error> {
    let path = gate.join("memory").join(format!("{agent}.json"));
    let bytes = match durable::read(&path, LARGEST) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let (entries, written) = (BTreeMap::new(), Lately::default());
            return Ok(MemoryFile { format: 1, agent: agent.clone(), entries, written, journal: 0 });
        }
        Err(error) => return Err(Error::io("read", path)(error)),
    };
    let wrong = |reason: String| Error::Format { path: path.clone(), reason };
    let file: MemoryFile = serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
    if file.format != 1 || file.agent != *agent {
        return Err(wrong("its format is not 1, or it is another agent's".to_owned()));
    }
    Ok(file)
}
