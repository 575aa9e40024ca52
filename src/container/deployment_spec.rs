//! The container of a deployment: an agent's box, with the files that were approved, read-only, in the place of its
//! workspace.

use std::path::PathBuf;

use super::agent_spec::GATE;
use super::image_ref::ImageRef;
use super::labels::Labels;
use super::mount::Mount;
use super::name::{deployment_label, deployment_name};
use super::network::Network;
use super::resources::Resources;
use super::role::Role;
use super::spec::ContainerSpec;
use super::tmpfs::Tmpfs;
use crate::run::id::{NodeId, RequestId, RunId};

/// What differs from one start of a deployment to another; the rest of the box is the same for all.
#[derive(Debug, Clone, PartialEq)]
pub struct DeploymentContainer {
    pub registry: String,
    pub registry_root: PathBuf,
    pub run: RunId,
    /// The node that proposed it.
    pub node: NodeId,
    pub id: RequestId,
    /// Which start it is, from 1.
    pub number: u32,
    pub image: ImageRef,
    /// The whole command, the shim first.
    pub argv: Vec<String>,
    /// Where the command listens.
    pub port: u16,
    pub user: (u32, u32),
    pub resources: Resources,
    pub runtime: Option<String>,
    /// The copy of its files, and where the container has them; the command begins there.
    pub files: PathBuf,
    pub target: String,
    /// The run's pinned binary: `/taskforge/bin/taskforge`.
    pub binary: PathBuf,
    /// The folder of its socket: `/taskforge/gate`.
    pub socket_folder: PathBuf,
    /// A file with [`super::AgentContainer::HOSTS`], to be `/etc/hosts`.
    pub hosts: PathBuf,
}

impl DeploymentContainer {
    #[must_use]
    pub fn spec(self) -> ContainerSpec {
        let env = [
            ("HOME", "/home/agent".to_owned()),
            ("TASKFORGE_GATE", GATE.to_owned()),
            ("TASKFORGE_RUN", self.run.to_string()),
            ("TASKFORGE_DEPLOYMENT", self.id.to_string()),
            ("TASKFORGE_PORT", self.port.to_string()),
            ("TASKFORGE_WORKSPACE", self.target.clone()),
            // Nothing is let through; what is tried is on record.
            ("HTTP_PROXY", GATE.to_owned()),
            ("HTTPS_PROXY", GATE.to_owned()),
            ("http_proxy", GATE.to_owned()),
            ("https_proxy", GATE.to_owned()),
            ("NO_PROXY", "127.0.0.1,localhost".to_owned()),
            ("no_proxy", "127.0.0.1,localhost".to_owned()),
        ];
        ContainerSpec {
            name: deployment_name(&self.registry, &self.run, &self.id, self.number, &self.node),
            image: self.image,
            argv: self.argv,
            env: env.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            user: self.user,
            workdir: self.target.clone(),
            mounts: vec![
                Mount::read_only(self.files, self.target),
                Mount::read_only(self.binary, "/taskforge/bin/taskforge"),
                Mount::read_only(self.socket_folder, "/taskforge/gate"),
                Mount::read_only(self.hosts, "/etc/hosts"),
            ],
            tmpfs: Tmpfs::for_agent(self.user),
            network: Network::None,
            published: None,
            resources: self.resources,
            runtime: self.runtime,
            labels: Labels {
                registry: self.registry,
                run: self.run.into(),
                node: deployment_label(&self.id),
                attempt: Some(self.number),
                role: Role::Agent,
            },
            stop_timeout: 5,
            registry_root: self.registry_root,
        }
    }
}
