//! What a schedule runs.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::cadence::Cadence;
use super::error::{Error, Result};

/// Programs that a tick may call, which neither cron's nor a service's own `PATH` always holds.
pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The binary and the registry of a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Command {
    pub binary: PathBuf,
    pub registry: PathBuf,
}

impl Command {
    /// `taskforge tick --all --record --registry R`: the verb first, as rules about arguments want it.
    pub(super) fn argv(&self) -> Vec<String> {
        let [binary, registry] = [&self.binary, &self.registry].map(|path| path.to_string_lossy().into_owned());
        let mut argv = vec![binary];
        argv.extend(["tick", "--all", "--record", "--registry"].map(str::to_owned));
        argv.push(registry);
        argv
    }

    /// What [`argv`](Self::argv) made `argv` from.
    pub(super) fn from_argv(argv: &[String]) -> Option<Self> {
        let [binary, tick, rest @ ..] = argv else { return None };
        let at = rest.iter().position(|word| word == "--registry")?;
        let registry = rest.get(at + 1)?;
        (tick == "tick").then(|| Self { binary: binary.into(), registry: registry.into() })
    }
}

/// A tick of all runs of one registry, again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    pub(super) command: Command,
    pub(super) id: String,
    pub(super) cadence: Cadence,
    /// Variables beside `PATH` that a tick here would see and one of a schedule would not.
    pub(super) variables: Vec<(String, String)>,
}

impl Job {
    /// `binary` ticks `registry`, whose id is `id`.
    ///
    /// # Errors
    /// [`Error::Unfit`] for a path that a crontab, a unit or JSON could not hold: a relative one, one with a control
    /// character, one that is not UTF-8.
    pub fn new(binary: &Path, registry: &Path, id: &str, cadence: Cadence) -> Result<Self> {
        for (what, path) in [("binary", binary), ("registry", registry)] {
            let text = path.to_str().filter(|text| text.starts_with('/') && !text.chars().any(char::is_control));
            if text.is_none() {
                return Err(Error::Unfit(format!(
                    "a schedule cannot hold the {what}'s path {path:?}: it has to be absolute, UTF-8 and without control \
                     characters"
                )));
            }
        }
        let plain = !id.is_empty() && id.len() <= 64 && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !plain {
            return Err(Error::Unfit(format!("{id:.80?} is no id of a registry")));
        }
        let command = Command { binary: binary.to_owned(), registry: registry.to_owned() };
        Ok(Self { command, id: id.to_owned(), cadence, variables: Vec::new() })
    }

    /// Adds a variable; one that could not stand in a crontab's line is left out.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        if !value.is_empty() && !value.chars().any(char::is_control) {
            self.variables.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// `PATH` and the rest.
    pub(super) fn environment(&self) -> impl Iterator<Item = (&str, &str)> {
        let more = self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        std::iter::once(("PATH", PATH)).chain(more)
    }
}

/// What marks a registry's schedule as ours, wherever it stands.
pub(super) fn mark(id: &str) -> String {
    format!("taskforge:tick:{id}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    use super::*;

    #[test]
    fn only_paths_that_every_place_can_hold() {
        let job =
            |binary: &Path, registry: &str, id: &str| Job::new(binary, Path::new(registry), id, Cadence::default());
        assert!(job(Path::new("/b"), "/r %s'\"\\$x;é", "01ABC").is_ok());
        for (binary, registry, id) in
            [("b", "/r", "x"), ("/b", "r", "x"), ("/b\n* * * * * id", "/r", "x"), ("/b", "/r\t", "x"), ("/b", "/r", "")]
        {
            assert!(job(Path::new(binary), registry, id).is_err(), "{binary:?} {registry:?} {id:?}");
        }
        assert!(job(Path::new("/b"), "/r", "a b").is_err());
        assert!(job(Path::new("/b"), "/r", "a\n").is_err());
        assert!(job(Path::new(OsStr::from_bytes(b"/\xff")), "/r", "x").is_err());
    }

    #[test]
    fn the_command_is_known_again() {
        let command = Command { binary: "/b b".into(), registry: "/r".into() };
        assert_eq!(Command::from_argv(&command.argv()), Some(command));
        assert_eq!(Command::from_argv(&["/b".to_owned(), "id".to_owned()]), None);
        assert_eq!(Command::from_argv(&[]), None);
    }
}
