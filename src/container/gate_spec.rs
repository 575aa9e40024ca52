//! The container of a run's gate: the same box as an agent's, in an image that holds one file, with a network.

use std::path::PathBuf;

use super::image_ref::ImageRef;
use super::labels::Labels;
use super::mount::Mount;
use super::name::{deployment_gate_name, deployment_label, gate_name};
use super::network::Network;
use super::resources::Resources;
use super::role::Role;
use super::spec::ContainerSpec;
use super::tmpfs::Tmpfs;
use crate::run::id::{RequestId, RunId};

/// What differs from one run's gate to another's.
#[derive(Debug, Clone, PartialEq)]
pub struct GateContainer {
    pub registry: String,
    pub registry_root: PathBuf,
    pub run: RunId,
    /// From [`super::GateImage`].
    pub image: ImageRef,
    /// What comes after the binary's own name.
    pub args: Vec<String>,
    pub user: (u32, u32),
    pub network: Network,
    /// The port of a deployment, where the gate is on the bridge: the host's 127.0.0.1 is not the gate's there.
    pub published: Option<u16>,
    pub runtime: Option<String>,
    /// The run's `gate/` folder: `/gate`.
    pub gate_folder: PathBuf,
    /// The registry's kill folder: `/kill`.
    pub kill_folder: PathBuf,
    /// What all gates of the registry count together: `/spent`.
    pub spent_folder: PathBuf,
    /// The run's secrets, on a tmpfs: `/run/taskforge/secrets`.
    pub secrets: Option<PathBuf>,
    /// The certificates to trust: `/etc/ssl/certs/ca-certificates.crt`.
    pub ca_bundle: Option<PathBuf>,
}

impl GateContainer {
    /// The same box for the gate of one deployment, under a name of its own.
    #[must_use]
    pub fn spec_for(self, deployment: &RequestId) -> ContainerSpec {
        let name = deployment_gate_name(&self.registry, &self.run, deployment);
        let mut spec = self.spec();
        (spec.name, spec.labels.node) = (name, deployment_label(deployment));
        spec
    }

    /// A gate streams and keeps no more than a few bodies at a time; its records may grow large.
    pub const RESOURCES: Resources =
        Resources { cpus: 1.0, memory: 256 << 20, pids: 64, files: 8192, file_size: 64 << 30 };

    #[must_use]
    pub fn spec(self) -> ContainerSpec {
        let mut mounts = vec![
            Mount::writable(self.gate_folder, "/gate"),
            Mount::read_only(self.kill_folder, "/kill"),
            Mount::writable(self.spent_folder, "/spent"),
        ];
        mounts.extend(self.secrets.map(|path| Mount::read_only(path, "/run/taskforge/secrets")));
        mounts.extend(self.ca_bundle.map(|path| Mount::read_only(path, "/etc/ssl/certs/ca-certificates.crt")));
        let mut argv = vec!["/taskforge".to_owned()];
        argv.extend(self.args);
        // Neither is an argument: a run keeps the binary it began with, which may not know it.
        let mut env = vec![
            ("TASKFORGE_RUN".to_owned(), self.run.to_string()),
            ("TASKFORGE_SPENT".to_owned(), "/spent".to_owned()),
        ];
        env.extend(self.published.map(|_| ("TASKFORGE_PUBLISHED".to_owned(), "bridge".to_owned())));
        ContainerSpec {
            name: gate_name(&self.registry, &self.run),
            image: self.image,
            argv,
            env,
            user: self.user,
            workdir: "/gate".to_owned(),
            mounts,
            tmpfs: vec![Tmpfs {
                target: "/tmp".to_owned(),
                size: 16 << 20,
                mode: 0o700,
                owner: self.user,
                exec: false,
            }],
            network: self.network,
            published: self.published,
            resources: Self::RESOURCES,
            runtime: self.runtime,
            labels: Labels {
                registry: self.registry,
                run: self.run.into(),
                node: String::new(),
                attempt: None,
                role: Role::Gate,
            },
            stop_timeout: 10,
            registry_root: self.registry_root,
        }
    }
}
