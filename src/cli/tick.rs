//! `taskforge tick`.

use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use serde_json::json;

use crate::engine::{self, Store};
use crate::failure::{Failure, Kind};
use crate::registry::Registry;
use crate::registry::index::Ask;
use crate::schedule;

use super::failure_from::UNLOCK;
use super::root::Context;
use super::run_arg::RunArg;
use super::set_aside;
use super::terminal::plain;
use super::watch;

/// Take runs as far as they go without waiting, then exit: what cron calls
///
/// Before all runs, watches look for new work.
#[derive(Debug, Args)]
pub(crate) struct Tick {
    /// One run [default: all]
    run: Option<RunArg>,
    /// All runs; the default without a RUN
    #[arg(long, conflicts_with = "run")]
    all: bool,
    /// Record that this tick was, for `schedule status`: what a schedule adds
    #[arg(long, hide = true, conflicts_with = "run")]
    record: bool,
}

impl Tick {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        if !self.record {
            return self.tick(context, &registry);
        }
        let from = Instant::now();
        let result = self.tick(context, &registry);
        let (exit, error) = match &result {
            Ok(_) => (0, None),
            Err(failure) => (failure.kind.exit_code(), Some(failure.message.clone())),
        };
        schedule::last::record(registry.layout(), from.elapsed(), exit, error)?;
        result
    }

    fn tick(self, context: &Context<'_>, registry: &Registry) -> Result<ExitCode, Failure> {
        if crate::registry::kill::read(registry.layout())?.is_some() {
            let killed = engine::finish_kill(registry)?;
            let mut failure = Failure::new(Kind::Killed, "the kill switch is on: nothing is started");
            for problem in killed.unfinished {
                failure = failure.hint(format!("not everything could be reached: {problem}"));
            }
            return Err(failure.hint(UNLOCK));
        }
        let named = self.run.is_some();
        // New work first: its runs are taken on at once.
        let looked = if named { Vec::new() } else { engine::look_for_watches(registry)? };
        let runs: Vec<_> = match &self.run {
            Some(run) => vec![run.find(registry)?],
            // A finished run without containers has nothing that a tick could do; the index knows it without a look inside.
            None => engine::list(registry, Ask::Active)?
                .into_iter()
                .filter(|listed| listed.entry.as_ref().map_or(true, |entry| entry.active))
                .map(|listed| listed.run)
                .collect(),
        };
        let mut ticked = Vec::new();
        let mut first_error = None;
        for run in runs {
            // A finished run without containers has nothing that a tick could do.
            let result = Store::open(registry, &run).and_then(|store| {
                let state = store.peek()?;
                let idle = state.status.is_terminal() && !state.may_have_containers() && store.is_projected();
                // An intent that somebody else recorded, such as a retry, is for a tick to take in.
                let idle = idle && !store.has_open_controls(&state)?;
                if idle { Ok(None) } else { engine::tick(registry, &run).map(Some) }
            });
            match result {
                Ok(Some(done)) => ticked.push(done),
                Ok(None) => {}
                // One run that cannot go on holds up no other.
                Err(error) if !named => {
                    context.output.warn(&format!("run {run}: {error}"));
                    first_error.get_or_insert(error);
                }
                Err(error) => return Err(error.into()),
            }
        }
        for done in &ticked {
            set_aside::warn(context, &done.run, &done.rejected);
        }
        let mut value = json!({"runs": ticked});
        if !looked.is_empty() {
            value["watches"] = json!(looked);
        }
        context.output.result(&value, || {
            let mut text: String = looked.iter().map(|one| watch::lines(one, false)).collect();
            for done in &ticked {
                if done.busy {
                    text.push_str(&format!("{}: another process drives it\n", done.run));
                }
                for action in &done.actions {
                    text.push_str(&format!("{}: {action}\n", done.run));
                }
                // Of one run a person asks; a list of all of them is what `inbox` is for.
                for who in done.unattended.iter().filter(|_| named) {
                    text.push_str(&format!("{}: waits for {}\n", done.run, plain(who)));
                }
            }
            text
        })?;
        match first_error {
            Some(error) => Err(error.into()),
            None => watch::failure(&looked).map_or(Ok(ExitCode::SUCCESS), Err),
        }
    }
}
