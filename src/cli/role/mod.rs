//! `taskforge role …`.

mod list;
mod new;
mod show;
mod validate;

use std::process::ExitCode;

use clap::Subcommand;

use super::root::Context;
use crate::failure::Failure;

pub(crate) use show::{describe, row};

/// What agents are: look at roles, check them, start from one that ships
#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    List(list::List),
    Show(show::Show),
    Validate(validate::Validate),
    New(new::New),
}

impl Role {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        match self {
            Self::List(command) => command.run(context),
            Self::Show(command) => command.run(context),
            Self::Validate(command) => command.run(context),
            Self::New(command) => command.run(context),
        }
    }
}
