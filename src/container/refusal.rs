//! Why a spec is refused before the Engine hears of it. These rules have no switch.

use std::path::PathBuf;

use thiserror::Error;

use super::role::Role;

/// A rule of the box that a spec breaks.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    #[error("the container name {name:?} is not one of ours")]
    Name { name: String },
    #[error("a {role} container never runs as root (uid {uid}, gid {gid})")]
    Root { role: Role, uid: u32, gid: u32 },
    #[error("a {role} container may not have the network `{network}`")]
    Network { role: Role, network: &'static str },
    #[error("a {role} container on the network `{network}` may not publish a port")]
    Published { role: Role, network: &'static str },
    #[error("`{}` is not mounted: {reason}", path.display())]
    Source { path: PathBuf, reason: &'static str },
    #[error("{target:?} is not a place to mount at")]
    Target { target: String },
    #[error("two things would be mounted at `{target}`")]
    TargetTwice { target: String },
    #[error("the limit `{what}` cannot be {value}")]
    Limit { what: &'static str, value: String },
    #[error("the container has no command")]
    NoCommand,
    #[error("{what} contains a NUL byte or is not of the form NAME=VALUE")]
    Text { what: &'static str },
    #[error("the runtime name {name:?} is not one")]
    Runtime { name: String },
    #[error("the label `{label}` is empty or longer than 256 bytes")]
    Label { label: &'static str },
    #[error(transparent)]
    Image(#[from] super::image_ref::ImageRefError),
}
