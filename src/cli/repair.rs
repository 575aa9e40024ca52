//! `taskforge repair`.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use crate::engine::{self, Finding};
use crate::failure::{Failure, Kind};
use crate::registry::queries;

use super::output::{BAD, GOOD};
use super::root::Context;
use super::run_arg::RunArg;
use super::terminal::plain;

/// Look for what is wrong with runs' files, and mend what can be mended without losing anything
///
/// What is replaced is kept below `.taskforge/repaired/`. What is not safe to mend, such as a journal that somebody changed,
/// is only named: exit code 8.
#[derive(Debug, Args)]
pub(crate) struct Repair {
    /// One run [default: all]
    run: Option<RunArg>,
    /// Only look; write nothing
    #[arg(long)]
    dry_run: bool,
}

impl Repair {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        let runs = match &self.run {
            Some(run) => vec![run.find(&registry)?],
            None => queries::list_runs(&registry)?,
        };
        let mut findings: Vec<Finding> = Vec::new();
        let mut kept = Vec::new();
        for run in runs {
            if self.dry_run {
                findings.extend(engine::examine(&registry, &run)?);
            } else {
                let (found, folder) = engine::repair(&registry, &run)?;
                findings.extend(found);
                kept.extend(folder);
            }
        }
        let unsafe_ones = findings.iter().filter(|finding| !finding.safe).count();
        let value = json!({"mended": !self.dry_run, "findings": findings, "kept": kept});
        context.output.result(&value, || {
            if findings.is_empty() {
                return "Nothing is wrong.\n".to_owned();
            }
            let mut text = String::new();
            for finding in &findings {
                let (style, word) = match (finding.safe, self.dry_run) {
                    (false, _) => (BAD, "not mended"),
                    (true, true) => (GOOD, "can be mended"),
                    (true, false) => (GOOD, "mended"),
                };
                let (file, what) = (plain(&finding.file), plain(&finding.what));
                text.push_str(&format!("{style}{word}{style:#}  {}: {file}: {what}\n", finding.run));
                text.push_str(&format!("  {}\n", plain(&finding.mend)));
            }
            for folder in &kept {
                text.push_str(&format!("What was replaced is in {}\n", folder.display()));
            }
            text
        })?;
        Ok(if unsafe_ones == 0 { ExitCode::SUCCESS } else { ExitCode::from(Kind::Integrity.exit_code()) })
    }
}
