//! `taskforge schedule …`: who calls `tick` when nobody does.

mod install;
mod remove;
mod status;

use std::path::Path;
use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use sha2::{Digest as _, Sha256};

use crate::failure::Failure;
use crate::registry::Registry;
use crate::schedule::{Backend, Machine};

use super::root::Context;

/// Let cron, systemd or OpenClaw call `tick`
#[derive(Debug, Subcommand)]
pub(crate) enum Schedule {
    Install(install::Install),
    Remove(remove::Remove),
    Status(status::Status),
}

impl Schedule {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        match self {
            Self::Install(command) => command.run(context),
            Self::Remove(command) => command.run(context),
            Self::Status(command) => command.run(context),
        }
    }
}

/// Where a schedule stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Place {
    /// The crontab
    Cron,
    /// A timer of your own systemd
    Systemd,
    /// A command automation of OpenClaw
    Openclaw,
}

impl From<Place> for Backend {
    fn from(place: Place) -> Self {
        match place {
            Place::Cron => Self::Cron,
            Place::Systemd => Self::Systemd,
            Place::Openclaw => Self::Openclaw,
        }
    }
}

/// The programs of this machine, OpenClaw's as the registry names it.
pub(crate) fn machine(registry: &Registry) -> Result<Machine, Failure> {
    let config = &registry.config()?.openclaw;
    Ok(Machine::new(Path::new(config.cli.as_deref().unwrap_or("openclaw")), config.timeout))
}

/// The registry's id; OpenTask's own registries have none, and are known by where they lie.
pub(crate) fn id(registry: &Registry) -> Result<String, Failure> {
    if registry.is_bare() {
        use std::os::unix::ffi::OsStrExt as _;
        let digest = Sha256::digest(registry.root().as_os_str().as_bytes());
        return Ok(digest.iter().take(10).map(|byte| format!("{byte:02x}")).collect());
    }
    Ok(registry.id()?)
}
