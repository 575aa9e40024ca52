//! `taskforge capability list`.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use crate::engine;
use crate::failure::Failure;
use crate::run::time::isoformat;

use super::super::root::Context;
use super::super::table::Table;
use super::super::terminal::plain;
use super::wanted::Narrowed;

/// List what was asked for, with how it stands, and what is granted beyond one run
#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    narrowed: Narrowed,
}

impl List {
    pub(super) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        let narrow = self.narrowed.is_narrow();
        let engine::Asked { requests, unreadable } = engine::asked(&registry, &self.narrowed.wanted(&registry)?)?;
        for (run, reason) in &unreadable {
            context.output.warn(&format!("warning: run {run} cannot be read: {reason}"));
        }
        // Who wants some requests does not ask for what is nobody's in particular.
        let standing = if narrow { Vec::new() } else { engine::standing_grants(&registry)? };
        context.output.result(&json!({"requests": requests, "standing": standing}), || {
            let mut table = Table::new(["ID", "RUN", "NODE", "WHAT", "STATUS", "BY", "UNTIL", "WHY"]);
            for asked in &requests {
                let (id, run, node) = (asked.id.to_string(), asked.run.to_string(), asked.node.to_string());
                let by = plain(asked.by.as_deref().unwrap_or("-"));
                let until = asked.until.map_or_else(|| "-".to_owned(), isoformat);
                let what = plain(&asked.what);
                table.row([
                    id,
                    run,
                    node,
                    what,
                    asked.status.as_str().to_owned(),
                    by,
                    until,
                    first_line(&asked.reason),
                ]);
            }
            let mut text = table.or("Nothing was asked for.\n");
            if !standing.is_empty() {
                text.push_str("\nGranted beyond one run (`taskforge capability revoke ID` ends it)\n\n");
                let mut table = Table::new(["ID", "FROM RUN", "WHAT", "FOR", "BY", "UNTIL", "STANDS"]);
                for grant in &standing {
                    let stands =
                        if grant.problem.is_empty() { "yes".to_owned() } else { format!("no: {}", grant.problem) };
                    let until = grant.until.map_or_else(|| "-".to_owned(), isoformat);
                    let (id, run, what) = (grant.id.to_string(), grant.run.to_string(), grant.capability.clone());
                    table.row([id, run, what, grant.scope.to_string(), plain(&grant.by), until, plain(&stands)]);
                }
                text.push_str(&table.or(""));
            }
            text
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The first line of an agent's words, shortened and safe to show.
pub(super) fn first_line(text: &str) -> String {
    let text = plain(text);
    let line: String = text.lines().next().unwrap_or_default().chars().take(50).collect();
    match line.len() < text.len() {
        true => format!("{line}…"),
        false if line.is_empty() => "-".to_owned(),
        false => line,
    }
}
