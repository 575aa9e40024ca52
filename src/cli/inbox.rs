//! `taskforge inbox`.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use crate::engine;
use crate::failure::Failure;

use super::root::Context;
use super::run_arg::RunArg;
use super::set_aside;
use super::table::Table;

/// List what waits for a person
#[derive(Debug, Args)]
pub(crate) struct Inbox {
    /// Only what waits in this run
    #[arg(long, value_name = "RUN")]
    run: Option<RunArg>,
}

impl Inbox {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        let engine::Inbox { waiting, untaken, unreadable } = match &self.run {
            Some(run) => {
                let run = run.find(&registry)?;
                let state = engine::Store::open(&registry, &run)?.load()?;
                let untaken = engine::untaken(&registry, &run).into_iter().collect();
                engine::Inbox { waiting: engine::waiting_of(&state), untaken, unreadable: Vec::new() }
            }
            None => engine::inbox(&registry)?,
        };
        let proven = engine::are_configured(&registry)?;
        for item in waiting.iter().filter(|item| proven && engine::lies_unsigned(&registry, &item.id)) {
            let id = &item.id;
            context
                .output
                .warn(&format!("warning: decisions/{id}.json is not signed and does not count: sign it, or remove it"));
        }
        for item in &waiting {
            set_aside::warn(context, &item.run, &item.rejected);
        }
        for (run, reason) in &unreadable {
            context.output.warn(&format!("warning: run {run} cannot be read: {reason}"));
        }
        context.output.result(&json!({"waiting": waiting, "untaken": untaken, "decisionsProven": proven}), || {
            let mut table = Table::new(["ID", "RUN", "NODE", "WHAT", "BY", "WHY"]);
            for item in &waiting {
                let (id, run, node) = (item.id.to_string(), item.run.to_string(), item.node.to_string());
                table.row([id, run, node, item.what.clone(), item.by.clone(), shorten(&item.why)]);
            }
            let mut text = table.or("Nothing waits for you.\n");
            for found in &untaken {
                let (run, messages) = (&found.run, found.messages);
                text.push_str(&format!(
                    "Run {run}: {messages} message(s) of its agents to be taken in: `taskforge tick {run}`.\n"
                ));
            }
            if !waiting.is_empty() {
                text.push_str("\n`taskforge approve ID` shows what it comes down to, and asks.\n");
                text.push_str(if proven {
                    "Only decisions that an approver signed count: `taskforge keys list`.\n"
                } else {
                    "Decisions are unproven: whoever runs as this user can make them.\n"
                });
            }
            text
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

fn shorten(text: &str) -> String {
    let line: String = text.lines().next().unwrap_or_default().chars().take(60).collect();
    if line.len() < text.len() { format!("{line}…") } else { line }
}
