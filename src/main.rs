//! Parses argv, calls, exits: nothing else.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use taskforge::cli::agent::AgentArgs;

#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Agent(AgentArgs),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Agent(arguments) => ExitCode::from(arguments.run()),
    }
}
