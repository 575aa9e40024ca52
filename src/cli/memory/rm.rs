//! `taskforge memory rm`.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::Context;
use crate::engine;
use crate::failure::Failure;
use crate::run::id::AgentName;

/// Make an agent forget a key; what it held stays in its history
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  taskforge memory rm ada team.style")]
pub(crate) struct Rm {
    agent: AgentName,
    key: String,
}

impl Rm {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let key = super::key(&self.key)?;
        engine::forget(&context.registry()?, &self.agent, &key)?;
        let told = json!({"agent": self.agent, "key": key});
        context.output.result(&told, || format!("{} has forgotten {key}.", self.agent))?;
        Ok(ExitCode::SUCCESS)
    }
}
