//! `taskforge run …`.

mod artifacts;
mod bind;
mod cancel;
mod create;
mod list;
mod logs;
mod report;
mod retry;
mod show;
mod start;
mod tree;
mod watch;

use std::process::ExitCode;

use clap::Subcommand;

use crate::failure::Failure;

use super::root::Context;

/// Start runs and look after them
#[derive(Debug, Subcommand)]
pub(crate) enum Run {
    Start(start::Start),
    Create(create::Create),
    Bind(bind::Bind),
    List(list::List),
    Show(show::Show),
    Tree(tree::Tree),
    Logs(logs::Logs),
    Watch(watch::Watch),
    Cancel(cancel::Cancel),
    Retry(retry::Retry),
    Artifacts(artifacts::Artifacts),
    Report(report::Report),
}

impl Run {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        match self {
            Self::Start(command) => command.run(context),
            Self::Create(command) => command.run(context),
            Self::Bind(command) => command.run(context),
            Self::List(command) => command.run(context),
            Self::Show(command) => command.run(context),
            Self::Tree(command) => command.run(context),
            Self::Logs(command) => command.run(context),
            Self::Watch(command) => command.run(context),
            Self::Cancel(command) => command.run(context),
            Self::Retry(command) => command.run(context),
            Self::Artifacts(command) => command.run(context),
            Self::Report(command) => command.run(context),
        }
    }
}
