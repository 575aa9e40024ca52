//! `taskforge agent offboard`.

use std::process::ExitCode;

use clap::Args;

use super::Context;
use crate::cli::words::words;
use crate::engine;
use crate::failure::Failure;
use crate::run::id::AgentName;

/// End an agent: from this moment it can do nothing; what it has under way is stopped, its folder stays to be read
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  taskforge agent offboard ada --reason \"the project is over\"")]
pub(crate) struct Offboard {
    agent: AgentName,
    /// Why; it stands in the agent's journal
    #[arg(long, value_parser = words)]
    reason: String,
}

impl Offboard {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let done = engine::offboard(&context.registry()?, &self.agent, &self.reason)?;
        context.output.result(&done, || {
            let mut text = format!("{} was offboarded.\n", done.name);
            for ended in &done.ended {
                text.push_str(&format!("  ended {ended}\n"));
            }
            for dropped in &done.dropped {
                text.push_str(&format!("  will not be done: {dropped}\n"));
            }
            for deployment in &done.deployed {
                let (id, address) = (&deployment.id, &deployment.address);
                text.push_str(&format!(
                    "  still offered at {address}: `taskforge capability revoke {id}` takes it down\n"
                ));
            }
            text
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
