//! `taskforge secret unlock`.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use crate::failure::Failure;
use crate::vault;

use super::super::root::Context;
use super::super::terminal;

/// Open an identity that is behind a passphrase, until the next restart or `secret lock`
///
/// Keeps the key on a tmpfs that only you can read, so that `taskforge tick` can start agents that need secrets.
/// TASKFORGE_VAULT_PASSPHRASE_FILE names a file of mode 0600 with the passphrase where nobody can be asked.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  taskforge secret unlock")]
pub(crate) struct Unlock {}

impl Unlock {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        let copy = vault::unlock(&registry, &terminal::passphrase)?;
        context.output.result(&json!({"unlocked": copy}), || match &copy {
            Some(copy) => format!("The vault is open until the next restart: {}.\n", copy.display()),
            None => "The identity is behind no passphrase: there is nothing to unlock.\n".to_owned(),
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
