//! The part of `taskforge agent …` that runs inside an agent's container.

use std::ffi::OsString;
use std::io::{self, Write};
use std::time::Duration;

use clap::Subcommand;

use crate::agent::{
    self, ActionCall, AgentError, Delegated, InitOptions, LoopOptions, MemoryVerb, OpenclawOptions, RequestedWith,
};
use crate::cli::words::words;
use crate::run::deployment::Proposal;
use crate::run::timetable::Timetable;

#[derive(Debug, Subcommand)]
pub(crate) enum Inside {
    /// In a container: be its first process, offer the gate on 127.0.0.1 and run PROGRAM
    #[command(after_help = "Example:\n  taskforge agent init -- python3 work.py")]
    Init {
        /// The program and its arguments
        #[arg(last = true, required = true, value_name = "PROGRAM")]
        argv: Vec<OsString>,
    },
    /// In a container: be the built-in agent and work on the node's prompt until it is done
    #[command(after_help = "Example:\n  taskforge agent loop")]
    Loop,
    /// In a container: let the image's OpenClaw work on the node's prompt, one turn
    #[command(after_help = "Example:\n  taskforge agent openclaw")]
    Openclaw,
    /// In a container: ask for a capability; exit 0 approved, 75 pending, 4 denied, 2 not a capability
    #[command(
        after_help = "Examples:\n  taskforge agent request pip:pandas --reason \"to read the table\" --wait 600\n  taskforge agent request schedule:weekly --reason \"as told\" --when \"0 7 * * 1\" --task \"Write the report.\""
    )]
    Request {
        /// Such as pip:pandas or apt:graphviz; port:8000 asks to deploy PROGRAM, which listens on that port;
        /// schedule:NAME asks to be given TASK at the times of WHEN
        capability: String,
        /// What it is needed for; a person decides by it
        #[arg(long, value_parser = words)]
        reason: String,
        /// Seconds to wait for the decision
        #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=86_400))]
        wait: u64,
        /// Of a schedule: five fields of cron in UTC, or such as `every 6h`
        #[arg(long, requires = "task")]
        when: Option<String>,
        /// Of a schedule: what the agent is to be told each time
        #[arg(long, requires = "when")]
        task: Option<String>,
        /// The folder of the workspace whose files are deployed, in which PROGRAM begins [default: all of the workspace]
        #[arg(long, requires = "program")]
        folder: Option<String>,
        /// The program to deploy on a port:, and its arguments
        #[arg(last = true, value_name = "PROGRAM")]
        program: Vec<String>,
    },
    /// In a container: have the gate do something with a credential that only it has; without NAME: list what it may do
    #[command(
        after_help = "Example:\n  taskforge agent action github.pr.comment --arg repo=octo/demo --arg number=7 --arg body=\"Looks right.\""
    )]
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
    /// In a container: tell whoever watches the run what happens now
    #[command(after_help = "Example:\n  taskforge agent progress \"half of it is read\"")]
    Progress { message: String },
    /// In a container: hand in the node's structured result
    #[command(after_help = "Example:\n  taskforge agent result '{\"count\": 3}'")]
    Result {
        /// A JSON object, or - to read it from stdin
        #[arg(value_name = "JSON")]
        object: String,
    },
    /// In a container: give a part of the work, and of what may be taken, to a run of another role; exit 0 done, 75 at work
    #[command(
        after_help = "Example:\n  taskforge agent delegate worker \"Read the first half.\" --requests 5 --wait 600"
    )]
    Delegate {
        /// One that the own role may give work to
        role: String,
        /// What is to be done
        task: String,
        /// Requests to models that it may make, of the own ones [default: half of what is left]
        #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
        requests: Option<u64>,
        /// Seconds that it may take [default: what is left of the own time]
        #[arg(long, value_parser = clap::value_parser!(u64).range(1..=86_400))]
        seconds: Option<u64>,
        /// Seconds to wait for its end
        #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=86_400))]
        wait: u64,
    },
    /// In a container: work with what a hired agent keeps from one task to the next
    #[command(subcommand)]
    Memory(Memory),
}

/// In a container: work with what a hired agent keeps from one task to the next
#[derive(Debug, Subcommand)]
pub(crate) enum Memory {
    /// The keys, with their sizes and times
    #[command(after_help = "Example:\n  taskforge agent memory list")]
    List,
    /// The value of one key
    #[command(after_help = "Example:\n  taskforge agent memory get team.style")]
    Get { key: String },
    /// Keep a value under a key
    #[command(after_help = "Example:\n  taskforge agent memory set team.style \"Short sentences.\"")]
    Set {
        key: String,
        /// The text, or - to read it from stdin
        #[arg(allow_hyphen_values = true)]
        value: String,
    },
    /// Forget a key
    #[command(after_help = "Example:\n  taskforge agent memory rm team.style")]
    Rm { key: String },
}

impl From<Memory> for MemoryVerb {
    fn from(memory: Memory) -> Self {
        match memory {
            Memory::List => Self::List,
            Memory::Get { key } => Self::Get { key },
            Memory::Set { key, value } => Self::Set { key, value: (value != "-").then_some(value) },
            Memory::Rm { key } => Self::Rm { key },
        }
    }
}

impl Inside {
    /// Runs the verb and returns the exit code (`docs/exit-codes.md`).
    #[must_use]
    pub(super) fn run(self) -> u8 {
        match self {
            Self::Init { argv } => match InitOptions::from_env(argv) {
                Ok(options) => agent::init(&options),
                Err(error) => refuse(&error),
            },
            Self::Loop => agent::run_loop(&LoopOptions::from_env(), &mut io::stdout()),
            Self::Openclaw => agent::openclaw(&OpenclawOptions::from_env(), &mut io::stdout()),
            Self::Request { capability, reason, wait, when, task, folder, program } => {
                let folder = folder.unwrap_or_else(|| ".".to_owned());
                let deploy = (!program.is_empty()).then_some(Proposal { command: program, folder });
                let wait = Duration::from_secs(wait);
                let schedule = when.zip(task).map(|(when, task)| Timetable { when, task });
                let with = RequestedWith { deploy, schedule };
                agent::request(&socket(), &capability, &reason, &with, wait, &mut io::stdout())
            }
            Self::Delegate { role, task, requests, seconds, wait } => {
                let asked = Delegated { role, task, requests, seconds };
                agent::delegate(&socket(), &asked, Duration::from_secs(wait), &mut io::stdout())
            }
            Self::Action { name, args, arguments, key } => {
                let call = ActionCall { name, args, json: arguments, key };
                agent::action(&socket(), &call, &mut io::stdin(), &mut io::stdout())
            }
            Self::Memory(verb) => agent::memory(&socket(), verb.into(), &mut io::stdin(), &mut io::stdout()),
            Self::Progress { message } => agent::progress(&socket(), &message, &mut io::stdout()),
            Self::Result { object } => agent::result(&socket(), &object, &mut io::stdin(), &mut io::stdout()),
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
