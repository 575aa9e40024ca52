//! `taskforge deployment show`.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::{Context, command_line, said};
use crate::cli::terminal::plain;
use crate::engine;
use crate::failure::Failure;
use crate::run::time::isoformat;

/// Show one deployment: what was approved, and how it stands
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// Its id, the start of one, or its port of 127.0.0.1
    deployment: String,
}

impl Show {
    pub(super) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        let row = engine::find_deployment(&registry, &self.deployment)?;
        // What was approved is shown, whether the Engine answers or not.
        let graded = engine::grade_deployment(&registry, &row).unwrap_or_else(|error| {
            context.output.warn(&format!("warning: its container cannot be looked at: {error}"));
            None
        });
        let value = json!({"deployment": row, "container": graded});
        context.output.result(&value, || {
            let mut text = format!("{} · {} · {}\n\n", row.id, row.address, row.status.as_str());
            let _ = writeln!(text, "Run       {}, node {}", row.run, row.node);
            let _ = writeln!(text, "Command   {}", plain(&command_line(&row.command)));
            let _ = writeln!(text, "Port      {} inside its container", row.port);
            let _ = writeln!(text, "Image     {}", plain(&row.image));
            let _ = writeln!(text, "Files     {} of the folder {}, set {}", row.files, plain(&row.folder), row.set);
            let _ = writeln!(text, "Starts    {}", row.starts);
            if let Some(since) = row.since {
                let _ = writeln!(text, "Since     {}", isoformat(since));
            }
            if let Some(container) = &row.container {
                let grade = graded.as_ref().map(|graded| format!(", grade {} of 100", graded.grade));
                let _ = writeln!(text, "Container {container}{}", grade.unwrap_or_default());
            }
            let said = said(&row);
            if !said.is_empty() {
                let _ = writeln!(text, "\n{}", plain(&said));
            }
            text
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
