//! What a run was created from. Nothing in it changes while the run lives but by an event that says so: a node added
//! or rewired, sessions bound anew.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::id::{AgentName, Digest, NodeId, RequestId, RoleName, RunId, WorkflowId};
use super::share::Share;
use super::status::NodeKind;

/// The journal format this binary writes. A higher number in a journal is read, never written to.
pub const FORMAT: u32 = 1;

/// The content of `run.created`: everything that `apply` needs to know of a run from the start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Created {
    pub format: u32,
    /// The registry's id, as `taskforge.toml` has it; empty in a registry without one.
    pub registry: String,
    /// Only decisions that an approver signed count in this run, whatever becomes of the settings.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub signed: bool,
    pub workflow_id: WorkflowId,
    pub title: String,
    /// Where the definition came from, relative to the registry, for people.
    pub workflow_path: String,
    /// SHA-256 of `workflow.lock.md`.
    pub workflow_digest: Digest,
    /// SHA-256 of the binary that containers of this run are given; none in a run without containers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binary: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<Users>,
    pub nodes: Vec<NodeDefinition>,
    /// Whose child the run is; none for one that nobody's agent asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Box<Parent>>,
    /// Files given with `--input`, as they lie under `inputs/`.
    #[serde(default)]
    pub inputs: Vec<Artifact>,
    #[serde(default)]
    pub params: std::collections::BTreeMap<String, String>,
    pub limits: Limits,
    /// How many containers of this run may live at once.
    pub concurrency: u32,
    pub sessions: Sessions,
}

/// Who the processes of this run are on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Users {
    pub agent_uid: u32,
    pub agent_gid: u32,
    pub gate_uid: u32,
    pub gate_gid: u32,
    /// Who root in a container is, uid and gid, where the Engine maps users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<(u32, u32)>,
}

impl Users {
    /// The agents' uid and gid as their containers know them.
    #[must_use]
    pub fn agent_inside(&self) -> (u32, u32) {
        self.inside(self.agent_uid, self.agent_gid)
    }

    /// The gate's uid and gid as its container knows them.
    #[must_use]
    pub fn gate_inside(&self) -> (u32, u32) {
        self.inside(self.gate_uid, self.gate_gid)
    }

    fn inside(&self, uid: u32, gid: u32) -> (u32, u32) {
        let (root_uid, root_gid) = self.root.unwrap_or_default();
        // What is not of the mapping becomes root, which no container of an agent is started as.
        (uid.saturating_sub(root_uid), gid.saturating_sub(root_gid))
    }
}

/// OpenClaw sessions that OpenTask's readers expect a run to name.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Sessions {
    pub source: String,
    #[serde(default)]
    pub source_agent_id: Option<String>,
    pub root: String,
    pub planner: String,
    pub driver: String,
    /// Where OpenTask's service sends messages: `channel`, `to`, … as it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_context: Option<Map<String, Value>>,
}

/// Bounds that the host keeps, whatever happens inside a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Attempts of one node that end in anything but a suspension.
    pub attempts: u32,
    /// Times one node may be suspended by a capability request.
    pub suspensions: u32,
}

/// One node as frozen at the start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct NodeDefinition {
    pub id: NodeId,
    pub title: String,
    pub kind: NodeKind,
    pub needs: Vec<NodeId>,
    /// What to do, of a node that was added to the run; the others' stands in `workflow.lock.md`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prompt: String,
    pub outputs_mode: OutputsMode,
    /// Relative to the run folder.
    pub artifact_paths: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_for: Option<WaitFor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// A failure of this node does not hold up the nodes that need it.
    #[serde(default)]
    pub continue_on_failure: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<ContainerDefinition>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum OutputsMode {
    Notify,
    Report,
}

/// What a `wait` node waits for, in OpenTask's shape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct WaitFor {
    #[serde(rename = "type")]
    pub kind: WaitKind,
    /// Relative to the run folder; only for `file_exists`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum WaitKind {
    NextTick,
    Manual,
    FileExists,
}

/// When a failed attempt is tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Retry {
    /// Attempts after the first.
    pub limit: u32,
    /// Milliseconds before the first retry; doubles with each.
    pub backoff_ms: u64,
    pub max_backoff_ms: u64,
    /// Exit codes to retry on; empty means any.
    #[serde(default)]
    pub on: Vec<i64>,
}

/// The container of a node, with the registry's defaults filled in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ContainerDefinition {
    /// The base image's reference, before anything granted is added.
    pub image: String,
    pub runtime: Runtime,
    /// The program for [`Runtime::Command`]; empty otherwise.
    #[serde(default)]
    pub command: Vec<String>,
    pub model: String,
    /// What the workflow asks for before its first attempt.
    #[serde(default)]
    pub capabilities: Vec<super::capability::Capability>,
    /// What the workflow proposes to deploy once the node is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deploy: Option<super::deployment::Declared>,
    pub resources: Resources,
    /// As what the node works; none for a node that is only itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<RoleBinding>,
    /// Requests to a model, over all attempts of the node.
    pub iterations: u32,
}

/// The role of a node, as it was when the run started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RoleBinding {
    pub role: RoleName,
    /// SHA-256 of the role and its skills; they lie under `roles/` of the run.
    pub digest: Digest,
    /// The hired agent that does the node; none if only a role was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentName>,
    /// The roles that it is below, the nearest first: none of them allows less.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub under: Vec<Pinned>,
}

/// A role by its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Pinned {
    pub role: RoleName,
    pub digest: Digest,
}

/// The attempt that a run works for: with it, it ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Parent {
    pub run: RunId,
    pub node: NodeId,
    pub attempt: u32,
    /// The message that asked for the run.
    pub request: RequestId,
    /// Generations above, from 1.
    pub depth: u32,
    /// When the attempt's time is over, and so the run's.
    pub deadline: DateTime<Utc>,
    pub share: Share,
}

impl NodeDefinition {
    /// The hired agent that does the node.
    #[must_use]
    pub fn agent(&self) -> Option<&AgentName> {
        self.container.as_ref()?.role.as_ref()?.agent.as_ref()
    }

    /// The role that the node works as.
    #[must_use]
    pub fn role(&self) -> Option<&RoleName> {
        Some(&self.container.as_ref()?.role.as_ref()?.role)
    }
}

/// What is executed inside the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Runtime {
    Builtin,
    Command,
    /// OpenClaw, one turn without its gateway.
    Openclaw,
}

/// Hard limits of one container.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// Processors, in thousandths.
    pub cpu_millis: u64,
    /// Bytes; swap is included.
    pub memory: u64,
    pub pids: u32,
    /// Bytes in the workspace.
    pub disk: u64,
    /// Milliseconds of wall clock an attempt.
    pub wall_ms: u64,
}

/// A file that the host copied and knows by its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Artifact {
    /// Relative to the run folder.
    pub path: String,
    pub sha256: Digest,
    pub bytes: u64,
}
