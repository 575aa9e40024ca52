//! `taskforge secret list`.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use crate::failure::Failure;
use crate::vault::Vault;

use super::super::root::Context;
use super::super::table::Table;
use super::super::terminal::plain;

/// List the secrets: names, when and by whom they were changed, never a value
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  taskforge secret list")]
pub(crate) struct List {}

impl List {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        let log = Vault::of(&registry)?.log()?;
        let secrets: Vec<_> = log.secrets.values().collect();
        context.output.result(&json!({"secrets": secrets, "recipients": log.recipients}), || {
            let mut table = Table::new(["NAME", "CHANGED", "BY", "VERSIONS"]);
            for secret in &secrets {
                let changed = secret.changed.format("%Y-%m-%d %H:%M").to_string();
                table.row(
                    [&secret.name, &changed, &secret.changed_by, &secret.versions.to_string()].map(|cell| plain(cell)),
                );
            }
            table.or("The vault is empty: `taskforge secret set NAME`.\n")
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
