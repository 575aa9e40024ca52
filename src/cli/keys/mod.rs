//! `taskforge keys …`.

mod list;
mod setup;

use std::process::ExitCode;

use clap::Subcommand;

use crate::failure::Failure;

use super::root::Context;

/// Who may decide, and what you sign decisions with
#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    Setup(setup::Setup),
    List(list::List),
}

impl Keys {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        match self {
            Self::Setup(setup) => setup.run(context),
            Self::List(list) => list.run(context),
        }
    }
}
