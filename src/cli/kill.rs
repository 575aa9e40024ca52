//! `taskforge kill`.

use std::process::ExitCode;

use clap::Args;

use crate::engine;
use crate::failure::{Failure, Kind};

use super::root::Context;

/// Stop everything of this registry now, and let nothing start until `unlock`
#[derive(Debug, Args)]
pub(crate) struct Kill {
    /// Why; stands in the kill file and in every journal
    #[arg(long)]
    reason: String,
}

impl Kill {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        let killed = engine::kill(&registry, &self.reason)?;
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
        Err(failure.hint("the next `taskforge kill` or `tick` goes on with it"))
    }
}
