//! What is wrong with a policy file, and where.

use std::fmt;

use serde::Serialize;

/// One thing that is wrong, or likely not meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PolicyProblem {
    /// The file's name.
    pub file: String,
    /// From 1; 0 if it concerns the whole file.
    pub line: usize,
    pub message: String,
}

impl PolicyProblem {
    #[must_use]
    pub fn new(file: &str, line: usize, message: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for PolicyProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.message),
            line => write!(f, "{}:{line}: {}", self.file, self.message),
        }
    }
}
