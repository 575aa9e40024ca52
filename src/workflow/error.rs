//! Why a workflow file could not be used.

use std::path::PathBuf;

use thiserror::Error;

use super::problem::Problems;

#[derive(Debug, Error)]
pub enum Error {
    #[error("there is no file {}", path.display())]
    NotFound { path: PathBuf },
    #[error("{} is not a regular file; name the file itself, not a link to it", path.display())]
    NotAFile { path: PathBuf },
    #[error("{} has {size} bytes; a workflow has at most {limit}", path.display())]
    TooLarge { path: PathBuf, size: u64, limit: u64 },
    #[error("{}:{line}: the file is not UTF-8", path.display())]
    NotUtf8 { path: PathBuf, line: usize },
    #[error("cannot read {}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{} holds more than {limit} workflow files", path.display())]
    TooMany { path: PathBuf, limit: usize },
    #[error(transparent)]
    Invalid(#[from] Problems),
}
