//! `taskforge watch show`.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;

use super::super::root::Context;
use super::word;
use crate::cli::terminal::plain;
use crate::engine;
use crate::failure::Failure;

/// Show what a watch looks at, what it took up and what is wrong
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  taskforge watch show reviews")]
pub(crate) struct Show {
    watch: String,
}

impl Show {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let one = engine::watch_standing(&context.registry()?, &self.watch)?;
        context.output.result(&one, || {
            let mut text = format!("{}: {} for {}\n\n", one.name, one.source.as_str(), one.target);
            let _ = writeln!(text, "  stands      {}", word(one.standing));
            if let Some(at) = one.looked {
                let _ = writeln!(text, "  last look   {}", at.to_rfc3339());
            }
            if let Some(at) = one.not_before {
                let _ = writeln!(text, "  not before  {}", at.to_rfc3339());
            }
            for (place, time) in one.next.iter().enumerate() {
                let _ = writeln!(text, "  {:11} {}", if place == 0 { "next" } else { "" }, time.to_rfc3339());
            }
            if let Some(file) = &one.approved {
                let _ = writeln!(text, "  when        {}", plain(&file.when));
                let _ = writeln!(text, "  asked       by agent {} in run {}", file.agent, file.run);
                let _ = writeln!(text, "  approved    by {} as request {}", plain(&file.approved_by), file.request);
                let _ = writeln!(text, "  task");
                for line in file.task.lines() {
                    let _ = writeln!(text, "  | {}", plain(line));
                }
            }
            for problem in &one.problems {
                let _ = writeln!(text, "  problem     {}", plain(problem));
            }
            for work in &one.failed {
                let _ = writeln!(text, "  failed      {}  {}", work.run, plain(&work.key));
            }
            for (name, part) in &one.state.parts {
                let failures = match part.pace.failures {
                    0 => String::new(),
                    n if part.pace.gave_up => format!(", gave up after {n} failures"),
                    n => format!(", {n} failure(s) in a row"),
                };
                let _ = writeln!(text, "\n{}: {} taken up and still there{failures}", plain(name), part.taken.len());
                for (key, run) in &part.taken {
                    let _ = writeln!(text, "  {}  {run}", plain(key));
                }
            }
            text
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
