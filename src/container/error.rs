//! What can go wrong between us and the Engine.

use std::path::PathBuf;

use thiserror::Error;

use super::refusal::Refusal;

/// An error of this room. [`Error::hints`] says what to do next.
#[derive(Debug, Error)]
pub enum Error {
    #[error("the Docker Engine cannot be reached at `{}`: {reason}", socket.display())]
    NotReachable { socket: PathBuf, reason: String },
    #[error("the Docker Engine's socket `{}` may not be used by this user", socket.display())]
    PermissionDenied { socket: PathBuf },
    #[error("DOCKER_HOST is `{host}`, and only a local Engine can be used: {reason}")]
    Remote { host: String, reason: &'static str },
    #[error("the container `{name}` is refused: {refusal}")]
    Refused { name: String, refusal: Refusal },
    #[error("a container named `{name}` exists and is not the one asked for: {} differ", differs.join(", "))]
    Conflict { name: String, differs: Vec<String> },
    #[error("the name `{name}` stayed taken by a container that the Engine does not show")]
    NameTaken { name: String },
    #[error("the image `{image}` is not there")]
    ImageMissing { image: String },
    #[error("the Engine has no container runtime `{runtime}`: {message}")]
    RuntimeMissing { runtime: String, message: String },
    #[error("there is no container `{name}`")]
    NotFound { name: String },
    #[error("the container `{name}` did not start: {message}")]
    Start { name: String, message: String },
    #[error("the Engine's logs of `{name}` cannot be read: {message}")]
    Logs { name: String, message: String },
    #[error("the Engine did not answer in time: {what}")]
    Timeout { what: String },
    #[error("the Engine refused to {what}: {message} (status {status})")]
    Engine { what: String, status: u16, message: String },
    #[error("talking to the Engine failed: {what}")]
    Protocol { what: String, source: Box<bollard::errors::Error> },
    #[error("`{}` cannot be {doing}", path.display())]
    Io { path: PathBuf, doing: &'static str, source: std::io::Error },
    #[error("output could not be written")]
    Output(#[source] std::io::Error),
    #[error("the Engine runs with {what}, where a container's user is not the host's user")]
    UserNamespace { what: &'static str },
    /// A rootless Engine, and this process is not in its user namespace.
    #[error("the Engine is rootless, and its user namespace is not this process's")]
    NotItsUser,
    /// What the Engine says that it does not enforce; see [`super::Facts`].
    #[error("the Engine enforces no limit of {}: a container can take all of the machine's", limits.join(", "))]
    Unenforced { limits: Vec<&'static str> },
    /// The kernel says of a container that its users are others than the run's.
    #[error("root in the container is {found:?} on the host by the kernel's map, and this run is for {wanted}")]
    Mapping { wanted: String, found: String },
    #[error(transparent)]
    Image(#[from] super::image_ref::ImageRefError),
    #[error("the image `{image}` is not what its name says: {why}")]
    ImageChanged { image: String, why: String },
}

impl Error {
    /// What to do next, one a line; commands stand in backticks.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        let lines: &[&str] = match self {
            Self::NotReachable { socket, .. } if !socket.exists() => &[
                "install it with `apt-get install docker.io`, or start it with `systemctl start docker`",
                "without systemd: `dockerd &`",
            ],
            Self::NotReachable { .. } => &[
                "start it with `systemctl start docker`; without systemd: `dockerd &`",
                "`taskforge doctor` looks closer",
            ],
            Self::PermissionDenied { .. } => {
                &["add the user to the socket's group with `usermod -aG docker $USER` and log in again, or run as root"]
            }
            Self::Remote { .. } => &["unset DOCKER_HOST, or set it to unix:///path/to/docker.sock"],
            Self::Refused { .. } => &["these rules have no switch; `docs/threat-model.md` gives their reasons"],
            Self::Conflict { name, .. } => {
                return vec![format!(
                    "look at it with `docker inspect {name}`, and remove it with `docker rm -f {name}`"
                )];
            }
            Self::ImageMissing { .. } => &["`taskforge doctor` says which images are missing and how to make them"],
            Self::RuntimeMissing { .. } => &[
                "register it in /etc/docker/daemon.json under `runtimes`, or change `containers.runtime` in taskforge.toml",
            ],
            Self::Start { message, .. } if message.contains("rlimit") => &[
                "the Engine may not raise a limit above its own: lower the number of open files, or raise the Engine's",
            ],
            Self::UserNamespace { .. } => &["use an Engine that root runs, with or without userns-remap"],
            Self::NotItsUser => {
                &["run taskforge as the user who runs the Engine, with ids of their own in /etc/subuid and /etc/subgid"]
            }
            Self::Unenforced { .. } => &[
                "use an Engine with control groups: one that root runs, or a rootless one on version 2 of them",
                "to go on without these limits, set `containers.allowUnenforcedLimits = true` in taskforge.toml",
            ],
            Self::Mapping { .. } => {
                &["the Engine was set up anew since this run began, or the run began without it: start another run"]
            }
            _ => &[],
        };
        lines.iter().map(|&line| line.to_owned()).collect()
    }

    /// Whether what was to be started is at fault, rather than the Engine: trying again gives the same.
    #[must_use]
    pub const fn is_of_the_container(&self) -> bool {
        matches!(
            self,
            Self::Refused { .. }
                | Self::Conflict { .. }
                | Self::ImageMissing { .. }
                | Self::RuntimeMissing { .. }
                | Self::Start { .. }
                | Self::Mapping { .. }
                | Self::NotItsUser
                | Self::Unenforced { .. }
                | Self::Image(_)
        )
    }

    /// Whether the Engine itself is absent, so that nothing about any container is known.
    #[must_use]
    pub const fn is_unreachable(&self) -> bool {
        matches!(self, Self::NotReachable { .. } | Self::PermissionDenied { .. } | Self::Remote { .. })
    }
}
