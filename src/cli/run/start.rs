//! `taskforge run start`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use crate::cli::{follow, terminal};
use crate::engine;
use crate::failure::{Failure, Kind};
use crate::run::id::RunId;

use super::Context;

/// Start a run of a workflow, or of one prompt
///
/// On a terminal it follows and drives the run until it ends or waits for a person. Elsewhere, and with `--detach`,
/// it takes the first step and returns; `taskforge tick` takes the others.
#[derive(Debug, Args)]
pub(crate) struct Start {
    /// A name below `workflows/`, or a path
    #[arg(required_unless_present = "prompt")]
    workflow: Option<String>,
    /// Instead of a workflow: what one agent in a container is to do
    #[arg(long, conflicts_with = "workflow")]
    prompt: Option<String>,
    /// A file for the agents, at /inputs/<name>; may be given again
    #[arg(long = "input", value_name = "FILE")]
    inputs: Vec<PathBuf>,
    /// The model for `--prompt`
    #[arg(long, requires = "prompt", conflicts_with = "workflow")]
    model: Option<String>,
    /// A parameter of the workflow; may be given again
    #[arg(long = "param", short = 'p', value_name = "NAME=VALUE")]
    params: Vec<String>,
    /// The run's id [default: <workflow>-<n>]
    #[arg(long, value_name = "ID")]
    run_id: Option<RunId>,
    /// Return after the first step
    #[arg(long, conflicts_with = "follow")]
    detach: bool,
    /// Follow and drive the run, also without a terminal
    #[arg(long)]
    follow: bool,
    /// Check everything, start nothing
    #[arg(long)]
    dry_run: bool,
}

impl Start {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        let follows = self.follow || (terminal::is_interactive() && !self.detach && !context.output.is_json());
        let start = engine::Start {
            workflow: self.workflow,
            prompt: self.prompt,
            model: self.model,
            inputs: self.inputs,
            text: None,
            descent: None,
            held: None,
            params: params(&self.params)?,
            run: self.run_id,
        };
        if self.dry_run {
            let checked = engine::check_start(&registry, &start)?;
            let value = json!({"ok": true, "workflowId": checked.id, "nodes": checked.nodes.len()});
            context
                .output
                .result(&value, || format!("{} would start with {} nodes.", checked.id, checked.nodes.len()))?;
            return Ok(ExitCode::SUCCESS);
        }
        let started = engine::start(&registry, &start)?;
        let run = started.run;
        if follows {
            context.output.note(format!("Run {run} started."));
            return follow::drive(context, &registry, &run, engine::Until::Blocked, 0);
        }
        // The run exists, whatever the first step comes to; the next tick does what this one could not.
        let ticked = engine::tick(&registry, &run);
        if let Err(error) = &ticked {
            context.output.warn(&format!("warning: the first step failed, the next tick tries again: {error}"));
        }
        let value = json!({"run": run, "tick": ticked.as_ref().ok()});
        context.output.result(&value, || {
            format!("Run {run} started.\n`taskforge run watch {run}` follows it, `taskforge tick` takes it on.")
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

fn params(given: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    given
        .iter()
        .map(|text| {
            let (name, value) = text
                .split_once('=')
                .ok_or_else(|| Failure::new(Kind::Usage, format!("`--param {text}` is not NAME=VALUE")))?;
            Ok((name.to_owned(), value.to_owned()))
        })
        .collect()
}
