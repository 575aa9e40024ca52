//! For how long a grant holds, and for whom: said by the person who decides, and part of what they sign.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::id::{Digest, RoleName, WorkflowId};
use super::time;

/// For whom a grant holds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Scope {
    /// The run that asked.
    #[default]
    Run,
    /// That run, and later runs of the very same definition. Not of whatever stands under the name later: a workflow is a
    /// file that somebody may change, and what was granted was granted to what it did then.
    Workflow { id: WorkflowId, definition: Digest },
    /// That run, and nodes of later runs whose agents have this role.
    Role { name: RoleName },
}

impl Scope {
    #[must_use]
    pub fn is_run(&self) -> bool {
        *self == Self::Run
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run => f.write_str("this run"),
            Self::Workflow { id, definition } => {
                write!(f, "every run of workflow {id} as it is now ({})", definition.short())
            }
            Self::Role { name } => write!(f, "every agent with role {name}"),
        }
    }
}

/// The bounds of a grant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Terms {
    /// When it ends; with the run if there is no time.
    pub until: Option<DateTime<Utc>>,
    pub scope: Scope,
}

impl Terms {
    /// Whether nothing was said beyond the usual: this run, to its end.
    #[must_use]
    pub fn are_usual(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the time is over at `now`.
    #[must_use]
    pub fn are_over(&self, now: DateTime<Utc>) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

impl fmt::Display for Terms {
    /// `this run, until 2026-11-27T12:00:00+00:00`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.scope)?;
        match self.until {
            Some(until) => write!(f, ", until {}", time::isoformat(until)),
            None => Ok(()),
        }
    }
}
