//! `taskforge watch list`.

use std::process::ExitCode;

use clap::Args;

use super::super::root::Context;
use super::word;
use crate::cli::table::Table;
use crate::engine;
use crate::failure::Failure;

/// List the watches of this registry, the schedules of its agents among them, and how they stand
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  taskforge watch list")]
pub(crate) struct List {}

/// The runs that failed, the first of many by name.
fn failed(one: &engine::WatchStatus) -> Option<String> {
    const SHOWN: usize = 3;
    let names: Vec<&str> = one.failed.iter().take(SHOWN).map(|work| work.run.as_str()).collect();
    let more = match one.failed.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (!names.is_empty()).then(|| format!("failed: {}{more}", names.join(", ")))
}

impl List {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        let watches = engine::watches(&registry)?;
        context.output.result(&watches, || {
            let mut table = Table::new(["WATCH", "SOURCE", "TARGET", "STANDS", "LAST LOOK", "PROBLEM"]);
            for one in &watches {
                table.row([
                    one.name.clone(),
                    one.source.as_str().to_owned(),
                    one.target.clone(),
                    word(one.standing).to_owned(),
                    one.looked.map(|at| at.format("%Y-%m-%d %H:%M:%S").to_string()).unwrap_or_default(),
                    one.problems
                        .first()
                        .cloned()
                        .or_else(|| engine::lacks_agent(&registry, one).map(|(_, why)| why))
                        .or_else(|| failed(one))
                        .unwrap_or_default(),
                ]);
            }
            table.or("No watches. `[watch.NAME]` in taskforge.toml makes one: docs/watching.md.")
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
