//! OpenClaw's command line, found once and called with arguments.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::error::{Error, Result};
use crate::program::{self, Failure};

/// More than any answer that we ask for.
const OUTPUT: u64 = 8 << 20;

/// The `openclaw` program of this machine. Each call runs it anew, for a bounded time and with a bounded answer; it finds
/// its own configuration, and the gateway's token in that, by the environment that we were given.
#[derive(Debug, Clone)]
pub struct OpenclawCli {
    program: PathBuf,
    timeout: Duration,
}

impl OpenclawCli {
    /// `program` is a path, or a name that is looked up in `PATH`; one call takes at most `timeout`.
    ///
    /// # Errors
    /// [`Error::Missing`] if there is no such program.
    pub fn find(program: impl AsRef<Path>, timeout: Duration) -> Result<Self> {
        let wanted = program.as_ref();
        let found = if wanted.components().count() > 1 || wanted.is_absolute() {
            std::path::absolute(wanted).ok().filter(|path| path.is_file())
        } else {
            program::in_path(wanted)
        };
        let program = found.ok_or_else(|| Error::Missing(wanted.to_owned()))?;
        Ok(Self { program, timeout })
    }

    /// Where it was found.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Its answer to `arguments`, which must be JSON. A refusal that it prints as JSON is [`Error::Refused`] or
    /// [`Error::Unreachable`].
    ///
    /// # Errors
    /// Every one of [`Error`].
    pub fn json(&self, arguments: &[&str]) -> Result<Value> {
        self.json_with(arguments, b"")
    }

    /// As [`json`](Self::json), with `stdin` on its standard input.
    ///
    /// # Errors
    /// Every one of [`Error`].
    pub fn json_with(&self, arguments: &[&str], stdin: &[u8]) -> Result<Value> {
        let command = name(arguments);
        let output = self.run(arguments, stdin)?;
        let answer = read_json(&output.stdout);
        if output.status.success() {
            return answer.ok_or_else(|| Error::Unexpected { command, what: start_of(&output.stdout) });
        }
        Err(answer.as_ref().and_then(refusal).unwrap_or_else(|| {
            let said = if output.stderr.is_empty() { &output.stdout } else { &output.stderr };
            Error::Failed { command, exit: output.status.code(), message: start_of(said) }
        }))
    }

    /// What it prints for `arguments`, which must succeed.
    ///
    /// # Errors
    /// Every one of [`Error`].
    pub fn text(&self, arguments: &[&str]) -> Result<String> {
        let output = self.run(arguments, b"")?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
        }
        let said = if output.stderr.is_empty() { &output.stdout } else { &output.stderr };
        Err(Error::Failed { command: name(arguments), exit: output.status.code(), message: start_of(said) })
    }

    pub(super) fn run(&self, arguments: &[&str], stdin: &[u8]) -> Result<program::Output> {
        let mut command = Command::new(&self.program);
        command.args(arguments).env("NO_COLOR", "1").env("PATH", self.path());
        program::run(command, stdin, self.timeout, OUTPUT).map_err(|failure| match failure {
            Failure::Start(source) => Error::Start { program: self.program.clone(), source },
            Failure::TimedOut => Error::TimedOut { command: name(arguments), after: self.timeout },
            Failure::TooMuch => Error::TooMuch { command: name(arguments), limit: OUTPUT },
        })
    }

    /// Its own folder comes first: it is a script of the `node` beside it, and cron's `PATH` knows neither.
    fn path(&self) -> OsString {
        let mut folders: Vec<PathBuf> = self.program.parent().map(Path::to_owned).into_iter().collect();
        folders.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
        env::join_paths(folders).unwrap_or_default()
    }
}

/// The words of a command, without what is given to it: that may be long, or secret.
fn name(arguments: &[&str]) -> String {
    arguments.iter().take_while(|word| !word.starts_with('-')).take(3).copied().collect::<Vec<_>>().join(" ")
}

/// The JSON that a command printed, behind lines of talk if there are any.
fn read_json(stdout: &[u8]) -> Option<Value> {
    if let Ok(value) = serde_json::from_slice(stdout) {
        return Some(value);
    }
    let text = std::str::from_utf8(stdout).ok()?;
    let starts = text.match_indices(['{', '[']).map(|(at, _)| at).filter(|at| *at == 0 || text[..*at].ends_with('\n'));
    starts.take(64).find_map(|at| serde_json::from_str(&text[at..]).ok())
}

/// `{"ok":false,"error":{…}}`, as the command line prints what the gateway or the way to it answered.
fn refusal(answer: &Value) -> Option<Error> {
    let error = answer.get("error")?;
    let text = |key: &str| error.get(key).and_then(Value::as_str).map(|text| start_of(text.as_bytes()));
    let message = text("message").unwrap_or_else(|| start_of(error.to_string().as_bytes()));
    if text("type").as_deref() == Some("gateway_transport_error") {
        return Some(Error::Unreachable(message));
    }
    Some(Error::Refused { code: text("code").unwrap_or_default(), message })
}

/// What a program said, short enough for a message.
fn start_of(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim();
    let short: String = text.chars().take(400).collect();
    if short.len() < text.len() { format!("{short}…") } else { short }
}
