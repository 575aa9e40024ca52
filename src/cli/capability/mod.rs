//! `taskforge capability …`.

mod history;
mod list;
mod revoke;
mod show;
mod wanted;

pub(super) use wanted::since;

use std::process::ExitCode;

use clap::Subcommand;

use crate::failure::Failure;

use super::root::Context;

/// What agents asked for and were given, and taking it back
#[derive(Debug, Subcommand)]
pub(crate) enum Capability {
    List(list::List),
    Show(show::Show),
    History(history::History),
    Revoke(revoke::Revoke),
}

impl Capability {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        match self {
            Self::List(list) => list.run(context),
            Self::Show(show) => show.run(context),
            Self::History(history) => history.run(context),
            Self::Revoke(revoke) => revoke.run(context),
        }
    }
}
