//! `taskforge review`.

mod answers;
mod walk;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::engine;
use crate::failure::{Failure, Kind};

use super::root::Context;
use super::run_arg::RunArg;
use super::terminal;

/// Walk through what waits, one request at a time, as `git add -p` does
///
/// Each is shown whole, with its lock and its digest, and asked about: a approves it, d denies it, i answers with what may
/// be asked for instead, e edits its list, t and f say for how long and for whom it is granted, k goes back to the one
/// before, s leaves it for later, q ends the walk, ? says so again. Nothing is decided by a line that is empty or by the
/// end of the input.
#[derive(Debug, Args)]
pub(crate) struct Review {
    /// Only what waits in this run
    #[arg(long, value_name = "RUN")]
    run: Option<RunArg>,
    /// Take the answers from a file (`-` for standard input) instead of asking
    ///
    /// A line each: `approve ID DIGEST [COMMENT]`, `deny ID DIGEST COMMENT`, `skip ID`. The digest is the one that `approve
    /// ID --show` printed. Lines of one run are decided together, as they were shown; what cannot be decided so is said, and the others
    /// count.
    #[arg(long, value_name = "FILE")]
    answers: Option<PathBuf>,
}

impl Review {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        let run = self.run.map(|run| run.find(&registry)).transpose()?;
        if let Some(run) = &run {
            // A run that is not there has nothing that waits, which is not what was asked.
            engine::Store::open(&registry, run)?;
        }
        if let Some(path) = &self.answers {
            return answers::take(context, &registry, path, run.as_ref());
        }
        if !terminal::is_interactive() || context.output.is_json() {
            let message = "nobody can be asked here: give `--answers`, or decide with `approve ID --digest`";
            return Err(Failure::new(Kind::Usage, message).hint("`taskforge inbox` lists what waits"));
        }
        let engine::Inbox { waiting, unreadable, .. } = engine::inbox(&registry)?;
        for (run, reason) in &unreadable {
            context.output.warn(&format!("warning: run {run} cannot be read: {reason}"));
        }
        let wanted = waiting.into_iter().filter(|item| run.as_ref().is_none_or(|run| item.run == *run));
        walk::walk(context, &registry, wanted.collect())
    }
}
