//! The container of one attempt of a node.

use std::path::PathBuf;

use super::image_ref::ImageRef;
use super::labels::Labels;
use super::mount::Mount;
use super::name::agent_name;
use super::network::Network;
use super::resources::Resources;
use super::role::Role;
use super::spec::ContainerSpec;
use super::tmpfs::Tmpfs;
use crate::run::id::{NodeId, RunId};

/// Where the shim forwards to the gate from, inside the container.
pub(super) const GATE: &str = "http://127.0.0.1:4180";

/// What differs from one attempt to another; the rest of the box is the same for all.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentContainer {
    pub registry: String,
    pub registry_root: PathBuf,
    pub run: RunId,
    pub node: NodeId,
    pub attempt: u32,
    pub image: ImageRef,
    /// The whole command, the shim first.
    pub argv: Vec<String>,
    /// Added to what every agent has; a name that stands there too wins.
    pub env: Vec<(String, String)>,
    pub user: (u32, u32),
    pub resources: Resources,
    pub runtime: Option<String>,
    /// The node's workspace: `/workspace`.
    pub workspace: PathBuf,
    /// Finished nodes' outputs, each as (name below `/inputs`, folder or file), read-only.
    pub inputs: Vec<(String, PathBuf)>,
    /// The node's role: `SOUL.md` and its skills, at `/taskforge/role`.
    pub role: Option<PathBuf>,
    /// Folders that were granted.
    pub granted: Vec<Mount>,
    /// The run's pinned binary: `/taskforge/bin/taskforge`.
    pub binary: PathBuf,
    /// The folder of the attempt's socket: `/taskforge/gate`. The folder and not the socket, because a restarted gate
    /// makes a new one.
    pub socket_folder: PathBuf,
    /// A file with [`AgentContainer::HOSTS`], to be `/etc/hosts`. With it a start takes half the time: the Engine need
    /// not set up a network of nothing only to write that file.
    pub hosts: Option<PathBuf>,
}

impl AgentContainer {
    /// What stands in an agent's `/etc/hosts`.
    pub const HOSTS: &str = "127.0.0.1 localhost\n";

    #[must_use]
    pub fn spec(self) -> ContainerSpec {
        let mut mounts = vec![
            Mount::writable(self.workspace, "/workspace"),
            Mount::read_only(self.binary, "/taskforge/bin/taskforge"),
            Mount::read_only(self.socket_folder, "/taskforge/gate"),
        ];
        mounts.extend(self.inputs.into_iter().map(|(name, path)| Mount::read_only(path, format!("/inputs/{name}"))));
        mounts.extend(self.role.map(|path| Mount::read_only(path, "/taskforge/role")));
        mounts.extend(self.granted);
        mounts.extend(self.hosts.map(|path| Mount::read_only(path, "/etc/hosts")));
        let env = environment(&self.run, &self.node, self.attempt, self.env);
        ContainerSpec {
            name: agent_name(&self.registry, &self.run, &self.node, self.attempt),
            image: self.image,
            argv: self.argv,
            env,
            user: self.user,
            workdir: "/workspace".to_owned(),
            mounts,
            tmpfs: Tmpfs::for_agent(self.user),
            network: Network::None,
            published: None,
            resources: self.resources,
            runtime: self.runtime,
            labels: Labels {
                registry: self.registry,
                run: self.run.into(),
                node: self.node.into(),
                attempt: Some(self.attempt),
                role: Role::Agent,
            },
            stop_timeout: 5,
            registry_root: self.registry_root,
        }
    }
}

fn environment(run: &RunId, node: &NodeId, attempt: u32, added: Vec<(String, String)>) -> Vec<(String, String)> {
    let attempt = attempt.to_string();
    let openai = format!("{GATE}/v1");
    let standard = [
        ("HOME", "/home/agent"),
        ("TASKFORGE_GATE", GATE),
        ("TASKFORGE_RUN", run.as_str()),
        ("TASKFORGE_NODE", node.as_str()),
        ("TASKFORGE_ATTEMPT", &attempt),
        ("OPENAI_BASE_URL", &openai),
        ("OPENAI_API_KEY", "taskforge"),
        ("ANTHROPIC_BASE_URL", GATE),
        ("ANTHROPIC_API_KEY", "taskforge"),
        ("HTTP_PROXY", GATE),
        ("HTTPS_PROXY", GATE),
        ("http_proxy", GATE),
        ("https_proxy", GATE),
        // Node's own fetch looks at the four above only if it is told to.
        ("NODE_USE_ENV_PROXY", "1"),
        ("NO_PROXY", "127.0.0.1,localhost"),
        ("no_proxy", "127.0.0.1,localhost"),
    ];
    let mut env: Vec<(String, String)> = standard
        .into_iter()
        .filter(|(name, _)| !added.iter().any(|(other, _)| other == name))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    env.extend(added);
    env
}
