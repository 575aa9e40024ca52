//! `taskforge deployment list`.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::{Context, command_line, said};
use crate::cli::run_arg::RunArg;
use crate::cli::table::Table;
use crate::engine;
use crate::failure::Failure;

/// List deployments, with where they are offered and how they stand
///
/// A deployment goes on when its run is over. One that fails is begun again by ticks, after a pause that grows from five
/// seconds to five minutes; one whose machine went down is brought back by the next tick.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only of this run
    #[arg(long, value_name = "RUN")]
    run: Option<RunArg>,
}

impl List {
    pub(super) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        let run = self.run.map(|run| run.find(&registry)).transpose()?;
        let (rows, unreadable) = engine::list_deployments(&registry, run.as_ref())?;
        for (run, reason) in &unreadable {
            context.output.warn(&format!("warning: run {run} cannot be read: {reason}"));
        }
        context.output.result(&json!({"deployments": rows}), || {
            let mut table = Table::new(["ID", "ADDRESS", "STATUS", "RUN", "NODE", "STARTS", "COMMAND", "SAID"]);
            for row in &rows {
                let (id, run, node) = (row.id.to_string(), row.run.to_string(), row.node.to_string());
                let (status, starts) = (row.status.as_str().to_owned(), row.starts.to_string());
                let command = command_line(&row.command);
                table.row([id, row.address.clone(), status, run, node, starts, command, said(row)]);
            }
            table.or("Nothing is deployed.\n")
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
