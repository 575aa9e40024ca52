//! `taskforge memory get`.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::Context;
use crate::cli::terminal::plain;
use crate::engine::{AgentStore, Error};
use crate::failure::Failure;
use crate::role::agent::AgentRefusal;
use crate::run::id::AgentName;

/// Show what an agent remembers under a key
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  taskforge memory get ada team.style")]
pub(crate) struct Get {
    agent: AgentName,
    key: String,
}

impl Get {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let key = super::key(&self.key)?;
        let agent = AgentStore::open(&context.registry()?, &self.agent)?.load()?;
        let Some(entry) = agent.remembered.get(&key) else {
            return Err(Error::Agent(AgentRefusal::NoMemory { name: self.agent, key }).into());
        };
        let value = json!({"key": key, "value": entry.value, "at": entry.at});
        context.output.result(&value, || plain(&entry.value))?;
        Ok(ExitCode::SUCCESS)
    }
}
