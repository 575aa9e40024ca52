//! Everything about a container that has an effect, in our words. A spec is data: it says what is wanted, [`body`]
//! turns it into what the Engine is told, and its digest is what a container is recognised by.
//!
//! [`body`]: super::body

use std::collections::HashSet;
use std::path::PathBuf;

use super::image_ref::ImageRef;
use super::labels::Labels;
use super::mount::{Mount, check_target};
use super::network::Network;
use super::refusal::Refusal;
use super::resources::Resources;
use super::role::Role;
use super::tmpfs::Tmpfs;
use super::{body, name};
use crate::run::id::Digest;

/// A container as it is wanted. What is not here cannot be asked for: privileges, devices, added capabilities, the
/// host's namespaces, ports of the host that others than itself can reach.
#[derive(Debug, Clone, PartialEq)]
pub struct ContainerSpec {
    /// From [`name::name_for`].
    pub name: String,
    pub image: ImageRef,
    /// The whole command; the image's own entry point and command are never used.
    pub argv: Vec<String>,
    /// `(name, value)` pairs, never a secret: the Engine shows them to whoever may ask it.
    pub env: Vec<(String, String)>,
    /// uid and gid.
    pub user: (u32, u32),
    /// Absolute path inside the container.
    pub workdir: String,
    pub mounts: Vec<Mount>,
    pub tmpfs: Vec<Tmpfs>,
    pub network: Network,
    /// A port that the Engine puts at the same port of the host's 127.0.0.1: of a gate on the bridge, and nobody else.
    pub published: Option<u16>,
    pub resources: Resources,
    /// The Engine's name of a runtime; `None` is the Engine's default.
    pub runtime: Option<String>,
    pub labels: Labels,
    /// Seconds between SIGTERM and SIGKILL when the Engine stops the container.
    pub stop_timeout: u32,
    /// Where the registry lies: it and what it keeps for itself is never mounted. Not part of the digest.
    pub registry_root: PathBuf,
}

impl ContainerSpec {
    #[must_use]
    pub const fn role(&self) -> Role {
        self.labels.role
    }

    /// SHA-256 over the canonical JSON (keys sorted, no white space) of what the Engine is told, with the digest of the
    /// seccomp profile in the profile's place. Two specs with the same digest make the same container.
    #[must_use]
    pub fn digest(&self) -> Digest {
        body::digest(self)
    }

    /// The rules of the box that need no file system.
    ///
    /// # Errors
    /// The first [`Refusal`]; there is no way around one.
    pub fn check(&self) -> Result<(), Refusal> {
        self.check_name()?;
        self.check_user()?;
        self.check_network()?;
        self.resources.check()?;
        self.check_text()?;
        self.check_places()
    }

    fn check_name(&self) -> Result<(), Refusal> {
        if !name::is_ours(&self.name) {
            return Err(Refusal::Name { name: self.name.chars().take(80).collect() });
        }
        let labels = &self.labels;
        for (label, text, optional) in
            [("registry", &labels.registry, false), ("run", &labels.run, true), ("node", &labels.node, true)]
        {
            if text.len() > 256 || (text.is_empty() && !optional) {
                return Err(Refusal::Label { label });
            }
        }
        Ok(())
    }

    fn check_user(&self) -> Result<(), Refusal> {
        let (uid, gid) = self.user;
        if self.role().is_sealed() && (uid == 0 || gid == 0) {
            return Err(Refusal::Root { role: self.role(), uid, gid });
        }
        Ok(())
    }

    fn check_network(&self) -> Result<(), Refusal> {
        let allowed = match self.role() {
            Role::Agent | Role::Build | Role::Probe => matches!(self.network, Network::None),
            Role::Gate => matches!(self.network, Network::Host | Network::Bridge),
            Role::Resolve | Role::Fetch => matches!(self.network, Network::Bridge | Network::None),
        };
        if self.published.is_some() && (self.role() != Role::Gate || self.network != Network::Bridge) {
            return Err(Refusal::Published { role: self.role(), network: self.network.as_str() });
        }
        if allowed {
            return Ok(());
        }
        Err(Refusal::Network { role: self.role(), network: self.network.as_str() })
    }

    fn check_text(&self) -> Result<(), Refusal> {
        if self.argv.first().is_none_or(String::is_empty) {
            return Err(Refusal::NoCommand);
        }
        if self.argv.iter().any(|word| word.contains('\0')) {
            return Err(Refusal::Text { what: "the command" });
        }
        let fits = |(name, value): &(String, String)| {
            !name.is_empty() && !name.contains(['=', '\0', '\n']) && !value.contains('\0')
        };
        if !self.env.iter().all(fits) {
            return Err(Refusal::Text { what: "the environment" });
        }
        if let Some(runtime) = &self.runtime {
            let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
            if runtime.is_empty() || runtime.len() > 128 || !runtime.bytes().all(plain) {
                return Err(Refusal::Runtime { name: runtime.chars().take(80).collect() });
            }
        }
        Ok(())
    }

    fn check_places(&self) -> Result<(), Refusal> {
        check_target(&self.workdir)?;
        let mut targets = HashSet::new();
        for target in self.mounts.iter().map(|m| &m.target).chain(self.tmpfs.iter().map(|t| &t.target)) {
            if !targets.insert(target) {
                return Err(Refusal::TargetTwice { target: target.clone() });
            }
        }
        for tmpfs in &self.tmpfs {
            check_target(&tmpfs.target)?;
            if tmpfs.size == 0 || tmpfs.mode > 0o1777 {
                return Err(Refusal::Limit { what: "tmpfs", value: tmpfs.options() });
            }
            if tmpfs.exec && self.role().is_sealed() {
                return Err(Refusal::Limit { what: "tmpfs of a sealed container", value: tmpfs.options() });
            }
        }
        self.mounts.iter().try_for_each(|mount| mount.check(self.role(), &self.registry_root))
    }
}

#[cfg(test)]
#[path = "spec_tests.rs"]
mod tests;
