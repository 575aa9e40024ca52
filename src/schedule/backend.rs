//! The places that can call us.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use crate::openclaw::{self, OpenclawCli};

use super::error::{Error, Result};
use super::job::Job;
use super::{Installed, Outcome, automation, cron, systemd};

/// Who calls us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    Cron,
    Systemd,
    Openclaw,
}

impl Backend {
    pub const ALL: [Self; 3] = [Self::Systemd, Self::Cron, Self::Openclaw];
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cron => "cron",
            Self::Systemd => "systemd",
            Self::Openclaw => "openclaw",
        })
    }
}

/// What there is on this machine.
#[derive(Debug)]
pub struct Machine {
    openclaw: openclaw::error::Result<OpenclawCli>,
}

impl Machine {
    /// With OpenClaw's command line as `cli` names it.
    #[must_use]
    pub fn new(cli: &Path, timeout: Duration) -> Self {
        Self { openclaw: OpenclawCli::find(cli, timeout) }
    }

    /// With this command line of OpenClaw.
    #[must_use]
    pub const fn with(cli: OpenclawCli) -> Self {
        Self { openclaw: Ok(cli) }
    }

    /// The one to take where none is named: systemd where a manager of the user answers, else a crontab, else OpenClaw.
    ///
    /// # Errors
    /// [`Error::NoBackend`].
    pub fn preferred(&self) -> Result<Backend> {
        if systemd::manager_answers() {
            return Ok(Backend::Systemd);
        }
        if cron::is_there() {
            return Ok(Backend::Cron);
        }
        self.openclaw.as_ref().map(|_| Backend::Openclaw).map_err(|_| Error::NoBackend)
    }

    /// # Errors
    /// Those of the place.
    pub fn install(&self, backend: Backend, job: &Job, dry: bool) -> Result<Outcome> {
        match backend {
            Backend::Cron => cron::install(job, dry),
            Backend::Systemd => systemd::install(job, dry),
            Backend::Openclaw => automation::install(self.openclaw()?, job, dry),
        }
    }

    /// Whether there was anything to remove.
    ///
    /// # Errors
    /// Those of the place.
    pub fn remove(&self, backend: Backend, id: &str, dry: bool) -> Result<bool> {
        match backend {
            Backend::Cron => cron::remove(id, dry),
            Backend::Systemd => systemd::remove(id, dry),
            Backend::Openclaw => automation::remove(self.openclaw()?, id, dry),
        }
    }

    /// # Errors
    /// Those of the place.
    pub fn find(&self, backend: Backend, id: &str) -> Result<Option<Installed>> {
        match backend {
            Backend::Cron => cron::find(id),
            Backend::Systemd => systemd::find(id),
            Backend::Openclaw => automation::find(self.openclaw()?, id),
        }
    }

    /// Whether the place could hold anything at all.
    #[must_use]
    pub fn has(&self, backend: Backend) -> bool {
        match backend {
            Backend::Cron => cron::is_there(),
            // Its files may lie there whoever answers.
            Backend::Systemd => true,
            Backend::Openclaw => self.openclaw.is_ok(),
        }
    }

    fn openclaw(&self) -> Result<&OpenclawCli> {
        self.openclaw.as_ref().map_err(|error| match error {
            openclaw::Error::Missing(path) => Error::Openclaw(openclaw::Error::Missing(path.clone())),
            _ => Error::Missing("openclaw"),
        })
    }
}
