//! `taskforge schedule install`.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use crate::failure::{Failure, Kind};
use crate::program;
use crate::schedule::{Backend, Cadence, Job};

use super::super::root::Context;
use super::{Place, id, machine};

/// Tick all runs of this registry again and again, from a crontab, a systemd timer or OpenClaw
///
/// Installing again changes what is there instead of adding to it.
#[derive(Debug, Args)]
pub(crate) struct Install {
    /// How often: 1m, 5m, 1h, 1d [default: 1m]
    #[arg(long, value_name = "INTERVAL", value_parser = Cadence::every, conflicts_with = "cron")]
    every: Option<Cadence>,
    /// When, as a cron pattern of five fields in local time
    #[arg(long, value_name = "PATTERN", value_parser = Cadence::cron)]
    cron: Option<Cadence>,
    /// Who calls [default: systemd if yours answers, else cron, else OpenClaw]
    #[arg(long, value_name = "WHO")]
    backend: Option<Place>,
    /// Say what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
}

impl Install {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        registry.require_local()?;
        let (machine, id) = (machine(&registry)?, id(&registry)?);
        let backend = self.backend.map_or_else(|| machine.preferred(), |place| Ok(place.into()))?;
        let binary = program::own()
            .map_err(|error| Failure::new(Kind::Failed, format!("cannot find this binary's own path: {error}")))?;
        let cadence = self.every.or(self.cron).unwrap_or_default();
        let mut job = Job::new(&binary, registry.root(), &id, cadence)?;
        if let Ok(host) = std::env::var("DOCKER_HOST") {
            job = job.variable("DOCKER_HOST", &host);
        }
        let outcome = machine.install(backend, &job, self.dry_run)?;
        let others: Vec<Backend> = Backend::ALL
            .into_iter()
            .filter(|other| *other != backend && machine.has(*other))
            .filter(|other| machine.find(*other, &id).is_ok_and(|found| found.is_some()))
            .collect();
        let value = json!({"dryRun": self.dry_run, "installed": outcome, "also": others});
        context.output.result(&value, || {
            let done = match (self.dry_run, outcome.changed) {
                (true, true) => "Would write",
                (true, false) => "Stands as it would be written",
                (false, true) => "Installed",
                (false, false) => "Unchanged",
            };
            let mut text = format!("{done}: {}\n\n{}", outcome.place, outcome.text);
            for left in &outcome.left {
                text.push_str(&format!("\n{}: `{}`\n", left.why, left.mend));
            }
            for other in &others {
                text.push_str(&format!(
                    "\n{other} ticks this registry as well, which only costs: `taskforge schedule remove --backend {other}`\n"
                ));
            }
            text
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
