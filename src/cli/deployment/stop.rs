//! `taskforge deployment stop`.

use std::process::ExitCode;

use clap::Args;

use super::Context;
use crate::cli::words::words;
use crate::engine;
use crate::failure::Failure;

/// Take a deployment down until it is started again: its connections are cut before this returns
///
/// It keeps its port. `taskforge capability revoke` takes back what was approved, and frees the port.
#[derive(Debug, Args)]
pub(crate) struct Stop {
    /// Its id, the start of one, or its port of 127.0.0.1
    deployment: String,
    /// Why; stands in the journal
    #[arg(long, value_parser = words)]
    reason: String,
}

impl Stop {
    pub(super) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        let row = engine::stop_deployment(&registry, &self.deployment, &self.reason)?;
        context
            .output
            .result(&row, || format!("Deployment {} is stopped; {} is kept for it.\n", row.id, row.address))?;
        Ok(ExitCode::SUCCESS)
    }
}
