//! `taskforge control …`: an operator's intents, recorded in `control.jsonl` and applied exactly once.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::failure::{Failure, Kind};
use crate::run::id::NodeId;

use super::control_command::{Wanted, apply};
use super::json_argument;
use super::root::Context;
use super::run_arg::RunArg;

/// Pause, resume, cancel; retry, skip or approve a node; speak to its session
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
    /// Complete a wait; an approval only in a registry without taskforge.toml (`taskforge approve` decides)
    Approve(OfNode),
    /// Say something in the OpenClaw session that drives the run, or does a node
    #[command(name = "send_message", alias = "send-message")]
    SendMessage(Message),
    /// Change the OpenClaw cron job that drives the run
    #[command(name = "patch_cron", alias = "patch-cron")]
    PatchCron(Patch),
}

#[derive(Debug, Args)]
pub(crate) struct OfRun {
    run: RunArg,
    /// Why
    #[arg(long)]
    message: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct OfNode {
    run: RunArg,
    #[arg(required_unless_present = "node_id")]
    node: Option<NodeId>,
    /// The node, as OpenTask's command line takes it
    #[arg(long, value_name = "NODE", conflicts_with = "node")]
    node_id: Option<NodeId>,
    /// Why
    #[arg(long)]
    message: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Message {
    run: RunArg,
    /// What to say
    #[arg(long, allow_hyphen_values = true)]
    message: String,
    /// To the session that does this node
    #[arg(long, value_name = "NODE")]
    node_id: Option<NodeId>,
}

#[derive(Debug, Args)]
pub(crate) struct Patch {
    run: RunArg,
    /// What to change of the job, a JSON object such as {"enabled": false}
    #[arg(long, value_name = "JSON")]
    patch_json: String,
}

impl Control {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let (run, wanted) = match self {
            Self::Pause(args) => of_run("pause", args),
            Self::Resume(args) => of_run("resume", args),
            Self::Cancel(args) => of_run("cancel", args),
            Self::Retry(args) => of_node("retry", args),
            Self::Skip(args) => of_node("skip", args),
            Self::Approve(args) => of_node("approve", args),
            Self::SendMessage(args) => {
                let message = Some(args.message);
                (args.run, Wanted { action: "send_message", node: args.node_id, message, ..Wanted::default() })
            }
            Self::PatchCron(args) => {
                let patch = json_argument::object("--patch-json", Some(&args.patch_json))?;
                if patch.is_empty() {
                    return Err(Failure::new(Kind::Usage, "--patch-json changes nothing"));
                }
                (args.run, Wanted { action: "patch_cron", patch, ..Wanted::default() })
            }
        };
        apply(context, &run, wanted)
    }
}

fn of_run(action: &'static str, args: OfRun) -> (RunArg, Wanted) {
    (args.run, Wanted { action, message: args.message, ..Wanted::default() })
}

fn of_node(action: &'static str, args: OfNode) -> (RunArg, Wanted) {
    (args.run, Wanted { action, node: args.node.or(args.node_id), message: args.message, ..Wanted::default() })
}
