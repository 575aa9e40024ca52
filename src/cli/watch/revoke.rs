//! `taskforge watch revoke`.

use std::process::ExitCode;

use clap::Args;

use super::super::root::Context;
use crate::cli::words::words;
use crate::engine;
use crate::failure::Failure;

/// Take back a schedule that an agent was given: when this returns, it begins no run any more
///
/// It is `capability revoke` of the request that it was approved by, by what `watch list` calls it. A run that it has begun
/// goes on: `run cancel` ends that. The agent may ask again, and a person decides again. A watch of the settings ends with
/// its section of taskforge.toml.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  taskforge watch revoke ada.weekly --reason \"no longer needed\"")]
pub(crate) struct Revoke {
    /// AGENT.NAME, as in `watch list`
    schedule: String,
    /// Why; stands in the journal of the run that asked, and is what the agent reads
    #[arg(long, value_parser = words)]
    reason: String,
}

impl Revoke {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let revoked = engine::revoke_schedule(&context.registry()?, &self.schedule, &self.reason)?;
        context.output.result(&revoked, || {
            format!("Revoked {}: it begins no run any more; journaled in run {}.\n", revoked.name, revoked.run)
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
