//! `taskforge control …`: an operator's intents, recorded in `control.jsonl` and applied exactly once.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::failure::Failure;
use crate::run::id::{NodeId, RunId};

use super::control_command::{Wanted, apply};
use super::root::Context;

/// Pause, resume, cancel; retry or skip a node
#[derive(Debug, Subcommand)]
pub(crate) enum Control {
    /// Start nothing new; what runs goes on to its end
    Pause(OfRun),
    /// Go on after a pause or a kill
    Resume(OfRun),
    /// End the run; its containers are stopped
    Cancel(OfRun),
    /// Try a failed or skipped node again
    Retry(OfNode),
    /// Go on without a node; not possible for an approval
    Skip(OfNode),
}

#[derive(Debug, Args)]
pub(crate) struct OfRun {
    run: RunId,
    /// Why
    #[arg(long)]
    message: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct OfNode {
    run: RunId,
    node: NodeId,
    /// Why
    #[arg(long)]
    message: Option<String>,
}

impl Control {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let of_run = |action, args: OfRun| (args.run, Wanted { action, node: None, message: args.message });
        let of_node =
            |action, args: OfNode| (args.run, Wanted { action, node: Some(args.node), message: args.message });
        let (run, wanted) = match self {
            Self::Pause(args) => of_run("pause", args),
            Self::Resume(args) => of_run("resume", args),
            Self::Cancel(args) => of_run("cancel", args),
            Self::Retry(args) => of_node("retry", args),
            Self::Skip(args) => of_node("skip", args),
        };
        apply(context, &run, &wanted)
    }
}
