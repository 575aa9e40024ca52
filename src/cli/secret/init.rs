//! `taskforge secret init`.

use std::process::ExitCode;

use chrono::Utc;
use clap::Args;
use serde_json::json;

use crate::engine;
use crate::failure::Failure;
use crate::vault::{Vault, identity_path};

use super::super::root::Context;

/// Make the identity that opens this registry's vault
///
/// Writes an X25519 key in the form of `age-keygen` to your configuration folder (`taskforge/vault/<registry id>.key`, mode
/// 0600), behind a passphrase if you give one. Keep a copy elsewhere: without it the secrets are lost.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  taskforge secret init")]
pub(crate) struct Init {
    /// Without a passphrase: whatever runs as you can then open the vault, `taskforge tick` from cron included
    #[arg(long)]
    no_passphrase: bool,
}

impl Init {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        let path = identity_path(&registry)?;
        let passphrase = match self.no_passphrase {
            // One that is there already has its own, or none.
            _ if path.exists() => super::super::terminal::passphrase(&path),
            true => None,
            false => super::new_passphrase(&path)?,
        };
        let phrase = passphrase.as_deref().map(String::as_str);
        let recipient = Vault::of(&registry)?.create(phrase, &engine::operator(), Utc::now())?;
        let value = json!({"identity": path, "recipient": recipient});
        context.output.result(&value, || format!("Identity   {}\nPublic key {recipient}\n", path.display()))?;
        Ok(ExitCode::SUCCESS)
    }
}
