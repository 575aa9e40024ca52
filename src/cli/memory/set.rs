//! `taskforge memory set`.

use std::io::Read as _;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::Context;
use crate::engine;
use crate::failure::{Failure, Kind};
use crate::role::agent::MOST_VALUE;
use crate::run::id::AgentName;

/// Make an agent remember something; what stood there before stays in its history
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  taskforge memory set ada team.style \"Short sentences.\"")]
pub(crate) struct Set {
    agent: AgentName,
    /// Lower-case letters, digits, `.`, `_` and `-`
    key: String,
    /// The text, or - to read it from standard input
    #[arg(allow_hyphen_values = true)]
    value: String,
}

impl Set {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let key = super::key(&self.key)?;
        let value = if self.value == "-" { read()? } else { self.value };
        let agent = engine::remember(&context.registry()?, &self.agent, &key, value)?;
        let bytes = agent.memory.get(&key).copied().unwrap_or_default();
        let told = json!({"agent": self.agent, "key": key, "bytes": bytes});
        context.output.result(&told, || format!("{} remembers {key} ({bytes} bytes).", self.agent))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn read() -> Result<String, Failure> {
    let mut bytes = Vec::new();
    std::io::stdin()
        .lock()
        .take(MOST_VALUE as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::new(Kind::Usage, format!("standard input cannot be read: {error}")))?;
    if bytes.len() > MOST_VALUE {
        return Err(Failure::new(Kind::Usage, format!("the value has more than {MOST_VALUE} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| Failure::new(Kind::Usage, "the value is not UTF-8"))
}
