//! `taskforge memory list`.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::Context;
use crate::cli::table::Table;
use crate::engine::AgentStore;
use crate::failure::Failure;
use crate::run::id::AgentName;

/// List what an agent remembers, by key
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  taskforge memory list ada")]
pub(crate) struct List {
    agent: AgentName,
}

impl List {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let agent = AgentStore::open(&context.registry()?, &self.agent)?.load()?;
        let values: Vec<_> = agent
            .remembered
            .iter()
            .map(|(key, entry)| json!({"key": key, "bytes": entry.value.len(), "at": entry.at}))
            .collect();
        context.output.result(&values, || {
            let mut table = Table::new(["KEY", "BYTES", "SET"]);
            for (key, entry) in &agent.remembered {
                let at = entry.at.format("%Y-%m-%d %H:%M:%S").to_string();
                table.row([key.to_string(), entry.value.len().to_string(), at]);
            }
            table.or("Nothing is remembered.")
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
