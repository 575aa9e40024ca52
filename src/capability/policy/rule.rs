//! One rule.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::run::capability::CapabilityKind;
use crate::run::ruling::Effect;

/// Where a rule stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file's name below `policies/`.
    pub file: String,
    /// From 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What it takes to fit, and what then holds. Globs know one special character: `*`, any run of characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    pub place: Place,
    pub effect: Effect,
    /// Sorted, and each once.
    pub kinds: Vec<CapabilityKind>,
    /// Globs, of which one has to fit the name.
    pub names: Vec<String>,
    /// Globs for the exact version of a package.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<String>,
    /// Globs for the workflow's name; empty means any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub workflows: Vec<String>,
    /// Globs for the role of the agent that asks; empty means any, and an agent without a role.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// Ceilings: it fits only what asks for no more.
    #[serde(skip_serializing_if = "AtMost::is_empty")]
    pub at_most: AtMost,
    /// Why, in the words of whoever wrote it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub because: String,
}

/// Ceilings on what models may take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct AtMost {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// In millionths of the currency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub money: Option<u64>,
}

impl AtMost {
    // serde hands a reference.
    #[allow(clippy::trivially_copy_pass_by_ref)]
    pub(super) const fn is_empty(&self) -> bool {
        self.requests.is_none() && self.tokens.is_none() && self.money.is_none()
    }
}
