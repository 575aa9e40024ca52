//! `taskforge schedule remove`.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use crate::failure::{Failure, Kind};
use crate::schedule::Backend;

use super::super::root::Context;
use super::{Place, id, machine};

/// Take this registry's schedule away, wherever it stands
#[derive(Debug, Args)]
pub(crate) struct Remove {
    /// Only there
    #[arg(long, value_name = "WHO")]
    backend: Option<Place>,
    /// Say what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,
}

impl Remove {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        let (machine, id) = (machine(&registry)?, id(&registry)?);
        let named = self.backend.map(Backend::from);
        let (mut removed, mut problems) = (Vec::new(), Vec::new());
        for backend in Backend::ALL {
            if named.map_or_else(|| !machine.has(backend), |named| named != backend) {
                continue;
            }
            match machine.remove(backend, &id, self.dry_run) {
                Ok(true) => removed.push(backend),
                Ok(false) => {}
                Err(error) if named.is_some() => return Err(error.into()),
                // One that cannot be asked must not keep the others' schedules.
                Err(error) => problems.push(format!("{backend}: {error}")),
            }
        }
        context.output.result(&json!({"dryRun": self.dry_run, "removed": removed, "unknown": problems}), || {
            let done = if self.dry_run { "Would remove from" } else { "Removed from" };
            let mut text: String = removed.iter().map(|backend| format!("{done} {backend}\n")).collect();
            if removed.is_empty() {
                text.push_str("There was none.\n");
            }
            text
        })?;
        if problems.is_empty() || !removed.is_empty() {
            for problem in problems {
                context.output.warn(&format!("not looked at: {problem}"));
            }
            return Ok(ExitCode::SUCCESS);
        }
        let mut failure = Failure::new(Kind::Unavailable, "no schedule was found where one could look");
        for problem in problems {
            failure = failure.hint(problem);
        }
        Err(failure)
    }
}
