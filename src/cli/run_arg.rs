//! A run as a person names it: its id, or the start of one.

use std::str::FromStr;

use crate::failure::{Failure, Kind};
use crate::registry::{Registry, queries};
use crate::run::id::{IdError, RunId};

/// How many runs a complaint about an ambiguous start names.
const NAMED: usize = 5;

/// An argument that names a run. A start of an id fits the grammar of ids as well.
#[derive(Debug, Clone)]
pub(crate) struct RunArg(RunId);

impl FromStr for RunArg {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        RunId::parse(text).map(Self)
    }
}

impl From<RunId> for RunArg {
    fn from(run: RunId) -> Self {
        Self(run)
    }
}

impl RunArg {
    /// The run that is meant. An id that is there wins without a look at the others.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if no run's id begins so, [`Kind::Usage`] if those of several do.
    pub(crate) fn find(&self, registry: &Registry) -> Result<RunId, Failure> {
        let Self(given) = self;
        if registry.layout().run(given).journal().symlink_metadata().is_ok() {
            return Ok(given.clone());
        }
        let mut fit = queries::list_names(registry)?;
        fit.retain(|name| name.as_str().starts_with(given.as_str()) && queries::is_run(registry, name));
        match fit.as_slice() {
            // The command itself says that there is none, in the words that it has for it.
            [] => Ok(given.clone()),
            [one] => Ok(one.clone()),
            several => {
                let named: Vec<&str> = several.iter().take(NAMED).map(RunId::as_str).collect();
                let more = if several.len() > NAMED { ", …" } else { "" };
                let message = format!("`{given}` is the start of {} runs: {}{more}", several.len(), named.join(", "));
                Err(Failure::new(Kind::Usage, message).hint("type more of the id"))
            }
        }
    }
}
