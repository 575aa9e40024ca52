//! The error at the top: a kind that a script can branch on, a sentence for a person, and what to do next.
//! Rooms have errors of their own; `cli` turns each into one of these, once.

use std::fmt;

/// What went wrong, in the terms that a caller would branch on. Each kind has one exit code and one stable name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The operation failed for a reason of its own.
    Failed,
    /// The arguments, or a file the person wrote, are wrong.
    Usage,
    /// The thing named does not exist.
    NotFound,
    /// A rule forbids it: policy, an approval that is missing, a limit.
    Refused,
    /// Another process holds a lock for longer than we wait.
    Locked,
    /// What was decided on is not what stands there now.
    Stale,
    /// It exists already, or was decided already.
    Conflict,
    /// A file is not what the journal says it was.
    Integrity,
    /// Something we need is absent: the Docker Engine, an image, a program.
    Unavailable,
    /// The kill switch is on.
    Killed,
    /// Nothing is wrong, but a person has to decide before it can go on.
    Waiting,
}

impl Kind {
    /// The process's exit code; `docs/exit-codes.md` lists them.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Refused => 4,
            Self::Locked => 5,
            Self::Stale => 6,
            Self::Conflict => 7,
            Self::Integrity => 8,
            Self::Unavailable => 9,
            Self::Killed => 10,
            Self::Waiting => 11,
        }
    }

    /// The stable name in `--json` output.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::NotFound => "not_found",
            Self::Refused => "refused",
            Self::Locked => "locked",
            Self::Stale => "stale",
            Self::Conflict => "conflict",
            Self::Integrity => "integrity",
            Self::Unavailable => "unavailable",
            Self::Killed => "killed",
            Self::Waiting => "waiting",
        }
    }
}

/// An error as a person or a script meets it.
#[derive(Debug, Clone)]
pub struct Failure {
    pub kind: Kind,
    pub message: String,
    /// What to do next, one a line; commands stand in backticks.
    pub hints: Vec<String>,
}

impl Failure {
    #[must_use]
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hints: Vec::new() }
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}
