//! `taskforge deployment start`.

use std::process::ExitCode;

use clap::Args;

use super::{Context, said};
use crate::cli::terminal::plain;
use crate::engine;
use crate::failure::{Failure, Kind};
use crate::run::deployment::Standing;

/// Start a deployment that was stopped or killed, or that waits after a failure
///
/// The exit code is 1 if it does not run then, with the reason.
#[derive(Debug, Args)]
pub(crate) struct Start {
    /// Its id, the start of one, or its port of 127.0.0.1
    deployment: String,
}

impl Start {
    pub(super) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        let row = engine::start_deployment(&registry, &self.deployment)?;
        if row.status != Standing::Running {
            let why = said(&row);
            let why = if why.is_empty() { "it has not come up yet".to_owned() } else { plain(&why) };
            let message = format!("deployment {} is {}: {why}", row.id, row.status.as_str());
            return Err(Failure::new(Kind::Failed, message)
                .hint(format!("`taskforge deployment logs {}` has what it printed", row.id)));
        }
        context.output.result(&row, || format!("Deployment {} runs at {}.\n", row.id, row.address))?;
        Ok(ExitCode::SUCCESS)
    }
}
