//! `taskforge capability revoke`.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;

use crate::engine::{self, Revoked};
use crate::failure::Failure;
use crate::run::capability::CapabilityKind;

use super::super::root::Context;
use super::super::words::words;

/// Take back what was granted: it is cut off before this returns
///
/// It concerns what the gate gives, whose connections are cut, `port:`, where the deployment is taken down, `schedule:`, which begins no run any more, and `mount:`, where the
/// attempt that has the folder is ended and tried again without it. A package is left out of the image of the next attempt; one that
/// runs has it to its end; what another request that stands needs too stays with that. What was granted beyond its run stands no
/// more, and is taken from every run that has it. A deployment keeps the image that was approved for it, with what was granted
/// then: those that go on with the package are named. The agent may ask again, and a person decides again.
#[derive(Debug, Args)]
pub(crate) struct Revoke {
    /// The request's id, or the start of one
    request: String,
    /// Why; stands in the journal, and is what the agent reads
    #[arg(long, value_parser = words)]
    reason: String,
}

impl Revoke {
    pub(super) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        let revoked = engine::revoke(&registry, &self.request, &self.reason)?;
        context.output.result(&revoked, || {
            let Revoked { capability, run, .. } = &revoked;
            let mut text = if let Some(address) = &revoked.published {
                let what = if revoked.cut { "it was taken down, its connections were cut" } else { "it did not run" };
                format!("Revoked {capability} of run {run}: {what}, and {address} is free.\n")
            } else if !revoked.ended.is_empty() {
                let ended = revoked.ended.join(", ");
                format!(
                    "Revoked {capability} of run {run}: attempt {ended} had it and was ended; it is tried again without it.\n"
                )
            } else if capability.kind() == CapabilityKind::Schedule {
                format!("Revoked {capability} of run {run}: it begins no run any more.\n")
            } else if !capability.kind().is_given() {
                format!("Revoked {capability} of run {run}: the next attempt is without it; one that runs has it to its end.\n")
            } else {
                let what = if revoked.cut { "the gate has cut its connections" } else { "no agent runs that had it" };
                format!("Revoked {capability} of run {run}: {what}.\n")
            };
            if revoked.standing {
                text.push_str("It stands for no later run any more.\n");
            }
            for other in &revoked.with_it {
                let _ = match other.problem.as_str() {
                    "" => writeln!(text, "Run {} had it by that, and has it no more.", other.run),
                    problem => writeln!(text, "Run {} had it by that, and keeps it: {problem}", other.run),
                };
            }
            for deployment in &revoked.deployed {
                let (id, address) = (&deployment.id, &deployment.address);
                let _ = writeln!(
                    text,
                    "Deployment {id} at {address} goes on with it, its image being pinned: `taskforge capability revoke {id}` takes it down."
                );
            }
            text
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
