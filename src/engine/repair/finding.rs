//! What a look at a run's files can find.

use serde::Serialize;

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    pub kind: Kind,
    pub safety: Safety,
    /// Relative to the run's folder; of the journal's head, to the registry.
    pub file: String,
    /// What is wrong with it.
    pub what: String,
    /// What `repair` does about it or, where that is not safe, what a person can do.
    pub remedy: String,
}

/// Whether `repair` mends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Safety {
    /// The journal says what belongs there, or nothing that anybody wrote is touched.
    Safe,
    /// Nobody but a person can say which of two truths holds.
    Unsafe,
    /// Nothing is wrong.
    Info,
}

/// What it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A file that is made from the journal.
    Projection,
    /// What a crash left at the journal's end.
    Torn,
    /// This machine's last head of the journal.
    Head,
    /// A file under a temporary name that nobody finished.
    Temporary,
    /// A node's folder.
    Folder,
    /// A node's handoff file.
    Handoff,
    /// The list of controls.
    Controls,
    /// What other programs changed.
    Adoption,
    /// The journal itself.
    Journal,
    /// The definition frozen with the run.
    Workflow,
    /// Any other file whose digest the journal names.
    File,
    /// A run of another program that cannot be read.
    Foreign,
    /// A file that belongs to nothing.
    Unknown,
}

impl Finding {
    pub(super) fn safe(kind: Kind, file: impl Into<String>, what: impl Into<String>, remedy: &str) -> Self {
        Self { kind, safety: Safety::Safe, file: file.into(), what: what.into(), remedy: remedy.to_owned() }
    }

    pub(super) fn grave(kind: Kind, file: impl Into<String>, what: impl Into<String>, remedy: &str) -> Self {
        Self { safety: Safety::Unsafe, ..Self::safe(kind, file, what, remedy) }
    }

    pub(super) fn info(kind: Kind, file: impl Into<String>, what: impl Into<String>, remedy: &str) -> Self {
        Self { safety: Safety::Info, ..Self::safe(kind, file, what, remedy) }
    }
}
