//! Docker, through its API: what a container of ours may be, starting it once, seeing what became of it, ending it.
//!
//! This room reports what the Engine says and decides nothing: it never touches a journal, never retries a node and
//! never reads the clock to make a choice. What it must never do is make a container weaker than its role allows:
//! every start goes through [`ContainerSpec::check`], and whatever is missing (a runtime, an image, a limit) is an
//! error, not a fallback.

mod agent_spec;
mod body;
mod deployment_spec;
mod effective;
mod engine;
mod error;
mod events;
mod facts;
mod gate_image;
mod gate_spec;
mod grade;
mod image;
mod image_ref;
mod kill;
mod labels;
mod list;
pub mod logs;
mod mount;
mod name;
mod network;
mod observe;
mod patience;
mod plain;
mod probe;
mod refusal;
mod remap;
mod resources;
mod role;
mod rootless;
mod run_once;
mod seccomp;
mod spec;
mod start;
mod tmpfs;
mod user;

pub use agent_spec::AgentContainer;
pub use deployment_spec::DeploymentContainer;
pub use effective::{Expected, Promised, Row, effective};
pub use engine::{Engine, engine_socket};
pub use error::Error;
pub use events::{Happening, Occurrence};
pub use facts::{Facts, Terms};
pub use gate_image::GateImage;
pub use gate_spec::GateContainer;
pub use grade::{Deduction, Graded};
pub use image::{Commit, ImageFacts};
pub use image_ref::{ImageRef, ImageRefError};
pub use kill::Killed;
pub use labels::{LABEL_PREFIX, Labels};
pub use list::Summary;
pub use mount::Mount;
pub use name::{agent_name, deployment_gate_name, deployment_label, deployment_name, gate_name, name_for};
pub use network::Network;
pub use observe::{Observed, State};
pub use patience::Patience;
pub use probe::{Check, probe};
pub use refusal::Refusal;
pub use remap::Remap;
pub(crate) use remap::{ROOTLESS, prove as prove_mapping, remap as read_remap};
pub use resources::Resources;
pub use role::Role;
pub use rootless::take_part;
pub use run_once::Finished;
pub use seccomp::{profile_digest, security_options};
pub use spec::ContainerSpec;
pub use start::{How, Started};
pub use tmpfs::Tmpfs;
pub use user::{Operator, UserError, Users};
