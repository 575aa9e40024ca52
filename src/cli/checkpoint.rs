//! `taskforge audit seal`, `checkpoint` and `export`, and the checkpoints that `verify` is given.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;

use crate::audit::note::{self, Checkpoint, Vkey};
use crate::engine::{self, Given, Sealable};
use crate::failure::{Failure, Kind};
use crate::registry::checkpoints;
use crate::run::id::{AgentName, RunId};

use super::root::Context;
use crate::signature::AllowedSigners;

use super::run_arg::RunArg;
use super::terminal::plain;

/// Checkpoints from files, each with the run that it names, and the keys to go by.
pub(crate) struct Notes {
    found: Vec<(String, String, Vec<u8>)>,
    keys: Vec<Vkey>,
    allowed: Option<AllowedSigners>,
}

impl Notes {
    /// Each file and the run that it names.
    pub(crate) fn names(&self) -> impl Iterator<Item = (&str, &str)> {
        self.found.iter().map(|(file, run, _)| (file.as_str(), run.as_str()))
    }

    /// What is to be held against `run`.
    pub(crate) fn of(&self, run: &str) -> Given {
        let ours = self.found.iter().filter(|(_, named, _)| named == run);
        let checkpoints = ours.map(|(file, _, bytes)| (file.clone(), bytes.clone())).collect();
        Given { checkpoints, keys: self.keys.clone(), allowed: self.allowed.clone() }
    }
}

/// Reads the checkpoints that a person names. What is none, or one of another run than `run`, is a wrong argument;
/// whether its signatures hold is found out with the run.
pub(crate) fn given(
    files: &[PathBuf],
    run: Option<&str>,
    keys: Option<&Path>,
    signers: Option<&Path>,
) -> Result<Notes, Failure> {
    let usage = |path: &Path, what: String| Failure::new(Kind::Usage, format!("{} {}", path.display(), plain(&what)));
    let mut found = Vec::new();
    for path in files {
        let bytes = read(path, note::LARGEST)?;
        let claim = Checkpoint::claim(&bytes).map_err(|error| usage(path, error.to_string()))?;
        let Some(named) = claim.run() else {
            return Err(usage(path, format!("names no run: its origin is {:?}", claim.origin)));
        };
        if let Some(run) = run.filter(|run| *run != named) {
            return Err(usage(path, format!("is a checkpoint of run {named:?}, not of `{run}`")));
        }
        found.push((path.display().to_string(), named.to_owned(), bytes));
    }
    let mut trusted = Vec::new();
    if let Some(path) = keys {
        let text = String::from_utf8(read(path, 1 << 20)?).map_err(|_| usage(path, "is not UTF-8".to_owned()))?;
        trusted = Vkey::parse_all(&text).map_err(|error| usage(path, error.to_string()))?;
        if trusted.is_empty() {
            return Err(usage(path, "holds no key".to_owned()));
        }
    }
    let allowed = match signers {
        Some(path) => Some(AllowedSigners::parse(&read(path, 1 << 20)?).map_err(|error| {
            Failure::new(Kind::Usage, format!("{}: {}", path.display(), plain(&error.to_string())))
        })?),
        None => None,
    };
    Ok(Notes { found, keys: trusted, allowed })
}

fn read(path: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
    use crate::registry::Error;
    checkpoints::read_elsewhere(path, limit).map_err(|error| match error {
        Error::Io { ref source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            Failure::new(Kind::NotFound, format!("there is no {}", path.display()))
        }
        Error::TooLarge { .. } => Failure::new(Kind::Usage, error.to_string()),
        error => error.into(),
    })
}

/// Whose journal a person means: one of the two is there, as the arguments say.
fn whose<'a>(run: Option<&'a RunId>, agent: Option<&'a AgentName>) -> Result<Sealable<'a>, Failure> {
    match (run, agent) {
        (Some(run), _) => Ok(Sealable::Run(run)),
        (None, Some(agent)) => Ok(Sealable::Agent(agent)),
        (None, None) => Err(Failure::new(Kind::Usage, "neither a run nor an agent is named")),
    }
}

/// `taskforge audit seal`.
pub(crate) fn seal(
    context: &Context<'_>,
    run: Option<&RunArg>,
    agent: Option<&AgentName>,
) -> Result<ExitCode, Failure> {
    let registry = context.registry()?;
    let run = run.map(|run| run.find(&registry)).transpose()?;
    let whose = whose(run.as_ref(), agent)?;
    let sealed = engine::seal(&registry, whose)?;
    context.output.result(&sealed, || {
        let word = if sealed.new { "sealed" } else { "was sealed already" };
        let (layout, name) = (registry.layout(), &sealed.run);
        let folder =
            agent.map_or_else(|| layout.run(name).root().to_owned(), |agent| layout.agent(agent).root().to_owned());
        let path = folder.join(&sealed.file);
        format!(
            "{name}: {word} at seq {}, byte {}: {}\nkeep a copy where whoever can change the registry cannot\n",
            sealed.head.seq,
            sealed.head.at,
            path.display()
        )
    })?;
    Ok(ExitCode::SUCCESS)
}

/// `taskforge audit checkpoint`.
pub(crate) fn print(
    context: &Context<'_>,
    run: Option<&RunArg>,
    agent: Option<&AgentName>,
    all: bool,
) -> Result<ExitCode, Failure> {
    let registry = context.registry()?;
    let run = run.map(|run| run.find(&registry)).transpose()?;
    let whose = whose(run.as_ref(), agent)?;
    let mut found = engine::list_checkpoints(&registry, whose)?;
    if found.is_empty() {
        let (what, argument) = match whose {
            Sealable::Run(run) => (format!("run `{run}`"), run.to_string()),
            Sealable::Agent(agent) => (format!("agent `{agent}`"), format!("--agent {agent}")),
        };
        let failure = Failure::new(Kind::NotFound, format!("{what} has no checkpoint"));
        return Err(failure.hint(format!("`taskforge audit seal {argument}` makes one")));
    }
    if !all {
        found.drain(..found.len() - 1);
    }
    let notes: Vec<&str> = found.iter().map(|sealed| sealed.note.as_str()).collect();
    if all {
        context.output.result(&json!({"checkpoints": found}), || notes.join("\n"))?;
    } else {
        context.output.result(&found[0], || notes.concat())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// `taskforge audit export`.
pub(crate) fn export(context: &Context<'_>, run: &RunArg, output: &Path) -> Result<ExitCode, Failure> {
    let registry = context.registry()?;
    let run = &run.find(&registry)?;
    let exported = engine::export(&registry, run, output)?;
    if exported.checkpoints == 0 {
        context.output.warn(&format!("run {run} is not sealed: the archive proves less than with a checkpoint"));
    }
    context.output.result(&exported, || {
        format!("{run}: {} files in {}, sha256 {}\n", exported.files, output.display(), exported.digest)
    })?;
    Ok(ExitCode::SUCCESS)
}
