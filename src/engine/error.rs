//! What can go wrong while driving a run, beyond the run's own failures.

use std::path::PathBuf;

use thiserror::Error;

use crate::role::BundleError;
use crate::role::agent::{AgentRefusal, FoldError};
use crate::run::apply::ApplyError;
use crate::run::id::{AgentName, Digest, NodeId, RequestId, RoleName, RunId};
use crate::run::refusal::Refusal;
use crate::workflow::Problems;

#[derive(Debug, Error)]
pub enum Error {
    #[error("there is no run `{0}`")]
    NoRun(RunId),
    #[error("there is no watch `{0}`")]
    NoWatch(String),
    #[error("run `{run}` has no action {seq}")]
    NoAction { run: RunId, seq: u64 },
    #[error("action {seq} of run `{run}` is not unclear: it {why}")]
    NotUnclear { run: RunId, seq: u64, why: String },
    #[error("no agent has a schedule `{0}`")]
    NoSchedule(String),
    #[error("another process looks for watch `{0}`")]
    WatchBusy(String),
    #[error("nothing called `{0}` waits for a decision")]
    NothingWaits(String),
    #[error("`{text}` fits more than one: {}", .found.join(", "))]
    Ambiguous { text: String, found: Vec<String> },
    #[error("run `{run}`: {refusal}")]
    Refused { run: RunId, refusal: Refusal },
    #[error("the journal of run `{run}` cannot be followed: {source}")]
    Fold { run: RunId, source: ApplyError },
    #[error("{path} of run `{run}` is not what the journal says it was")]
    WorkflowChanged { run: RunId, path: PathBuf },
    #[error("{0}")]
    Workflow(Problems),
    #[error(transparent)]
    WorkflowFile(crate::workflow::Error),
    #[error("this binary is linked dynamically, and no container could run it")]
    Dynamic,
    #[error("cannot {action} {path}: {source}")]
    Io { action: &'static str, path: PathBuf, source: std::io::Error },
    #[error("cannot start the runtime for Docker and HTTP: {0}")]
    Runtime(std::io::Error),
    #[error("cannot write JSON: {0}")]
    Json(serde_json::Error),
    #[error(transparent)]
    Registry(#[from] crate::registry::Error),
    #[error(transparent)]
    Vault(#[from] crate::vault::VaultError),
    #[error(transparent)]
    Container(#[from] crate::container::Error),
    #[error(transparent)]
    Image(#[from] crate::image::Error),
    #[error(transparent)]
    Policy(#[from] crate::gate::PolicyError),
    #[error(transparent)]
    Gate(#[from] crate::gate::Error),
    #[error("image reference: {0}")]
    ImageRef(crate::container::ImageRefError),
    #[error("container `{name}` carries the labels of another run: is this registry a copy?")]
    ForeignContainer { name: String },
    #[error("there is no role `{0}`")]
    NoRole(RoleName),
    #[error(transparent)]
    Role(BundleError),
    #[error("role `{role}` declares {capability}, which the policies deny: {ruling}")]
    RoleDenied { role: RoleName, capability: String, ruling: String },
    #[error("role `{role}` in {path} is not what it was when it was pinned")]
    RoleChanged { role: RoleName, path: PathBuf },
    #[error(transparent)]
    Agent(#[from] AgentRefusal),
    #[error("the journal of agent `{name}` cannot be followed: {source}")]
    NotAnAgent { name: AgentName, source: FoldError },
    #[error("the journal of agent `{name}` is another agent's")]
    NotThisAgent { name: AgentName },
    #[error("run `{run}` still has an attempt of agent `{agent}` under way; the next tick ends it")]
    StillRuns { run: RunId, agent: AgentName },
    #[error("run `{run}` was made by another program and cannot be taken over: {why}")]
    Foreign { run: RunId, why: String },
    #[error("run `{0}` was made without containers: only OpenClaw sessions do it")]
    NoContainers(RunId),
    #[error("node {0} has no container")]
    NoContainer(NodeId),
    #[error(
        "what node {node} attempt {attempt} was to be started with has changed since it was journaled (a setting, a folder, the binary)"
    )]
    SpecChanged { node: NodeId, attempt: u32 },
    #[error("image taskforge/agent:{} was removed, and is not there again: {why}", recipe.short())]
    ImageGone { recipe: Digest, why: String },
    #[error("the gate `{name}` does not take up its policy{}", if log.is_empty() { String::new() } else { format!(": {log}") })]
    GateSilent { name: String, log: String },
    #[error(transparent)]
    Unfit(#[from] super::folders::Unfit),
    #[error("the gate of run `{run}` has not taken note of the revocation yet; the next tick tells it again")]
    GateBehind { run: RunId },
    #[error("what request `{id}` would come to has changed since it was shown")]
    RuledAnew { id: RequestId },
    #[error("no image `{0}` belongs to this registry")]
    NoImage(String),
    #[error("no request called `{0}` is granted")]
    NothingGranted(String),
    #[error("there is no request called `{0}`")]
    NoRequest(String),
    #[error("no deployment is called `{0}`")]
    NoDeployment(String),
    #[error("the files of deployment {id} are not what was approved: {what}")]
    DeploymentChanged { id: RequestId, what: String },
    #[error("the key of provider `{provider}`: {reason}")]
    Key { provider: String, reason: String },
    #[error("no tmpfs that can be written was found for the gate's keys (/dev/shm, /run, XDG_RUNTIME_DIR)")]
    NoTmpfs,
    #[error("the kill switch is not on")]
    NotKilled,
    #[error("the kill is not finished: {0}")]
    KillUnfinished(String),
    #[error("attempt {attempt} of node {node} has ended; its container is gone")]
    HasEnded { node: NodeId, attempt: u32 },
    #[error("node {node} has no container at the moment")]
    NothingRuns { node: NodeId },
    #[error(transparent)]
    Base(#[from] crate::image::base::BaseError),
    #[error(transparent)]
    Decision(#[from] crate::capability::DecisionError),
    #[error(transparent)]
    Signature(#[from] crate::signature::SignatureError),
    #[error("the decision was not made: {0}")]
    Unsigned(String),
    #[error("run `{run}`: only signed decisions count here, and this would be one without ({what})")]
    NotSigned { run: RunId, what: String },
    #[error("only signed decisions count here, and {path}, which says whose, is not there")]
    NoApprovers { path: PathBuf },
    #[error("run `{run}` is not driven on: {file} {what}, and only signed decisions count here")]
    Unproven { run: RunId, file: String, what: String },
    #[error("run `{run}` is not driven on: {what}")]
    Unexplained { run: RunId, what: String },
    #[error("run `{run}`: the rules in policies/ were changed while they were applied; the next tick looks again")]
    RulesChanged { run: RunId },
    #[error("there is no image `{0}` to run in")]
    NoBaseImage(String),
    #[error("there is no image `{0}` to run OpenClaw in; `taskforge image openclaw` makes it")]
    NoOpenclawImage(String),
    #[error("`{package}` cannot be put into an image: {reason}")]
    NoOpenclaw { package: String, reason: String },
    #[error("the recipe {} was made by another version, and this one would build something else", recipe.short())]
    RecipeTemplate { recipe: Digest },
    #[error("request {id} is not resolved yet")]
    NotResolvedYet { id: RequestId },
    #[error("request {id} cannot be resolved, so that there is nothing to approve: {reason}")]
    Unresolvable { id: RequestId, reason: String },
    #[error("request {id} was decided already")]
    DecidedBefore { id: RequestId },
    #[error("the decision for {id} names {given}, and what stands there now is {now}")]
    Stale { id: RequestId, given: String, now: String },
    #[error("input `{path}`: {reason}")]
    Input { path: PathBuf, reason: String },
    #[error("there is no file `{0}` to give to the agents")]
    NoInput(PathBuf),
    #[error("the workspace of node {node}: {reason}")]
    Workspace { node: NodeId, reason: String },
    #[error("{0}")]
    Usage(String),
    #[error("{file} {what}")]
    Checkpoint { file: String, what: String },
    #[error("run `{run}` is not what was written, and that is not sealed: {what}")]
    Unsound { run: RunId, what: String },
    #[error("run `{0}` has no line of ours yet: the first command that changes it makes one")]
    NothingToSeal(RunId),
}

impl Error {
    /// Whether what somebody asked for cannot be had, whoever asks and however often: its text, its role, the state of
    /// things that it is about. Asking once more comes to the same.
    pub(crate) fn is_of_what_was_asked(&self) -> bool {
        matches!(
            self,
            Self::Usage(_)
                | Self::Workflow(_)
                | Self::WorkflowFile(_)
                | Self::NoRole(_)
                | Self::Role(_)
                | Self::RoleDenied { .. }
                | Self::RoleChanged { .. }
                | Self::Refused { .. }
                | Self::Agent(_)
                | Self::Input { .. }
                | Self::NoInput(_)
                | Self::ImageRef(_)
                | Self::Decision(_)
        )
    }

    /// Whether the attempt failed for a reason of its own, so that the node's bounds on attempts apply, rather than
    /// the machine being unable to run anything at the moment.
    pub(crate) fn is_of_the_node(&self) -> bool {
        match self {
            Self::SpecChanged { .. } | Self::ImageGone { .. } | Self::Workflow(_) | Self::WorkflowChanged { .. } => {
                true
            }
            Self::Container(error) => error.is_of_the_container(),
            Self::Unfit(_) | Self::ImageRef(_) | Self::NoContainer(_) | Self::Key { .. } | Self::GateSilent { .. } => {
                true
            }
            Self::DeploymentChanged { .. } => true,
            Self::NoBaseImage(_) | Self::NoOpenclawImage(_) | Self::Workspace { .. } => true,
            Self::Registry(crate::registry::Error::NoAgent { .. })
            | Self::Agent(_)
            | Self::RoleChanged { .. }
            | Self::NotAnAgent { .. }
            | Self::NotThisAgent { .. } => true,
            _ => false,
        }
    }
}
