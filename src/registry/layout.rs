//! Where everything lies: OpenTask's layout and ours. Only names, no file is touched; ids are parsed ones, so that no
//! path made here can leave the registry.

use std::path::{Path, PathBuf};

use crate::role::agent::MemoryKey;
use crate::run::id::{AgentName, Digest, NodeId, RequestId, RoleName, RunId, SkillName};

macro_rules! paths {
    ($($(#[$doc:meta])* $name:ident => $path:literal),* $(,)?) => {
        $($(#[$doc])* #[must_use] pub fn $name(&self) -> PathBuf { self.root.join($path) })*
    };
}

/// The paths of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    paths! {
        config => "taskforge.toml",
        workflows => "workflows",
        roles => "roles",
        /// What roles name as their skills, a folder each.
        skills => "skills",
        policies => "policies",
        decisions => "decisions",
        /// What was granted beyond one run.
        grants => "grants",
        /// What agents are to be told at times, as it was approved, a file each.
        schedules => "schedules",
        images => "images",
        agents => "agents",
        runs => "runs",
        /// Machine-local, mode 0700, never in git.
        local => ".taskforge",
        locks => ".taskforge/locks",
        /// The folder the gates watch.
        kill => ".taskforge/kill",
        /// Present while the kill switch is on.
        kill_file => ".taskforge/kill/lock.json",
        /// Preallocated, so that a full disk does not stop `kill`.
        kill_spare => ".taskforge/kill/spare",
        /// Names the kill of which nothing is left to do.
        kill_finished => ".taskforge/kill/finished",
        /// The Engines that something of the registry may live on.
        engines => ".taskforge/engines",
        /// The binaries that runs were started with, by their SHA-256.
        bin => ".taskforge/bin",
        /// Workspaces that are images of a fixed size, by run.
        workspaces => ".taskforge/workspaces",
        /// What models have taken of the budgets of a day, a file a day; shared by all gates.
        spent => ".taskforge/spent",
        /// How far each watch has looked, a file each.
        watches => ".taskforge/watch",
        heads => ".taskforge/heads",
        index => ".taskforge/index",
        tmp => ".taskforge/tmp",
        /// Secrets, a file encrypted with `age` each: mode 0700.
        vault => ".taskforge/vault",
        /// What was done to the vault, by whom and when, chained; never a value.
        vault_log => ".taskforge/vault/log.jsonl",
        /// Taken by whoever changes the vault.
        vault_lock => ".taskforge/locks/vault",
        /// Private keys: mode 0700.
        keys => ".taskforge/keys",
        /// What this machine signs checkpoints with.
        checkpoint_key => ".taskforge/keys/checkpoint.key",
        /// Taken by whoever makes a key, or adds its public half to [`Self::checkpoint_keys`].
        seal_lock => ".taskforge/locks/seal",
        /// The public keys of checkpoints, one a line.
        checkpoint_keys => "checkpoint.pub",
        /// Taken by whoever gives a deployment its port of the host.
        ports_lock => ".taskforge/locks/ports",
        /// Taken by whoever lets an agent's schedule begin.
        schedules_lock => ".taskforge/locks/schedules",
        /// Shared by starters, exclusive for `kill`.
        start_lock => ".taskforge/locks/start",
    }

    #[must_use]
    pub fn run(&self, run: &RunId) -> RunLayout {
        RunLayout::new(self.runs().join(run.as_str()))
    }

    #[must_use]
    pub fn role(&self, role: &RoleName) -> PathBuf {
        self.roles().join(format!("{role}.role.md"))
    }

    #[must_use]
    pub fn skill(&self, skill: &SkillName) -> PathBuf {
        self.skills().join(skill.as_str()).join("SKILL.md")
    }

    #[must_use]
    pub fn agent(&self, agent: &AgentName) -> AgentLayout {
        AgentLayout { root: self.agents().join(agent.as_str()) }
    }

    /// The last head of an agent's journal on this machine: no run can be called so.
    #[must_use]
    pub fn agent_head(&self, agent: &AgentName) -> PathBuf {
        self.heads().join(format!("@{agent}"))
    }

    /// The last head of a run's journal on this machine.
    #[must_use]
    pub fn head(&self, run: &RunId) -> PathBuf {
        self.heads().join(run.as_str())
    }

    #[must_use]
    pub fn drive_lock(&self, run: &RunId) -> PathBuf {
        self.locks().join(format!("drive-{run}"))
    }

    /// What a watch knows of its last look; `name` is one that the settings took.
    #[must_use]
    pub fn watch(&self, name: &str) -> PathBuf {
        self.watches().join(format!("{name}.json"))
    }

    /// The schedule of an agent that goes by `name`: the agent's, a dot, and its own.
    #[must_use]
    pub fn schedule(&self, name: &str) -> PathBuf {
        self.schedules().join(format!("{name}.json"))
    }

    /// Taken by whoever looks for a watch.
    #[must_use]
    pub fn watch_lock(&self, name: &str) -> PathBuf {
        self.locks().join(format!("watch-{name}"))
    }

    /// The image of a node's workspace, where that is one.
    #[must_use]
    pub fn workspace_image(&self, run: &RunId, node: &NodeId) -> PathBuf {
        self.workspaces().join(run.as_str()).join(format!("{node}.ext4"))
    }

    /// The lock of a detached build; the build holds it, whoever started it.
    #[must_use]
    pub fn image_lock(&self, image: &Digest) -> PathBuf {
        self.locks().join(format!("image-{image}"))
    }

    /// An image's recipe, Dockerfile, lock and SBOM.
    #[must_use]
    pub fn image(&self, image: &Digest) -> PathBuf {
        self.images().join(image.short())
    }

    #[must_use]
    pub fn decision(&self, request: &RequestId) -> PathBuf {
        self.decisions().join(format!("{request}.json"))
    }
}

/// The paths of one run, wherever its folder lies: under `runs/`, or staged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunLayout {
    root: PathBuf,
}

impl RunLayout {
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    paths! {
        /// The definition, frozen for this run.
        workflow => "workflow.lock.md",
        state => "state.json",
        refs => "refs.json",
        /// Our projection.
        taskforge => "taskforge.json",
        journal => "events.jsonl",
        /// What was torn off the journal's tail.
        torn => "events.torn",
        controls => "control.jsonl",
        lock => ".run.lock",
        capabilities => "capabilities",
        /// The written rules that said something of its requests, a folder for each set of files that were in force.
        policies => "policies",
        nodes => "nodes",
        inputs => "inputs",
        gate => "gate",
        policy => "gate/policy.json",
        status => "gate/status.json",
        inbox => "gate/inbox",
        /// What agents remember, as their gate reads it.
        gate_memory => "gate/memory",
        inbox_rejected => "gate/inbox-rejected",
        sockets => "gate/sockets",
        replay => "gate/replay",
        traffic => "gate/traffic.jsonl",
        bodies => "gate/bodies",
        /// What was approved to be deployed, by request.
        deployments => "deployments",
        /// Signed heads of the journal, one file each, named by `seq`.
        checkpoints => "checkpoints",
    }

    #[must_use]
    pub fn capability(&self, request: &RequestId) -> PathBuf {
        self.capabilities().join(format!("{request}.json"))
    }

    #[must_use]
    pub fn node(&self, node: &NodeId) -> PathBuf {
        self.nodes().join(node.as_str())
    }

    /// What the container sees as `/workspace`.
    #[must_use]
    pub fn workspace(&self, node: &NodeId) -> PathBuf {
        self.node(node).join("workspace")
    }

    /// `spec.json`, `stdout.log`, `stderr.log` and `exit.json` of one container execution; attempts count from 1.
    #[must_use]
    pub fn attempt(&self, node: &NodeId, attempt: u32) -> PathBuf {
        self.node(node).join("attempts").join(attempt.to_string())
    }

    /// A role and its skills as the run was started with them, by the digest of all of it.
    #[must_use]
    pub fn role(&self, digest: &Digest) -> PathBuf {
        self.root.join("roles").join(digest.short())
    }

    /// All of one deployment: its files, its gate, its logs.
    #[must_use]
    pub fn deployment(&self, request: &RequestId) -> PathBuf {
        self.deployments().join(request.as_str())
    }

    /// The copy of the files that a deployment runs.
    #[must_use]
    pub fn deployed_files(&self, request: &RequestId) -> PathBuf {
        self.deployment(request).join("files")
    }

    /// The folder of a deployment's own gate, laid out as a run's.
    #[must_use]
    pub fn deployment_gate(&self, request: &RequestId) -> PathBuf {
        self.deployment(request).join("gate")
    }

    /// `spec.json`, `stdout.log` and `stderr.log` of one start of a deployment; they count from 1.
    #[must_use]
    pub fn deployment_start(&self, request: &RequestId, number: u32) -> PathBuf {
        self.deployment(request).join("starts").join(number.to_string())
    }

    /// The folder of an attempt's socket, under its short name.
    #[must_use]
    pub fn socket(&self, short: &str) -> PathBuf {
        self.sockets().join(short)
    }
}

/// The paths of one hired agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentLayout {
    root: PathBuf,
}

