//! `taskforge keys list`.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use crate::engine;
use crate::failure::Failure;

use super::super::root::Context;
use super::super::table::Table;
use super::super::terminal::plain;

/// List who may sign decisions, and which key is yours
#[derive(Debug, Args)]
pub(crate) struct List {}

impl List {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        let listed = engine::list_approvers(&registry)?;
        let value = json!({"decisionsProven": listed.is_some(), "approvers": listed.as_deref().unwrap_or_default()});
        context.output.result(&value, || {
            let Some(listed) = &listed else {
                return "Decisions are unproven: whoever runs as this user can make them. `taskforge keys setup` changes that.\n"
                    .to_owned();
            };
            let mut table = Table::new(["NAME", "KEY", "TYPE", "FOR", "UNTIL", "STATE", ""]);
            for entry in listed {
                let signs = entry.namespaces.as_deref().unwrap_or("everything");
                let until = entry.valid_before.as_deref().and_then(|time| time.get(..10)).unwrap_or("-");
                let yours = if entry.yours { "yours" } else { "" };
                let cells = [&entry.names, &entry.key, &entry.kind, signs, until, entry.state, yours];
                table.row(cells.map(plain));
            }
            table.or("allowed_signers names nobody: no decision counts.\n")
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
