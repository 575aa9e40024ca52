//! The command line: one file a command, each with its arguments (the doc comment is the help text), one call into
//! the library and one rendering. Nothing imports this room.

mod action;
mod agent;
mod approve;
mod audit;
mod capability;
mod checkpoint;
mod completions;
mod container;
mod control;
mod control_command;
mod decided;
mod decision;
mod deny;
mod deployment;
mod doctor;
mod edited;
mod event;
mod failure_from;
mod follow;
mod gate;
mod graded;
mod helper;
mod image;
mod inbox;
mod init;
pub(crate) mod json_argument;
mod keys;
mod kill;
mod llm;
mod memory;
mod node;
mod openclaw;
mod output;
mod policy;
mod reference;
mod repair;
mod review;
mod role;
mod root;
mod run;
mod run_arg;
mod schedule;
mod secret;
mod set_aside;
mod suggest;
mod table;
mod terminal;
mod tick;
mod unlock;
mod watch;
mod words;
mod workflow;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;

use crate::container::take_part;
use root::Root;

/// Runs the program on the process's arguments and says how it went.
#[must_use]
pub fn main() -> ExitCode {
    if asks_for_version_alone() {
        let _ = writeln!(std::io::stdout(), concat!("taskforge ", env!("CARGO_PKG_VERSION")));
        return ExitCode::SUCCESS;
    }
    if let Some(arguments) = of_helper() {
        take_part();
        return helper::main(arguments, None);
    }
    let root = match Root::try_parse() {
        Ok(root) => root,
        Err(error) => {
            // Help and version are not failures; usage errors have code 2, as everywhere.
            let code = u8::try_from(error.exit_code()).unwrap_or(2);
            if error.use_stderr() && asks_for_json() {
                output::Output::new(true).failure(&failure_from::arguments(&error));
            } else {
                let _ = error.print();
            }
            return ExitCode::from(code);
        }
    };
    let output = output::Output::new(root.json);
    match root.run(&output) {
        Ok(code) => code,
        Err(failure) => {
            output.failure(&failure);
            ExitCode::from(failure.kind.exit_code())
        }
    }
}

/// Whether `--json` stands among arguments that could not be read as a whole.
fn asks_for_json() -> bool {
    std::env::args_os().skip(1).take_while(|argument| argument != "--").any(|argument| argument == "--json")
}

/// What stands behind `helper`, which reads its arguments itself.
fn of_helper() -> Option<Vec<std::ffi::OsString>> {
    let mut arguments = std::env::args_os().skip(1);
    arguments.next().is_some_and(|first| first == "helper").then(|| arguments.collect())
}

/// The most frequent question of scripts, answered before all commands are described to the parser of arguments.
fn asks_for_version_alone() -> bool {
    let mut arguments = std::env::args_os().skip(1);
    let first = arguments.next();
    first.is_some_and(|first| first == "--version" || first == "-V") && arguments.next().is_none()
}
