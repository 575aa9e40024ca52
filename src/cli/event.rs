//! `taskforge event …`.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::engine::session;
use crate::failure::Failure;
use crate::run::id::NodeId;

use super::json_argument;
use super::root::Context;
use super::run_arg::RunArg;

/// Note something in a run's journal
#[derive(Debug, Subcommand)]
pub(crate) enum Event {
    Append(Append),
}

/// Add an event of your own to the journal; it is shown, and moves nothing
#[derive(Debug, Args)]
pub(crate) struct Append {
    run: RunArg,
    /// Its name, one that taskforge does not use itself
    event: String,
    /// The node it is about
    #[arg(long, value_name = "NODE")]
    node_id: Option<NodeId>,
    /// One line for people
    #[arg(long, allow_hyphen_values = true)]
    message: Option<String>,
    /// A JSON object
    #[arg(long, value_name = "JSON")]
    payload_json: Option<String>,
}

impl Event {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let Self::Append(args) = self;
        let payload = json_argument::object("--payload-json", args.payload_json.as_deref())?;
        let (node, message) = (args.node_id.as_ref(), args.message.as_deref());
        let registry = context.registry()?;
        let run = args.run.find(&registry)?;
        let line = session::append_event(&registry, &run, &args.event, node, message, &payload)?;
        context.output.result(&line, || format!("{run}: {} appended.", args.event))?;
        Ok(ExitCode::SUCCESS)
    }
}
