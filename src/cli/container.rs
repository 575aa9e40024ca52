//! `taskforge container …`.

use std::process::ExitCode;

use clap::Subcommand;

use crate::engine;
use crate::failure::Failure;
use crate::run::id::NodeId;

use super::root::Context;
use super::run_arg::RunArg;
use super::table::Table;

/// Look at the containers of a run
#[derive(Debug, Subcommand)]
pub(crate) enum Container {
    /// Show the settings in force for a node's live attempt, as the Engine reports them, beside what they have to be
    Inspect { run: RunArg, node: NodeId },
}

impl Container {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let Self::Inspect { run, node } = self;
        let registry = context.registry()?;
        let rows = engine::inspect_attempt(&registry, &run.find(&registry)?, &node)?;
        context.output.result(&rows, || {
            let mut table = Table::new(["", "SETTING", "EXPECTED", "IN FORCE"]);
            for row in &rows {
                let mark = if row.ok { "ok" } else { "!!" };
                table.row([mark.to_owned(), row.setting.to_string(), row.expected.clone(), row.actual.clone()]);
            }
            table.or("No settings.")
        })?;
        let good = rows.iter().all(|row| row.ok);
        Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
