//! `taskforge agent actions`.

use std::process::ExitCode;

use clap::Args;

use super::Context;
use crate::cli::action::{Wanted, of_agent};
use crate::failure::Failure;
use crate::run::id::AgentName;

/// Show what an agent was allowed, denied and had done, over all its runs
///
/// `taskforge action log --agent NAME` is the same; `action show RUN SEQ` shows one of them whole.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  taskforge agent actions ada --action github.pr.comment --last 10")]
pub(crate) struct Actions {
    agent: AgentName,
    #[command(flatten)]
    wanted: Wanted,
}

impl Actions {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        of_agent::run(context, &self.agent, &self.wanted)?;
        Ok(ExitCode::SUCCESS)
    }
}
