//! One agent's wish.

use serde::{Deserialize, Serialize};

use crate::run::capability::Capability;
use crate::run::id::{NodeId, RequestId, RunId};

/// What was asked, where and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    pub id: RequestId,
    pub run: RunId,
    pub node: NodeId,
    /// Which attempt of the node asked, from 1.
    pub attempt: u32,
    pub capability: Capability,
}
