//! Who calls `taskforge tick` when nobody does: a line of the person's crontab, a timer of their systemd, or an automation
//! of their OpenClaw. The texts are made by pure functions; what touches the machine goes through the programs that own
//! these places, and never changes what is not ours there.

mod automation;
mod backend;
mod cadence;
mod cron;
mod crontab;
mod error;
mod field;
mod job;
pub mod last;
mod systemd;
mod units;

use serde::Serialize;

pub use backend::{Backend, Machine};
pub use cadence::Cadence;
pub use error::{Error, Result};
pub use job::{Command, Job};

/// A schedule that stands somewhere on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Installed {
    pub backend: Backend,
    /// Where: a crontab, a file, an automation's id.
    pub place: String,
    /// When it runs, in the words of that place.
    pub when: String,
    /// What it runs; `None` if that is nothing of ours any more.
    pub command: Option<Command>,
    /// Why it does not run although it stands there.
    pub asleep: Option<Asleep>,
}

/// Why a schedule that stands somewhere does not run, and what mends it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Asleep {
    pub why: String,
    /// The command that mends it.
    pub mend: String,
}

/// What installing came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    pub backend: Backend,
    pub place: String,
    /// What was written, or would have been.
    pub text: String,
    pub changed: bool,
    /// What is left for the person to run, each with its reason.
    pub left: Vec<Asleep>,
}
