//! The journal's line as data: what an event looks like before it has a place ([`Draft`]) and after ([`Record`]).
//! Nothing here knows files; nothing here knows what an event means.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// An event about to be written. The journal adds the place, the time and the chain.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// The event's name, such as `node.started`.
    pub event: String,
    pub node_id: Option<String>,
    /// One line for people, as OpenTask's readers show it.
    pub message: Option<String>,
    /// What OpenTask would write.
    pub payload: Map<String, Value>,
    /// What [`apply`](crate::run) needs beyond `payload`.
    pub data: Map<String, Value>,
}

/// A line of ours as read back: OpenTask's keys in its order, then our six.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Record {
    pub event: String,
    /// RFC 3339 in UTC as Python's `isoformat` writes it: `2026-11-20T11:46:18.964660+00:00`.
    pub timestamp: String,
    #[serde(rename = "runId")]
    pub run_id: String,
    pub payload: Map<String, Value>,
    #[serde(rename = "nodeId", default, skip_serializing_if = "Option::is_none")]
    pub node_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The position among our lines, from 1.
    pub seq: u64,
    /// `[i, n]`: line `i` of the `n` that one command wrote, from 1.
    pub batch: (u32, u32),
    /// Who: `operator:<name>`, `agent:<id>`, `tick`, `gate`, `openclaw:<sessionKey>`.
    pub actor: String,
    #[serde(default)]
    pub data: Map<String, Value>,
    /// The offset in bytes up to which `prev` covers the file.
    pub at: u64,
    /// The running digest of the first `at` bytes, 64 hex digits.
    pub prev: String,
}
