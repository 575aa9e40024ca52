//! `taskforge agent run`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::Context;
use crate::cli::{follow, terminal};
use crate::engine;
use crate::failure::Failure;
use crate::run::id::{AgentName, RunId};

/// Give an agent a task: a run of one node, which leaves a `report.md`
///
/// On a terminal it follows and drives the run; elsewhere, and with `--detach`, it takes the first step and returns. An
/// agent that is at work on as many tasks as its role allows takes this one up afterwards.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  taskforge agent run ada \"Look at the change in /inputs/x.patch\" --input x.patch")]
pub(crate) struct Run {
    agent: AgentName,
    /// What is to be done
    task: String,
    /// A file for the agent, at /inputs/<name>; may be given again
    #[arg(long = "input", value_name = "FILE")]
    inputs: Vec<PathBuf>,
    /// The run's id [default: <agent>-<n>]
    #[arg(long, value_name = "ID")]
    run_id: Option<RunId>,
    /// Return after the first step
    #[arg(long, conflicts_with = "follow")]
    detach: bool,
    /// Follow and drive the run, also without a terminal
    #[arg(long)]
    follow: bool,
}

impl Run {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        let names: Vec<String> = self.inputs.iter().filter_map(|path| name(path)).collect();
        let task = engine::Task { agent: self.agent.clone(), text: self.task, title: None, retries: 0 };
        let start = engine::Start {
            text: Some((format!("agent:{}", self.agent), engine::task_text(&task, &names))),
            inputs: self.inputs,
            run: self.run_id,
            ..engine::Start::default()
        };
        let run = engine::start(&registry, &start)?.run;
        if self.follow || (terminal::is_interactive() && !self.detach && !context.output.is_json()) {
            context.output.note(format!("Run {run} started."));
            return follow::drive(context, &registry, &run, engine::Until::Blocked, 0);
        }
        // The run exists, whatever the first step comes to; the next tick does what this one could not.
        let ticked = engine::tick(&registry, &run);
        if let Err(error) = &ticked {
            context.output.warn(&format!("warning: the first step failed, the next tick tries again: {error}"));
        }
        let waits = ticked.as_ref().map(|ticked| ticked.waits_for.clone()).unwrap_or_default();
        let value = json!({"run": run, "agent": self.agent, "tick": ticked.as_ref().ok()});
        context.output.result(&value, || {
            let mut text = format!("Run {run} started.\n");
            for waits in &waits {
                text.push_str(&format!("It waits for {waits}\n"));
            }
            text + &format!("`taskforge run watch {run}` follows it, `taskforge tick` takes it on.")
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

fn name(path: &Path) -> Option<String> {
    Some(path.file_name()?.to_str()?.to_owned())
}
