//! `taskforge run watch`.

use std::process::ExitCode;

use clap::{Args, ValueEnum};

use crate::cli::follow;
use crate::cli::run_arg::RunArg;
use crate::engine;
use crate::failure::Failure;

use super::Context;

/// Follow a run until it ends, or waits for a person
///
/// It only watches: something else has to tick the run. `--drive` ticks it too.
#[derive(Debug, Args)]
pub(crate) struct Watch {
    run: RunArg,
    /// When to stop watching
    #[arg(long, value_enum, default_value_t = UntilArg::Waiting)]
    until: UntilArg,
    /// Drive the run as well: tick whenever something can be done
    #[arg(long)]
    drive: bool,
    /// Print only what came after the event with this number
    #[arg(long, value_name = "SEQ", default_value_t = 0)]
    after: u64,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum UntilArg {
    /// It waits for a person, or has ended
    Waiting,
    /// It has ended
    Done,
}

impl Watch {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        let run = self.run.find(&registry)?;
        let until = match self.until {
            UntilArg::Waiting => engine::Until::Blocked,
            UntilArg::Done => engine::Until::Ended,
        };
        if self.drive {
            follow::drive(context, &registry, &run, until, self.after)
        } else {
            follow::watch(context, &registry, &run, until, self.after)
        }
    }
}
