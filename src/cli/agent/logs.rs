//! `taskforge agent logs`.

use std::process::ExitCode;

use clap::Args;

use super::Context;
use crate::cli::table::Table;
use crate::cli::terminal::plain;
use crate::engine::AgentStore;
use crate::failure::Failure;
use crate::run::id::AgentName;

/// Show what happened to an agent: the lines of its journal
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  taskforge agent logs ada --last 20")]
pub(crate) struct Logs {
    agent: AgentName,
    /// Only the last so many
    #[arg(long, value_name = "N")]
    last: Option<usize>,
}

impl Logs {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let records = AgentStore::open(&context.registry()?, &self.agent)?.records()?;
        let skip = self.last.map_or(0, |last| records.len().saturating_sub(last));
        let records = &records[skip..];
        context.output.result(&records, || {
            let mut table = Table::new(["TIME", "BY", "WHAT"]);
            for record in records {
                let time = record.timestamp.get(..19).unwrap_or_default().replace('T', " ");
                let what = plain(record.message.as_deref().unwrap_or(&record.event));
                table.row([time, record.actor.clone(), what]);
            }
            table.or("Nothing.")
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
