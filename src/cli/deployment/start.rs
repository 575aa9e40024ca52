//! `taskforge deployment start`.

use std::process::ExitCode;

use clap::Args;

use super::{Context, said};
use crate::cli::terminal::plain;
use crate::engine;
use crate::failure::Failure;
use crate::run::deployment::Standing;

/// Start a deployment that was stopped or killed, or that waits after a failure
#[derive(Debug, Args)]
pub(crate) struct Start {
    /// Its id, the start of one, or its port of 127.0.0.1
    deployment: String,
}

impl Start {
    pub(super) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        let row = engine::start_deployment(&registry, &self.deployment)?;
        context.output.result(&row, || match row.status {
            Standing::Running => format!("Deployment {} runs at {}.\n", row.id, row.address),
            status => format!("Deployment {} is {}: {}\n", row.id, status.as_str(), plain(&said(&row))),
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
