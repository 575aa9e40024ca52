//! `taskforge run cancel`.

use std::process::ExitCode;

use clap::Args;

use crate::cli::control_command::{Wanted, apply};
use crate::cli::run_arg::RunArg;
use crate::failure::Failure;

use super::Context;
use crate::cli::words::words;

/// End a run; its containers are stopped
#[derive(Debug, Args)]
pub(crate) struct Cancel {
    run: RunArg,
    /// Why
    #[arg(long, default_value = "on request", value_parser = words)]
    reason: String,
}

impl Cancel {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        apply(context, &self.run, Wanted { action: "cancel", message: Some(self.reason), ..Wanted::default() })
    }
}
