//! The person's crontab, through the `crontab` program: it knows where the text lies and tells the daemon.

use std::fs::File;
use std::path::Path;
use std::process;
use std::time::Duration;

use crate::program::{self, Failure};

use super::backend::Backend;
use super::crontab;
use super::error::{Error, Result};
use super::job::Job;
use super::{Installed, Outcome};

const PROGRAM: &str = "crontab";
const TIMEOUT: Duration = Duration::from_secs(20);
/// Cron itself takes far less.
const LIMIT: u64 = 4 << 20;

/// Puts the job's line into the crontab.
///
/// # Errors
/// Those of the program; nothing is written unless the whole crontab was read.
pub(super) fn install(job: &Job, dry: bool) -> Result<Outcome> {
    let line = crontab::line(job)?;
    let changed = change(dry, |text| crontab::with(text, &job.id, &line))?;
    Ok(Outcome { backend: Backend::Cron, place: place(), text: format!("{line}\n"), changed, left: Vec::new() })
}

/// Takes the registry's line out; whether there was one.
///
/// # Errors
/// As [`install`].
pub(super) fn remove(id: &str, dry: bool) -> Result<bool> {
    change(dry, |text| crontab::without(text, id))
}

/// The registry's line.
///
/// # Errors
/// As [`install`].
pub(super) fn find(id: &str) -> Result<Option<Installed>> {
    let text = read()?;
    Ok(crontab::find(&text, id).map(|line| {
        let (when, command) = crontab::read(line);
        Installed { backend: Backend::Cron, place: place(), when, command, asleep: None }
    }))
}

pub(super) fn is_there() -> bool {
    program::in_path(Path::new(PROGRAM)).is_some()
}

fn place() -> String {
    "the crontab (`crontab -l`)".to_owned()
}

fn change(dry: bool, edit: impl Fn(&str) -> String) -> Result<bool> {
    // Two of us at once would each write what the other has not read. The person's folder stands for their crontab.
    let home = std::env::var_os("HOME").and_then(|home| File::open(home).ok());
    if let Some(home) = &home {
        rustix::fs::flock(home, rustix::fs::FlockOperation::LockExclusive)
            .map_err(|error| Error::Io { what: "cannot lock the home folder".to_owned(), source: error.into() })?;
    }
    for _ in 0..3 {
        let old = read()?;
        let new = edit(&old);
        if new == old {
            return Ok(false);
        }
        if dry {
            return Ok(true);
        }
        call(&["-"], new.as_bytes())?;
        // An editor that was open meanwhile may have written over it.
        if read()? == new {
            return Ok(true);
        }
    }
    Err(Error::Contended)
}

fn read() -> Result<String> {
    match call(&["-l"], b"") {
        // To have none is an error to the program; any other one must not be taken for an empty crontab.
        Err(Error::Failed { said, .. }) if said.starts_with("no crontab for ") => Ok(String::new()),
        other => other,
    }
}

fn call(arguments: &[&str], stdin: &[u8]) -> Result<String> {
    let mut command = process::Command::new(PROGRAM);
    command.args(arguments).env("LC_ALL", "C");
    let failed = |said: String| Error::Failed { program: format!("{PROGRAM} {}", arguments.join(" ")), said };
    let output = program::run(command, stdin, TIMEOUT, LIMIT).map_err(|failure| match failure {
        Failure::Start(error) if error.kind() == std::io::ErrorKind::NotFound => Error::Missing(PROGRAM),
        other => failed(other.to_string()),
    })?;
    if output.status.success() {
        return String::from_utf8(output.stdout).map_err(|_| failed("what it printed is not UTF-8".to_owned()));
    }
    Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}
