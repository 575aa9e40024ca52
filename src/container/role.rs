//! What a container is for. The role decides how hard its box is; nothing else does.

use std::fmt;

use serde::Serialize;

/// The purpose of a container, and with it its hardening profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Runs an agent's code: no network, nothing writable but its workspace and tmpfs.
    Agent,
    /// The agents' only way out: the same box, with the host's network or a bridge.
    Gate,
    /// Finds a package request's complete closure; reaches the package index.
    Resolve,
    /// Fetches what a lock names, by hash; reaches the package index.
    Fetch,
    /// Installs what was fetched: root inside, no network at all.
    Build,
    /// `doctor` looking at the box from inside: an agent's profile.
    Probe,
}

/// The capabilities that installing packages as root needs, and no more: giving files to other users and dropping
/// to another user. All of them act on the container's own files only.
pub(crate) const BUILDER_CAPABILITIES: [&str; 6] = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "SETGID", "SETUID"];

impl Role {
    pub const ALL: [Self; 6] = [Self::Agent, Self::Gate, Self::Resolve, Self::Fetch, Self::Build, Self::Probe];

    /// The value of the role's label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Gate => "gate",
            Self::Resolve => "resolve",
            Self::Fetch => "fetch",
            Self::Build => "build",
            Self::Probe => "probe",
        }
    }

    /// The role that a label names.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }

    /// Whether the full table holds: never root, a read-only root file system, no capability. Builders have to write
    /// where packages go, so they are root in a box without any of our files.
    #[must_use]
    pub const fn is_sealed(self) -> bool {
        matches!(self, Self::Agent | Self::Gate | Self::Probe)
    }

    /// The capabilities that the role adds to none.
    pub(crate) const fn capabilities(self) -> &'static [&'static str] {
        if self.is_sealed() { &[] } else { &BUILDER_CAPABILITIES }
    }

    /// The mode of the role's IPC namespace: private in any case; the gate has no use for `/dev/shm`.
    pub(crate) const fn ipc(self) -> &'static str {
        if matches!(self, Self::Gate) { "none" } else { "private" }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
