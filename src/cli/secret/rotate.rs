//! `taskforge secret rotate`.

use std::process::ExitCode;

use chrono::Utc;
use clap::Args;

use crate::engine;
use crate::failure::Failure;
use crate::vault::Vault;

use super::super::root::Context;
use super::super::terminal;

/// Make a new identity and encrypt every secret anew to it
///
/// The values stay the same: one that has leaked gets another with `secret set`. Gates that run take note by themselves.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  taskforge secret rotate --also age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
)]
pub(crate) struct Rotate {
    /// Encrypt to this public key of `age-keygen` as well, a colleague's or one kept in a safe; those of before are dropped
    #[arg(long, value_name = "age1…")]
    also: Vec<String>,
}

impl Rotate {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        let vault = Vault::of(&registry)?;
        let rotated = vault.rotate(&self.also, &terminal::passphrase, &engine::operator(), Utc::now())?;
        context.output.result(&rotated, || {
            let to: String = rotated.recipients.iter().map(|recipient| format!("  {recipient}\n")).collect();
            format!(
                "{} encrypted anew, to\n{to}",
                match rotated.secrets.len() {
                    1 => "1 secret".to_owned(),
                    count => format!("{count} secrets"),
                }
            )
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
