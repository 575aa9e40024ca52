//! `taskforge memory …`.

mod get;
mod history;
mod list;
mod rm;
mod set;

use std::process::ExitCode;

use clap::Subcommand;

use super::root::Context;
use crate::failure::{Failure, Kind};
use crate::role::agent::MemoryKey;

/// What a hired agent remembers: read it, correct it, see who wrote what when
#[derive(Debug, Subcommand)]
pub(crate) enum Memory {
    List(list::List),
    Get(get::Get),
    Set(set::Set),
    Rm(rm::Rm),
    History(history::History),
}

impl Memory {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        match self {
            Self::List(command) => command.run(context),
            Self::Get(command) => command.run(context),
            Self::Set(command) => command.run(context),
            Self::Rm(command) => command.run(context),
            Self::History(command) => command.run(context),
        }
    }
}

fn key(text: &str) -> Result<MemoryKey, Failure> {
    MemoryKey::parse(text).map_err(|error| Failure::new(Kind::Usage, error.to_string()))
}
