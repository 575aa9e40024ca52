//! What a verification found.

use serde::Serialize;

use crate::registry::journal::scan::Head;
use crate::run::id::RunId;

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Relative to the run's or the agent's folder.
    pub file: String,
    /// Counted from 1; 0 where it is about the whole file.
    pub line: u64,
    /// The offset of the line, or of the place, in bytes.
    pub byte: u64,
    pub what: String,
}

impl Problem {
    pub(crate) fn of(file: &str, line: u64, byte: u64, what: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line, byte, what: what.into() }
    }
}

/// How often the kill switch of a registry was lifted, and whether by whom it says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Lifts {
    pub lifts: u64,
    /// Those of them whose signatures were checked.
    pub signatures: u64,
    /// Their files are relative to the registry.
    pub problems: Vec<Problem>,
}

/// The gate's records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Traffic {
    pub records: u64,
    /// Behind the last whole line.
    pub head: Head,
}

/// A verified run, or agent. It is proven if `problems` is empty; what `warnings` say a person should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Of an agent's journal, the agent's name.
    pub run: RunId,
    /// Whether it is an agent's journal and no run's.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub agent: bool,
    /// Lines of the journal, blank ones included.
    pub lines: u64,
    pub ours: u64,
    pub foreign: u64,
    /// Behind our last whole batch.
    pub head: Head,
    /// Up to where bytes are proven: by a line of ours, by this machine's last head or by a checkpoint.
    pub proven: u64,
    /// Signed checkpoints that it was held against.
    pub checkpoints: u64,
    /// Signed decisions whose signatures were checked.
    pub signatures: u64,
    pub problems: Vec<Problem>,
    pub warnings: Vec<Problem>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traffic: Option<Traffic>,
}

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        self.problems.is_empty()
    }
}
