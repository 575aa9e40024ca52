//! `taskforge capability …`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::engine::{self, Revoked};
use crate::failure::Failure;

use super::root::Context;
use super::run_arg::RunArg;
use super::table::Table;
use super::terminal::plain;

/// What agents asked for and were given, and taking it back
#[derive(Debug, Subcommand)]
pub(crate) enum Capability {
    List(List),
    Revoke(Revoke),
}

/// List what was asked for, with how it stands
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only of this run
    #[arg(long, value_name = "RUN")]
    run: Option<RunArg>,
}

/// Take back what was granted: it is cut off before this returns
///
/// It concerns what the gate gives, whose connections are cut, and `mount:`, where the attempt that has the folder is ended
/// and tried again without it; a package is part of an image, and ends with the run. The agent may ask again,
/// and a person decides again.
#[derive(Debug, Args)]
pub(crate) struct Revoke {
    /// The request's id, or the start of one
    request: String,
    /// Why; stands in the journal, and is what the agent reads
    #[arg(long)]
    reason: String,
}

impl Capability {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        match self {
            Self::List(list) => list.run(context),
            Self::Revoke(revoke) => revoke.run(context),
        }
    }
}

impl List {
    fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        let run = self.run.map(|run| run.find(&registry)).transpose()?;
        let engine::Asked { requests, unreadable } = engine::asked(&registry, run.as_ref())?;
        for (run, reason) in &unreadable {
            context.output.warn(&format!("warning: run {run} cannot be read: {reason}"));
        }
        context.output.result(&json!({"requests": requests}), || {
            let mut table = Table::new(["ID", "RUN", "NODE", "WHAT", "STATUS", "BY"]);
            for asked in &requests {
                let (id, run, node) = (asked.id.to_string(), asked.run.to_string(), asked.node.to_string());
                let by = plain(asked.by.as_deref().unwrap_or("-"));
                table.row([id, run, node, asked.capability.to_string(), asked.status.as_str().to_owned(), by]);
            }
            table.or("Nothing was asked for.\n")
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Revoke {
    fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        let revoked = engine::revoke(&registry, &self.request, &self.reason)?;
        context.output.result(&revoked, || {
            if !revoked.ended.is_empty() {
                let ended = revoked.ended.join(", ");
                let Revoked { capability, run, .. } = &revoked;
                return format!("Revoked {capability} of run {run}: attempt {ended} had it and was ended; it is tried again without it.\n");
            }
            let what = if revoked.cut { "the gate has cut its connections" } else { "no agent runs that had it" };
            format!("Revoked {} of run {}: {what}.\n", revoked.capability, revoked.run)
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
