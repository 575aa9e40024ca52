//! `taskforge memory history`.

use std::process::ExitCode;

use clap::Args;

use super::Context;
use crate::cli::table::Table;
use crate::cli::terminal::plain;
use crate::engine;
use crate::failure::Failure;
use crate::run::id::AgentName;

/// Show every version of what stood under a key, and who wrote it
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  taskforge memory history ada team.style")]
pub(crate) struct History {
    agent: AgentName,
    key: String,
    /// Only the last so many
    #[arg(long, value_name = "N")]
    last: Option<usize>,
}

impl History {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let key = super::key(&self.key)?;
        let versions = engine::history(&context.registry()?, &self.agent, &key)?;
        let versions = &versions[self.last.map_or(0, |last| versions.len().saturating_sub(last))..];
        context.output.result(&versions, || {
            let mut table = Table::new(["TIME", "BY", "IN", "VALUE"]);
            for version in versions {
                let time = version.at.get(..19).unwrap_or_default().replace('T', " ");
                let place = version.by.as_ref().map_or_else(String::new, |by| format!("{}/{}", by.run, by.node));
                let value = version.value.as_deref().map_or_else(|| "(forgotten)".to_owned(), plain);
                table.row([time, version.actor.clone(), place, value]);
            }
            table.or("Nothing.")
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
