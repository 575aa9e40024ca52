//! `taskforge run retry`.

use std::process::ExitCode;

use clap::Args;

use crate::cli::control_command::{Wanted, apply};
use crate::cli::run_arg::RunArg;
use crate::failure::Failure;
use crate::run::id::NodeId;

use super::Context;

/// Try a failed or skipped node again; a finished run is reopened
#[derive(Debug, Args)]
pub(crate) struct Retry {
    run: RunArg,
    node: NodeId,
}

impl Retry {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        apply(context, &self.run, Wanted { action: "retry", node: Some(self.node), ..Wanted::default() })
    }
}
