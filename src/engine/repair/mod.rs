//! What is wrong with a run's files, and the mending of what can be mended without guessing. The journal is the truth:
//! what is made from it is made again. A journal that is not what was written is nobody's to mend but a person's.

mod examine;
mod finding;
mod folder;
mod mend;
mod projections;

pub use examine::{Depth, examine};
pub use finding::{Finding, Kind, Safety};
pub use mend::{Repaired, preview, repair};

use crate::registry::Registry;
use crate::run::id::RunId;

use super::error::Error;

/// Every folder in `runs/` with a run's name, also one without a journal.
///
/// # Errors
/// When `runs/` cannot be read.
pub fn runs(registry: &Registry) -> Result<Vec<RunId>, Error> {
    let folder = registry.layout().runs();
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(Error::Io { action: "list", path: folder, source }),
    };
    let mut runs: Vec<RunId> = entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter_map(|entry| RunId::parse(entry.file_name().to_str()?).ok())
        .collect();
    runs.sort();
    Ok(runs)
}
