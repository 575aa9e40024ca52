//! `taskforge helper`: what an OpenClaw session does with a run. Its first five verbs are those of OpenTask's helper, with
//! its arguments, files, answers, exit codes and sentences; each difference stands in docs/opentask-compatibility.md.
//! Nothing here can decide, unlock or touch the files of another run.
//!
//! Arguments are read without clap: they follow another parser's rules, and a session calls this more often than a
//! person calls anything else.

mod add_node;
mod answer;
mod argv;
mod bind;
mod commands;
mod grammar;
mod next;
mod progress;
mod result;
mod rewire;
mod scaffold;
mod sentence;
mod status;
mod transition;
mod usage;
mod validate;
mod value;
mod verbs;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use crate::registry::Registry;
use crate::run::id::{NodeId, RunId};

use answer::Answer;
use argv::{Call, Reading};
use sentence::Sentence;

/// What an OpenClaw session does with a run: OpenTask's helper, and more
///
/// Plain arguments in, JSON out. The arguments follow OpenTask's helper and not the rest of this program; the forms of
/// each verb stand below and in `taskforge helper VERB --help`.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Helper {
    /// A verb and what it takes
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "VERB …")]
    arguments: Vec<OsString>,
}

impl Helper {
    pub(crate) fn run(self, registry: Option<&Path>) -> ExitCode {
        main(self.arguments, registry)
    }
}

/// Runs one verb. `registry` is the folder that was named before `helper`, if one was.
pub(crate) fn main(arguments: Vec<OsString>, registry: Option<&Path>) -> ExitCode {
    let mut texts = Vec::with_capacity(arguments.len());
    for argument in arguments {
        match argument.into_string() {
            Ok(text) => texts.push(text),
            Err(argument) => {
                let message = format!("argument {} is not UTF-8", usage::repr(&argument.to_string_lossy()));
                return complain(&usage::wrong(None, &message));
            }
        }
    }
    match argv::read(&texts) {
        Reading::Help(text) => match answer::write(&text) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::from(1),
        },
        Reading::Wrong(text) => complain(&text),
        Reading::Call(call) => answer::print(run(&call, registry)),
    }
}

fn complain(text: &str) -> ExitCode {
    let _ = std::io::stderr().lock().write_all(crate::run::visible::visible(text).as_bytes());
    ExitCode::from(2)
}

fn run(call: &Call, registry: Option<&Path>) -> Result<Answer, Sentence> {
    let here = std::env::current_dir()
        .map_err(|error| Sentence::new(format!("cannot find the working directory: {error}")))?;
    let flag = call.registry_root.as_deref().filter(|root| !root.is_empty()).map(PathBuf::from);
    let registry = Registry::resolve_for_helper(flag.as_deref().or(registry), &here)?;
    match call.verb.name {
        "scaffold" => scaffold::run(call, &registry, &here),
        "bind" => bind::run(call, &registry),
        "transition-node" => transition::run(call, &registry),
        "progress" => progress::run(call, &registry),
        "validate" => validate::run(call, &registry),
        "next" => next::run(call, &registry),
        "status" => status::run(call, &registry),
        "result" => result::run(call, &registry),
        "add-node" => add_node::run(call, &registry),
        "rewire" => rewire::run(call, &registry),
        other => Err(Sentence::new(format!("there is no verb {other}"))),
    }
}

/// The run that a verb names. What cannot be a run's id is none that there is.
fn run_id(call: &Call) -> Result<RunId, Sentence> {
    let text = call.positional("run_id");
    RunId::parse(text).map_err(|_| Sentence::new(format!("run not found: {text}")))
}

/// A node that is there, by its id.
fn node_id(text: &str) -> Result<NodeId, Sentence> {
    NodeId::parse(text).map_err(|_| Sentence::new(format!("node not found: {text}")))
}

/// Ids with commas between, from however many options.
fn ids<'a>(values: impl Iterator<Item = &'a str>) -> Result<Vec<NodeId>, Sentence> {
    let names = values.flat_map(|value| value.split(',')).map(str::trim).filter(|name| !name.is_empty());
    Ok(names.map(NodeId::parse).collect::<Result<Vec<_>, _>>()?)
}

/// The usage of every verb, for the reference.
pub(crate) fn reference() -> Vec<(String, String)> {
    let of_all = ("taskforge helper".to_owned(), usage::help());
    let of_each = verbs::VERBS.iter().map(|verb| (format!("taskforge helper {}", verb.name), usage::verb_help(verb)));
    std::iter::once(of_all).chain(of_each).collect()
}
