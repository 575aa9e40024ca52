//! `taskforge kill`.

use std::process::ExitCode;

use clap::Args;

use crate::engine::{self, KillState};
use crate::failure::{Failure, Kind};
use crate::registry::Registry;

use super::root::Context;
use super::terminal::plain;
use super::words::words;

/// Stop everything of this registry now, and let nothing start until `unlock`
#[derive(Debug, Args)]
pub(crate) struct Kill {
    /// Why; stands in the kill file and in every journal
    #[arg(long, required_unless_present = "status", value_parser = words)]
    reason: Option<String>,
    /// Only say whether the switch is armed, killed, or killed with something left to do; changes nothing
    ///
    /// Of one that is armed it says who turned it off last, and why. The exit code is 0 if it is armed, 10 if everything is stopped, and 1 if something is left.
    #[arg(long, conflicts_with = "reason")]
    status: bool,
}

impl Kill {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        let Some(reason) = self.reason else { return status(context, &registry) };
        let killed = engine::kill(&registry, &reason)?;
        context.output.result(&killed, || {
            let mut text = format!(
                "Killed: {} container(s) removed, {} run(s) paused.\nNothing starts until `taskforge unlock --reason …`.\n",
                killed.removed.len(),
                killed.runs.len()
            );
            for name in &killed.removed {
                text.push_str(&format!("  removed {name}\n"));
            }
            text
        })?;
        if killed.unfinished.is_empty() {
            return Ok(ExitCode::SUCCESS);
        }
        let mut failure = Failure::new(Kind::Failed, "the switch is on, but not everything could be reached");
        for problem in killed.unfinished {
            failure = failure.hint(problem);
        }
        Err(failure.hint("the next command of any kind goes on with it; `taskforge kill --status` says what is left"))
    }
}

fn status(context: &Context<'_>, registry: &Registry) -> Result<ExitCode, Failure> {
    let status = engine::kill_status(registry)?;
    context.output.result(&status, || {
        let mut text = match (status.state, &status.kill) {
            (KillState::Armed, _) => {
                "Armed: the switch is off, and `taskforge kill --reason …` stops everything.\n".to_owned()
            }
            (state, kill) => {
                let word = if state == KillState::Killed { "Killed" } else { "Unfinished" };
                let (at, by, reason) = kill
                    .as_ref()
                    .map_or(("", "", ""), |kill| (kill.at.as_str(), kill.by.as_str(), kill.reason.as_str()));
                format!("{word}: on since {} ({}, by {}).\n", plain(at), plain(reason), plain(by))
            }
        };
        if let Some(last) = &status.last {
            let (on, off) = (&last.killed, &last.lifted);
            text.push_str(&format!(
                "It was on from {} ({}, by {}) to {} ({}, by {}).\n",
                plain(&on.at),
                plain(&on.reason),
                plain(&on.by),
                plain(&off.at),
                plain(&off.reason),
                plain(&off.by)
            ));
        }
        for left in &status.left {
            text.push_str(&format!("  left: {}\n", plain(left)));
        }
        text
    })?;
    Ok(match status.state {
        KillState::Armed => ExitCode::SUCCESS,
        KillState::Killed => ExitCode::from(Kind::Killed.exit_code()),
        KillState::Unfinished => ExitCode::FAILURE,
    })
}
