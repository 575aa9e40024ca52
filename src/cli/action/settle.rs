//! `taskforge action settle`.

use clap::Args;

use crate::cli::root::Context;
use crate::cli::run_arg::RunArg;
use crate::engine;
use crate::failure::Failure;

/// Say what became of an action whose outcome is unclear, after you have looked there
///
/// A mail server and a webhook do not say what they have taken, so that an action that was cut off there is never done again
/// by itself. With `--done` the agent that asks for the same again is answered that it was done; with `--not-done` it is done
/// then, once, under the same key. Who said so, and why, stands in the journal.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  taskforge action settle demo-1 12 --done --comment \"It is in the outbox.\"")]
pub(crate) struct Settle {
    run: RunArg,
    /// Its number in `action log`
    seq: u64,
    /// It was done
    #[arg(long, required_unless_present = "not_done", conflicts_with = "not_done")]
    done: bool,
    /// It was not done
    #[arg(long)]
    not_done: bool,
    /// How you know; the agent reads it, too
    #[arg(short = 'm', long)]
    comment: String,
}

impl Settle {
    pub(super) fn run(self, context: &Context<'_>) -> Result<(), Failure> {
        let registry = context.registry()?;
        let run = self.run.find(&registry)?;
        let settled = engine::settle_action(&registry, &run, self.seq, self.done, &self.comment)?;
        context.output.result(&settled, || {
            let (action, seq) = (&settled.action, self.seq);
            match self.done {
                true => format!("Action {seq} ({action}) was done: the agent is told so when it asks again.\n"),
                false => format!("Action {seq} ({action}) was not done: it is done when the agent asks again.\n"),
            }
        })
    }
}
