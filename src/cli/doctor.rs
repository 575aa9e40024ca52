//! `taskforge doctor`.

use std::process::ExitCode;

use clap::Args;

use crate::engine;
use crate::failure::Failure;

use super::output::{BAD, GOOD, WAITING};
use super::root::Context;

/// Say what this machine and this registry lack, and the command that mends it
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Look at every run and at each file whose digest a journal names [default: at the runs that have not ended]
    #[arg(long)]
    runs: bool,
}

impl Doctor {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        // Without a registry the machine can still be looked at.
        let registry = context.registry().ok();
        let checks = engine::diagnose(registry.as_ref(), self.runs);
        let sick = checks.iter().any(|check| check.grade == engine::Grade::Bad);
        context.output.result(&checks, || {
            let mut text = String::new();
            for check in &checks {
                let (style, word) = match check.grade {
                    engine::Grade::Good => (GOOD, "ok"),
                    engine::Grade::Note => (WAITING, "note"),
                    engine::Grade::Bad => (BAD, "bad"),
                };
                text.push_str(&format!("{style}{word:<5}{style:#} {:<18} {}\n", check.name, check.detail));
                if let Some(fix) = &check.fix {
                    text.push_str(&format!("      {:<18} `{fix}`\n", ""));
                }
            }
            text
        })?;
        Ok(if sick { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}