impl AgentLayout {
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    paths! {
        journal => "events.jsonl",
        lock => ".run.lock",
        /// The projection.
        agent => "agent.json",
        /// The role and its skills, as they were when the agent was hired.
        role => "role",
        memory => "memory",
    }

    /// What the agent remembers under `key`, as a file.
    #[must_use]
    pub fn remembered(&self, key: &MemoryKey) -> PathBuf {
        self.memory().join(format!("{key}.md"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_documented_places() {
        let layout = Layout::new("/r");
        let (run, node) = (RunId::parse("demo-1").unwrap(), NodeId::parse("gather").unwrap());
        let digest = Digest::of(b"");
        assert_eq!(layout.run(&run).journal(), Path::new("/r/runs/demo-1/events.jsonl"));
        assert_eq!(layout.run(&run).attempt(&node, 2), Path::new("/r/runs/demo-1/nodes/gather/attempts/2"));
        assert_eq!(layout.run(&run).workspace(&node), Path::new("/r/runs/demo-1/nodes/gather/workspace"));
        assert_eq!(layout.drive_lock(&run), Path::new("/r/.taskforge/locks/drive-demo-1"));
        assert_eq!(layout.image(&digest), Path::new("/r/images/e3b0c44298fc"));
        assert_eq!(layout.head(&run), Path::new("/r/.taskforge/heads/demo-1"));
    }
}
