//! `taskforge completions`.

use std::process::ExitCode;

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::failure::Failure;

use super::root::{Context, Root};

/// Print a completion script for a shell
#[derive(Debug, Args)]
pub(crate) struct Completions {
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self, _context: &Context<'_>) -> Result<ExitCode, Failure> {
        clap_complete::generate(self.shell, &mut Root::command(), "taskforge", &mut std::io::stdout());
        Ok(ExitCode::SUCCESS)
    }
}
