//! `taskforge run list`.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use crate::cli::table::Table;
use crate::engine::{Store, waiting_of};
use crate::failure::Failure;
use crate::run::status::NodeStatus;
use crate::run::time::isoformat;

use super::Context;

/// List runs, the newest first
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only runs of this status
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,
}

impl List {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        let mut runs = Vec::new();
        for run in crate::registry::queries::list_runs(&registry)? {
            match Store::open(&registry, &run).and_then(|store| store.peek()) {
                Ok(state) => runs.push(state),
                Err(error) => context.output.warn(&format!("warning: run {run} cannot be read: {error}")),
            }
        }
        runs.retain(|state| self.status.as_deref().is_none_or(|status| state.status.as_str() == status));
        runs.sort_by_key(|state| std::cmp::Reverse(state.updated_at));
        let values: Vec<_> = runs
            .iter()
            .map(|state| {
                json!({
                    "run": state.run, "workflow": state.created.workflow_id, "title": state.created.title,
                    "status": state.status, "updatedAt": isoformat(state.updated_at),
                    "waiting": waiting_of(state).len(),
                })
            })
            .collect();
        context.output.result(&values, || {
            let mut table = Table::new(["RUN", "STATUS", "NODES", "WAITS FOR YOU", "UPDATED", "TITLE"]);
            for state in &runs {
                let done = state.nodes.iter().filter(|node| node.status == NodeStatus::Completed).count();
                let waiting = waiting_of(state).len();
                table.row([
                    state.run.to_string(),
                    state.status.as_str().to_owned(),
                    format!("{done}/{}", state.nodes.len()),
                    if waiting == 0 { String::new() } else { waiting.to_string() },
                    state.updated_at.format("%Y-%m-%d %H:%M:%S").to_string(),
                    state.created.title.clone(),
                ]);
            }
            table.or("No runs. `taskforge run start WORKFLOW` starts one.")
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
