//! `taskforge watch reset`.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::super::root::Context;
use super::word;
use crate::engine;
use crate::failure::Failure;

/// Let a watch look again that backs off or has given up
///
/// It forgets its failures and asks for everything anew. What it took up before is not begun again.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  taskforge watch reset reviews")]
pub(crate) struct Reset {
    watch: String,
    /// Say how it stands, and change nothing
    #[arg(long)]
    dry_run: bool,
}

impl Reset {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let before = engine::reset_watch(&context.registry()?, &self.watch, self.dry_run)?;
        let value = json!({"dryRun": self.dry_run, "watch": before.name, "was": before.standing});
        context.output.result(&value, || match self.dry_run {
            true => format!("{}: {}", before.name, word(before.standing)),
            false => format!("{}: {}; the next look is a new beginning.", before.name, word(before.standing)),
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
