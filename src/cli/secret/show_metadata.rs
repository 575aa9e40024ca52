//! `taskforge secret show-metadata`.

use std::process::ExitCode;

use clap::Args;

use crate::failure::Failure;
use crate::vault::{Vault, VaultError};

use super::super::root::Context;

/// Show what is known of a secret but its value, which no command shows
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  taskforge secret show-metadata github-token")]
pub(crate) struct ShowMetadata {
    /// As `secret list` names it
    name: String,
}

impl ShowMetadata {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        let name = super::name(&self.name)?;
        let log = Vault::of(&registry)?.log()?;
        let found = log.secrets.get(name.as_str()).ok_or_else(|| VaultError::NotFound { name: name.to_string() })?;
        context.output.result(found, || super::describe(found))?;
        Ok(ExitCode::SUCCESS)
    }
}
