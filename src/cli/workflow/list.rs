//! `taskforge workflow list`.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use crate::cli::table::Table;
use crate::failure::Failure;

use super::Context;

/// List the registry's workflows
#[derive(Debug, Args)]
pub(crate) struct List {}

impl List {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        let listings = crate::workflow::list(&registry.layout().workflows())?;
        let values: Vec<_> = listings
            .iter()
            .map(|listing| {
                let file = listing.file.display().to_string();
                match &listing.outcome {
                    Ok(summary) => json!({"file": file, "ok": true, "workflow": summary}),
                    Err(error) => json!({"file": file, "ok": false, "error": error.to_string()}),
                }
            })
            .collect();
        context.output.result(&values, || {
            let mut table = Table::new(["WORKFLOW", "NODES", "IN CONTAINERS", "TITLE"]);
            for listing in &listings {
                match &listing.outcome {
                    Ok(summary) => table.row([
                        summary.workflow_id.to_string(),
                        summary.nodes.to_string(),
                        summary.container_nodes.to_string(),
                        summary.title.clone(),
                    ]),
                    Err(error) => {
                        let name = listing.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
                        let first = error.to_string().lines().next().unwrap_or_default().to_owned();
                        table.row([name, String::new(), String::new(), format!("cannot be used: {first}")]);
                    }
                }
            }
            table.or("No workflows. `taskforge init` in a new folder brings one to start from.")
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
