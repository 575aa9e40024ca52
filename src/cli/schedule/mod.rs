//! `taskforge schedule …`: who calls `tick` when nobody does.

mod install;
mod remove;
mod status;

use std::path::Path;
use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::failure::Failure;
use crate::registry::Registry;
use crate::schedule::{Backend, Installed, Machine};

use super::root::Context;

/// Let cron, systemd or OpenClaw call `tick`
#[derive(Debug, Subcommand)]
pub(crate) enum Schedule {
    Install(Box<install::Install>),
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

/// Something that keeps a schedule from its work, and the command that mends it.
#[derive(Debug, Serialize)]
pub(crate) struct Finding {
    pub(crate) what: String,
    pub(crate) mend: String,
}

/// What keeps a schedule that stands somewhere from ticking `registry` with a binary.
pub(crate) fn problems(one: &Installed, registry: &Registry) -> Vec<Finding> {
    let again = format!("taskforge schedule install --backend {}", one.backend);
    let finding = |what: String| Finding { what: format!("{}: {what}", one.backend), mend: again.clone() };
    let mut findings = Vec::new();
    match &one.command {
        None => findings.push(finding("what runs is not a tick of taskforge any more".to_owned())),
        Some(command) => {
            if !command.binary.is_file() {
                findings.push(finding(format!("there is no binary {}", command.binary.display())));
            }
            let same = command
                .registry
                .canonicalize()
                .is_ok_and(|path| registry.root().canonicalize().is_ok_and(|root| root == path));
            if !same {
                findings.push(finding(format!("it ticks {}, not this registry", command.registry.display())));
            }
        }
    }
    if let Some(asleep) = &one.asleep {
        findings.push(Finding { what: format!("{}: {}", one.backend, asleep.why), mend: asleep.mend.clone() });
    }
    findings
}
