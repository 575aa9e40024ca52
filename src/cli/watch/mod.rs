//! `taskforge watch …`: where new work is looked for.

mod list;
mod reset;
mod revoke;
mod run;
mod show;

use std::process::ExitCode;

use clap::Subcommand;

use super::root::Context;
use crate::engine::{Looked, Standing};
use crate::failure::{Failure, Kind};

pub(crate) use run::lines;

/// Watches: let new pull requests, times and files become runs by themselves
#[derive(Debug, Subcommand)]
pub(crate) enum Watch {
    List(list::List),
    Show(show::Show),
    Run(run::Run),
    Reset(reset::Reset),
    Revoke(revoke::Revoke),
}

impl Watch {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        match self {
            Self::List(command) => command.run(context),
            Self::Show(command) => command.run(context),
            Self::Run(command) => command.run(context),
            Self::Reset(command) => command.run(context),
            Self::Revoke(command) => command.run(context),
        }
    }
}

fn word(standing: Standing) -> &'static str {
    match standing {
        Standing::New => "not looked yet",
        Standing::Good => "looks",
        Standing::Troubled => "looks, with a problem",
        Standing::BacksOff => "backs off",
        Standing::GaveUp => "gave up",
        Standing::Stuck => "begins nothing",
        Standing::Over => "is over",
    }
}

/// The watches of which a look failed or that have given up, as a failure with what to do next.
pub(crate) fn failure(all: &[Looked]) -> Option<Failure> {
    let gave_up: Vec<&str> = all.iter().filter(|one| one.gave_up).map(|one| one.watch.as_str()).collect();
    let failing: Vec<&str> =
        all.iter().filter(|one| one.failed && !one.gave_up).map(|one| one.watch.as_str()).collect();
    if gave_up.is_empty() && failing.is_empty() {
        return None;
    }
    let mut parts = Vec::new();
    if !gave_up.is_empty() {
        parts.push(format!("watch `{}` has given up", gave_up.join("`, `")));
    }
    if !failing.is_empty() {
        parts.push(format!("a look of watch `{}` failed", failing.join("`, `")));
    }
    let mut failure = Failure::new(Kind::Unavailable, parts.join("; "));
    for one in all.iter().filter(|one| one.gave_up || one.failed) {
        for problem in one.problems.iter().take(3) {
            failure = failure.hint(format!("{}: {problem}", one.watch));
        }
    }
    for name in gave_up {
        failure = failure.hint(format!("`taskforge watch reset {name}` when it has been mended"));
    }
    Some(failure)
}
