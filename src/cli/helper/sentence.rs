//! Errors as the sentences that OpenTask's helper says.

use crate::engine;
use crate::registry;
use crate::run::id::IdError;
use crate::run::refusal::Refusal;
use crate::workflow::opentask::SpecError;

/// Why a verb did not do it, for standard error.
#[derive(Debug)]
pub(super) struct Sentence(pub(super) String);

impl Sentence {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl From<engine::Error> for Sentence {
    fn from(error: engine::Error) -> Self {
        match error {
            engine::Error::NoRun(run) => Self(format!("run not found: {run}")),
            engine::Error::Refused { refusal: Refusal::NoNode(node), .. } => Self(format!("node not found: {node}")),
            engine::Error::Refused { refusal, .. } => Self(refusal.to_string()),
            engine::Error::Registry(error) => error.into(),
            other => Self(other.to_string()),
        }
    }
}

impl From<registry::Error> for Sentence {
    fn from(error: registry::Error) -> Self {
        match error {
            registry::Error::RunNotFound { run } => Self(format!("run not found: {run}")),
            registry::Error::RunExists { run } => Self(format!("run already exists: {run}")),
            other => Self(other.to_string()),
        }
    }
}

impl From<SpecError> for Sentence {
    fn from(error: SpecError) -> Self {
        Self(error.to_string())
    }
}

impl From<IdError> for Sentence {
    fn from(error: IdError) -> Self {
        Self(error.to_string())
    }
}
