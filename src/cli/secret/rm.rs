//! `taskforge secret rm`.

use std::process::ExitCode;

use chrono::Utc;
use clap::Args;

use crate::engine;
use crate::failure::Failure;
use crate::vault::Vault;

use super::super::root::Context;

/// Remove a secret from the vault; gates that run lose it with their next policy
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  taskforge secret rm github-token")]
pub(crate) struct Rm {
    /// As `secret list` names it
    name: String,
}

impl Rm {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        let name = super::name(&self.name)?;
        let removed = Vault::of(&registry)?.remove(&name, &engine::operator(), Utc::now())?;
        context.output.result(&removed, || format!("The secret {name} is gone.\n"))?;
        Ok(ExitCode::SUCCESS)
    }
}
