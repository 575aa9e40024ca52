//! `taskforge gate …`: what the gate's container executes.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use crate::failure::Failure;
use crate::gate::{GateOptions, serve};

#[derive(Debug, Subcommand)]
pub(crate) enum Gate {
    /// Serve the sockets that the policy names, until stopped
    Serve {
        /// The run's `gate/` folder
        #[arg(long)]
        dir: PathBuf,
        /// The registry's kill folder
        #[arg(long)]
        kill: PathBuf,
        /// The folder with `keys.json`
        #[arg(long)]
        secrets: PathBuf,
    },
}

impl Gate {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let Self::Serve { dir, kill, secrets } = self;
        serve(GateOptions::new(dir, kill, secrets))?;
        Ok(ExitCode::SUCCESS)
    }
}
