//! `taskforge agent …`: what runs inside an agent's container.

use std::ffi::OsString;
use std::io::{self, Write};
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::agent::{self, ActionCall, AgentError, InitOptions, LoopOptions, OpenclawOptions};

/// Inside an agent's container: the init process, the built-in agent, and what any agent can tell or ask the gate
#[derive(Debug, Args)]
pub struct AgentArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Be the container's first process: offer the gate on 127.0.0.1 and run PROGRAM
    Init {
        /// The program and its arguments
        #[arg(last = true, required = true, value_name = "PROGRAM")]
        argv: Vec<OsString>,
    },
    /// Be the built-in agent: work on the node's prompt until it is done
    Loop,
    /// Let the image's OpenClaw work on the node's prompt, one turn
    Openclaw,
    /// Ask for a capability; exit 0 approved, 75 pending, 4 denied, 2 not a capability
    Request {
        /// Such as pip:pandas or apt:graphviz
        capability: String,
        /// What it is needed for; a person decides by it
        #[arg(long)]
        reason: String,
        /// Seconds to wait for the decision
        #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=86_400))]
        wait: u64,
    },
    /// Have the gate do something with a credential that only it has; without NAME: list what it may do
    Action {
        /// Such as github.pr.comment
        name: Option<String>,
        /// An argument, as KEY=VALUE; can be repeated
        #[arg(long = "arg", value_name = "KEY=VALUE")]
        args: Vec<String>,
        /// All arguments as a JSON object, or - to read it from stdin
        #[arg(long = "arguments", value_name = "JSON")]
        arguments: Option<String>,
        /// Do it once more than the others that are the same: any word that they do not have
        #[arg(long, value_name = "WORD")]
        key: Option<String>,
    },
    /// Tell whoever watches the run what happens now
    Progress { message: String },
    /// Hand in the node's structured result
    Result {
        /// A JSON object, or - to read it from stdin
        #[arg(value_name = "JSON")]
        object: String,
    },
}

impl AgentArgs {
    /// Runs the verb and returns the exit code (`docs/exit-codes.md`).
    #[must_use]
    pub fn run(self) -> u8 {
        match self.verb {
            Verb::Init { argv } => match InitOptions::from_env(argv) {
                Ok(options) => agent::init(&options),
                Err(error) => refuse(&error),
            },
            Verb::Loop => agent::run_loop(&LoopOptions::from_env(), &mut io::stdout()),
            Verb::Openclaw => agent::openclaw(&OpenclawOptions::from_env(), &mut io::stdout()),
            Verb::Request { capability, reason, wait } => {
                agent::request(&socket(), &capability, &reason, Duration::from_secs(wait), &mut io::stdout())
            }
            Verb::Action { name, args, arguments, key } => {
                let call = ActionCall { name, args, json: arguments, key };
                agent::action(&socket(), &call, &mut io::stdin(), &mut io::stdout())
            }
            Verb::Progress { message } => agent::progress(&socket(), &message, &mut io::stdout()),
            Verb::Result { object } => agent::result(&socket(), &object, &mut io::stdin(), &mut io::stdout()),
        }
    }
}

fn socket() -> std::path::PathBuf {
    agent::env::gate_socket()
}

fn refuse(error: &AgentError) -> u8 {
    let _ = writeln!(io::stderr(), "error: {error}");
    error.exit_code()
}
