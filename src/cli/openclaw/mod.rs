//! `taskforge openclaw …`: OpenClaw's agents as the sessions that do runs.

mod check;
mod setup;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::failure::{Failure, Kind};
use crate::openclaw::OpenclawCli;
use crate::program;
use crate::registry::Registry;

use super::root::Context;

/// Teach OpenClaw's agents to do runs, and check that they can do no more
#[derive(Debug, Subcommand)]
pub(crate) enum Openclaw {
    Setup(setup::Setup),
    Check(check::Check),
}

impl Openclaw {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        match self {
            Self::Setup(command) => command.run(context),
            Self::Check(command) => command.run(context),
        }
    }
}

/// Which OpenClaw, and which agent of it.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// OpenClaw's command line [default: what taskforge.toml names, else `openclaw`]
    #[arg(long, value_name = "PATH")]
    openclaw: Option<PathBuf>,
    /// The agent that shall do runs
    #[arg(long, default_value = "main", value_name = "ID", value_parser = agent)]
    agent: String,
}

/// The parts that both commands need.
struct Parts {
    cli: OpenclawCli,
    registry: Option<Registry>,
    binary: PathBuf,
}

impl Target {
    fn parts(&self, context: &Context<'_>) -> Result<Parts, Failure> {
        // Without a registry all but its tick can be looked at; one that was named has to be there.
        let registry = match context.registry() {
            Ok(registry) => Some(registry),
            Err(failure) if context.registry_flag().is_none() && failure.kind == Kind::NotFound => None,
            Err(failure) => return Err(failure),
        };
        let config = registry.as_ref().map(|registry| registry.config().map(|config| config.openclaw.clone()));
        let config = config.transpose()?.unwrap_or_default();
        let named = self.openclaw.as_deref().or(config.cli.as_deref().map(Path::new));
        // Installing a skill runs its policy; that may take longer than a message.
        let cli =
            OpenclawCli::find(named.unwrap_or(Path::new("openclaw")), config.timeout.max(Duration::from_secs(60)))?;
        let binary = program::own()
            .map_err(|error| Failure::new(Kind::Failed, format!("cannot find this binary's own path: {error}")))?;
        Ok(Parts { cli, registry, binary })
    }
}

fn agent(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if text.is_empty() || text.starts_with('-') || text.len() > 64 || !text.bytes().all(plain) {
        return Err("an agent's id is letters, digits, dashes and underscores".to_owned());
    }
    Ok(text.to_owned())
}
