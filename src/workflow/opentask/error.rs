//! What is wrong with a workflow, in a sentence: the helper's own first, ours below.

use thiserror::Error;

use crate::run::id::IdError;
use crate::workflow::PathError;

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SpecError {
    #[error("workflow is missing YAML frontmatter: {0}")]
    NoFrontmatter(String),
    #[error("workflow frontmatter is not properly closed: {0}")]
    NotClosed(String),
    #[error("unsupported list syntax: {0}")]
    ListSyntax(String),
    #[error("spec.workflowId is required")]
    NoWorkflowId,
    #[error("spec.title is required")]
    NoTitle,
    #[error("spec.nodes must be a non-empty list")]
    NoNodes,
    #[error("every spec node requires an id")]
    NoNodeId,
    #[error("duplicate node id in spec: {0}")]
    Duplicate(String),
    #[error("node {0} requires title")]
    NoNodeTitle(String),
    #[error("node {node} has unsupported kind: {kind}")]
    Kind { node: String, kind: String },
    #[error("node {0} needs must be a list")]
    Needs(String),
    #[error("node {0} requires outputs.mode notify|report")]
    OutputsMode(String),
    #[error("node {0} artifact paths must be a list")]
    ArtifactPaths(String),
    #[error("path must not be empty")]
    EmptyPath,
    #[error("path must be relative: {0}")]
    AbsolutePath(String),
    #[error("path must not escape the run directory: {0}")]
    EscapingPath(String),
    #[error("node {node} depends on missing nodes: {needs}")]
    MissingNeeds { node: String, needs: String },

    #[error("{0}")]
    Yaml(String),
    #[error("spec is not JSON: {0}")]
    Json(String),
    #[error("spec must be a JSON object")]
    NotAnObject,
    #[error("spec node {0} must be an object")]
    NodeNotAnObject(usize),
    #[error("node {0} needs must be a list of node ids")]
    NeedsItem(String),
    #[error("node {0} artifact paths must be a list of paths")]
    PathItem(String),
    #[error("spec.nodes has {0} nodes, and a workflow has at most {limit}", limit = crate::workflow::NODE_LIMIT)]
    TooManyNodes(usize),
    #[error(transparent)]
    Id(#[from] IdError),
    #[error("path {path:?} of node {node} {why}")]
    Path { node: String, path: String, why: PathError },
    #[error("node {node} requires prompt for kind={kind}")]
    NoPrompt { node: String, kind: &'static str },
    #[error(
        "node {0} has a waitFor that is none: it is an object with type next_tick, manual or file_exists, and path"
    )]
    WaitFor(String),
    #[error("waitFor.path is required when waitFor.type=file_exists: node {0}")]
    NoWaitPath(String),
    #[error("node {0} has a container: `taskforge run start` makes such a run")]
    Container(String),
    #[error("{what} has {key:?}, which sessions' runs do not have")]
    NotOfSessions { what: String, key: &'static str },
    #[error("{what} has an unknown key {key:?}: did you mean `{near}`?")]
    Misspelt { what: String, key: String, near: &'static str },
    #[error("workflow contains dependency cycles: {0}")]
    Cycle(String),
}
