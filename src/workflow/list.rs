//! What workflows a folder holds.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::error::Error;
use super::workflow::Workflow;
use crate::run::id::WorkflowId;

/// The most workflow files of a folder.
const LIMIT: usize = 1000;

/// A `*.task.md` of a folder, sound or not.
#[derive(Debug)]
pub struct Listing {
    pub file: PathBuf,
    pub outcome: Result<Summary, Error>,
}

/// A workflow in one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    pub workflow_id: WorkflowId,
    pub title: String,
    pub description: Option<String>,
    pub nodes: usize,
    /// How many of them run in a container.
    pub container_nodes: usize,
    /// The names of the parameters.
    pub params: Vec<String>,
}

impl From<&Workflow> for Summary {
    fn from(workflow: &Workflow) -> Self {
        Self {
            workflow_id: workflow.id.clone(),
            title: workflow.title.clone(),
            description: workflow.description.clone(),
            nodes: workflow.nodes.len(),
            container_nodes: workflow.nodes.iter().filter(|node| node.container.is_some()).count(),
            params: workflow.params.iter().flatten().map(|(name, _)| name.clone()).collect(),
        }
    }
}

/// The `*.task.md` files of `folder` itself, sorted by name, each parsed or with the reason why not. A folder that does
/// not exist holds none.
///
/// # Errors
/// [`Error`] if the folder cannot be read, or holds more than a thousand of them.
pub fn list(folder: &Path) -> Result<Vec<Listing>, Error> {
    let unreadable = |source| Error::Unreadable { path: folder.into(), source };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(unreadable(e)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let name = entry.map_err(unreadable)?.file_name();
        if name.as_encoded_bytes().ends_with(b".task.md") && !name.as_encoded_bytes().starts_with(b".") {
            files.push(folder.join(name));
        }
        if files.len() > LIMIT {
            return Err(Error::TooMany { path: folder.into(), limit: LIMIT });
        }
    }
    files.sort();
    let listing = |file: PathBuf| Listing { outcome: Workflow::read(&file).map(|w| Summary::from(&w)), file };
    Ok(files.into_iter().map(listing).collect())
}
