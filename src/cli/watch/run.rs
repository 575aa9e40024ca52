//! `taskforge watch run`.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::super::root::Context;
use super::failure;
use crate::cli::terminal::plain;
use crate::engine::{self, Looked, Looking};
use crate::failure::Failure;

/// Look for new work now, and begin a run for each piece of it
///
/// A watch that backs off after a failure, or whose service asked to be left alone, waits all the same. The runs are
/// taken on by `tick`, which looks by itself, too.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  taskforge watch run reviews --dry-run")]
pub(crate) struct Run {
    /// Which [default: all]
    watches: Vec<String>,
    /// Ask for everything and say what would be begun; begin and write nothing
    #[arg(long)]
    dry_run: bool,
}

impl Run {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        let names = match self.watches.is_empty() {
            true => engine::watch_names(&registry)?,
            false => self.watches,
        };
        for name in &names {
            engine::watch_standing(&registry, name)?;
        }
        let how = if self.dry_run { Looking::Dry } else { Looking::Asked };
        let mut all = Vec::with_capacity(names.len());
        for name in &names {
            all.push(engine::look_for_watch(&registry, name, how)?);
        }
        context.output.result(&json!({"dryRun": self.dry_run, "watches": all}), || {
            let mut text: String = all.iter().map(|one| lines(one, self.dry_run)).collect();
            for one in all.iter().filter(|one| one.found.is_empty() && !one.failed) {
                match &one.waits {
                    Some(why) => text.push_str(&format!("{}: does not look: {}\n", one.watch, plain(why))),
                    None => text.push_str(&format!("{}: nothing new\n", one.watch)),
                }
            }
            if all.is_empty() {
                text.push_str("No watches.\n");
            }
            text
        })?;
        failure(&all).map_or(Ok(ExitCode::SUCCESS), Err)
    }
}

/// What a look found, a line each.
pub(crate) fn lines(one: &Looked, dry: bool) -> String {
    let mut text = String::new();
    for found in &one.found {
        let what = plain(&found.what);
        text.push_str(&match (found.new, dry) {
            (true, false) => format!("{}: {what}: run {} begun\n", one.watch, found.run),
            (true, true) => format!("{}: {what}: would be run {}\n", one.watch, found.run),
            (false, _) => format!("{}: {what}: is run {}\n", one.watch, found.run),
        });
    }
    if one.left > 0 {
        text.push_str(&format!("{}: {} more, for the next look\n", one.watch, one.left));
    }
    if !one.failed && !one.gave_up {
        text.extend(one.problems.iter().map(|problem| format!("{}: {}\n", one.watch, plain(problem))));
    }
    text
}
