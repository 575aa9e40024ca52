//! A list that a person made of a request: both lists are shown, and the digest covers both.

use serde::{Deserialize, Serialize};

use crate::run::capability::Capability;

/// What was asked for, and what a person made of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Edited {
    /// Who made the list.
    pub by: String,
    /// What the request stood for before.
    pub asked: Vec<Capability>,
    /// What would be granted instead.
    pub list: Vec<Capability>,
}
