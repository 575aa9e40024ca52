//! Whom an agent may give a part of its work to.

use serde::Serialize;

use crate::run::id::RoleName;

/// Roles of children, how deep they may nest below an agent, and how many it may have in one run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Delegation {
    pub roles: Vec<RoleName>,
    /// Generations below the agent: 1 is children that have none of their own.
    pub depth: u32,
    /// Children of one run of the agent.
    pub children: u32,
}

impl Delegation {
    /// The deepest that anything nests.
    pub const DEEPEST: u32 = 5;
    /// The most children of one run.
    pub const MOST: u32 = 50;
}
