//! `taskforge agent …`: hired agents, for whoever works with them; and what an agent's container executes.

mod actions;
mod chat;
mod hire;
mod inside;
mod list;
mod logs;
mod offboard;
mod run;
mod show;

use std::process::ExitCode;

use clap::Subcommand;

use super::root::Context;
use crate::failure::Failure;

/// Hired agents: hire one, give it work, talk to it, end it. And what runs inside containers
#[derive(Debug, Subcommand)]
pub(crate) enum Agent {
    Hire(hire::Hire),
    List(list::List),
    Show(show::Show),
    Run(run::Run),
    Chat(chat::Chat),
    Logs(logs::Logs),
    Actions(actions::Actions),
    Offboard(offboard::Offboard),
    #[command(flatten)]
    Inside(inside::Inside),
}

impl Agent {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        match self {
            Self::Hire(command) => command.run(context),
            Self::List(command) => command.run(context),
            Self::Show(command) => command.run(context),
            Self::Run(command) => command.run(context),
            Self::Chat(command) => command.run(context),
            Self::Logs(command) => command.run(context),
            Self::Actions(command) => command.run(context),
            Self::Offboard(command) => command.run(context),
            Self::Inside(verb) => Ok(ExitCode::from(verb.run())),
        }
    }
}
