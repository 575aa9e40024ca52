//! `taskforge repair`.

use std::process::ExitCode;

use anstyle::Style;
use clap::Args;
use serde::Serialize;

use crate::engine;
use crate::engine::repair::{self, Finding, Repaired, Safety};
use crate::failure::{Failure, Kind};
use crate::run::id::RunId;

use super::output::{BAD, DIM, GOOD, WAITING};
use super::root::Context;
use super::run_arg::RunArg;
use super::terminal::plain;

/// Say what is wrong with the files of runs, and mend what can be mended without guessing
///
/// What is made from the journal is made again, what a crash left is voided or moved aside, and what other programs
/// changed is taken over; what is replaced is kept in .taskforge/repaired/. A journal, a workflow or an output that is not what was
/// written is left to you, and the exit code is then 8.
#[derive(Debug, Args)]
pub(crate) struct Repair {
    /// The run, or the start of its id
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    run: Option<RunId>,
    /// Every run
    #[arg(long)]
    all: bool,
    /// Say what is wrong and change nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    dry_run: bool,
    runs: Vec<Repaired>,
}

impl Repair {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        let runs = match self.run {
            // A folder that is there wins, also one without a journal: it is what has to be looked at.
            Some(run) if registry.layout().run(&run).root().is_dir() => vec![run],
            Some(run) => vec![RunArg::from(run).find(&registry)?],
            None => repair::runs(&registry)?,
        };
        let mut answer = Answer { dry_run: self.dry_run, runs: Vec::new() };
        for run in runs {
            answer.runs.push(if self.dry_run {
                repair::preview(&registry, &run)?
            } else {
                repair::repair(&registry, &run, &engine::operator())?
            });
        }
        context.output.result(&answer, || text(&answer))?;
        let whole = answer.runs.iter().all(Repaired::is_whole);
        Ok(if whole { ExitCode::SUCCESS } else { ExitCode::from(Kind::Integrity.exit_code()) })
    }
}

fn text(answer: &Answer) -> String {
    let mut text = String::new();
    for run in &answer.runs {
        let count = |safety| run.found.iter().filter(|finding| finding.safety == safety).count();
        let (safe, grave) = (count(Safety::Safe), count(Safety::Unsafe));
        let verdict = match (safe, run.is_whole()) {
            (0, true) => format!("{GOOD}whole{GOOD:#}"),
            (_, true) if answer.dry_run => format!("{WAITING}{safe} to be mended{WAITING:#}"),
            (_, true) => format!("{GOOD}{} mended{GOOD:#}", run.mended.len()),
            (_, false) if answer.dry_run => format!("{BAD}{safe} to be mended, {grave} not safe to mend{BAD:#}"),
            (_, false) => format!("{BAD}{} mended, {grave} not safe to mend{BAD:#}", run.mended.len()),
        };
        text.push_str(&format!("{}  {verdict}\n", run.run));
        for finding in &run.found {
            let (style, word) = word(answer.dry_run, run, finding);
            let line = plain(&format!("{}: {}", finding.file, finding.what)).replace('\n', " ");
            text.push_str(&format!("  {style}{word:<8}{style:#} {line}\n"));
            text.push_str(&format!("           {DIM}{}{DIM:#}\n", plain(&finding.remedy)));
        }
        for finding in run.remaining.iter().filter(|finding| !run.found.contains(finding)) {
            let line = plain(&format!("{}: {}", finding.file, finding.what)).replace('\n', " ");
            text.push_str(&format!("  {BAD}{:<8}{BAD:#} {line}\n", "remains"));
        }
        if let Some(kept) = &run.kept {
            text.push_str(&format!("  what was replaced is kept in {}\n", kept.display()));
        }
    }
    text
}

fn word(dry_run: bool, run: &Repaired, finding: &Finding) -> (Style, &'static str) {
    match finding.safety {
        Safety::Info => (DIM, "note"),
        Safety::Unsafe => (BAD, "unsafe"),
        Safety::Safe if dry_run => (WAITING, "mend"),
        Safety::Safe if run.mended.contains(finding) => (GOOD, "mended"),
        Safety::Safe => (BAD, "remains"),
    }
}
