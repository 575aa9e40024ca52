//! `taskforge secret lock`.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use crate::failure::Failure;
use crate::vault;

use super::super::root::Context;

/// Take back `secret unlock`
///
/// Gates that run keep what they have; nothing new starts that needs a secret.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  taskforge secret lock")]
pub(crate) struct Lock {}

impl Lock {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        let was = vault::lock(&registry)?;
        let said = if was { "The vault is locked.\n" } else { "The vault was not unlocked.\n" };
        context.output.result(&json!({"wasUnlocked": was}), || said.to_owned())?;
        Ok(ExitCode::SUCCESS)
    }
}
