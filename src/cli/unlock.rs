//! `taskforge unlock`.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use crate::engine::{self, Hand};
use crate::failure::Failure;

use super::root::Context;
use super::terminal;
use super::words::words;

/// Turn the kill switch off; runs that were stopped stay paused
///
/// Where approvers are configured, it takes the signature of one who may sign for `taskforge-unlock`.
#[derive(Debug, Args)]
pub(crate) struct Unlock {
    /// Why it is safe to go on
    #[arg(long, value_parser = words)]
    reason: String,
}

impl Unlock {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        let was = engine::unlock(&registry, &self.reason, &Hand::new(&terminal::passphrase))?;
        let value = json!({"unlocked": true, "was": {"reason": was.reason, "by": was.by, "at": was.at}});
        context.output.result(&value, || {
            format!(
                "Unlocked. It was on since {} ({}, by {}).\nRuns that were stopped are paused: `taskforge control resume RUN`.",
                was.at, was.reason, was.by
            )
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
