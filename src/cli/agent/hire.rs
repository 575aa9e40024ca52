//! `taskforge agent hire`.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;

use super::Context;
use crate::cli::terminal::plain;
use crate::engine;
use crate::failure::Failure;
use crate::run::id::{AgentName, RoleName};

/// Hire an agent: a role, as it stands today, gets a name, a journal and a memory
///
/// A later change of the role's file is not this agent's: it keeps what it was hired with. What the role declares under
/// `capabilities` is asked for in each of its runs, and answered by the policies or a person there.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  taskforge agent hire reviewer --name ada")]
pub(crate) struct Hire {
    role: RoleName,
    /// What it is called; a name is given once
    #[arg(long)]
    name: AgentName,
}

impl Hire {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let hired = engine::hire(&context.registry()?, &self.role, &self.name)?;
        context.output.result(&hired, || {
            let mut text = format!("Hired {} as {} (role {}).\n", hired.name, hired.role, hired.digest.short());
            for declared in &hired.capabilities {
                let _ = writeln!(
                    text,
                    "  asks in each run for {}: {}",
                    declared.capability,
                    plain(&declared.ruling.to_string())
                );
            }
            for warning in &hired.warnings {
                let _ = writeln!(text, "  warning: {}", plain(warning));
            }
            let _ = write!(text, "`taskforge agent run {} \"…\"` gives it work.", hired.name);
            text
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
