//! Taking a schedule back by what it goes by.

use serde::Serialize;

use crate::engine::error::Error;
use crate::engine::given;
use crate::registry::{Registry, schedules as files};
use crate::run::id::{RequestId, RunId};

/// What became of taking a schedule back.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RevokedSchedule {
    pub name: String,
    /// The run in whose journal it stands that it was taken back.
    pub run: RunId,
    pub request: RequestId,
}

/// Takes back the schedule that goes by `name`. When it returns, nobody begins a run by it.
///
/// # Errors
/// [`Error::NoSchedule`]; [`Error::Usage`] if its file cannot be used; as [`given::revoke`].
pub fn revoke(registry: &Registry, name: &str, reason: &str) -> Result<RevokedSchedule, Error> {
    let file = match files::read(registry, name)? {
        Some(Ok(file)) => file,
        Some(Err(why)) => {
            let path = registry.layout().schedule(name);
            return Err(Error::Usage(format!(
                "schedule {name}: {why}; it begins nothing, and {} can go",
                path.display()
            )));
        }
        None => return Err(Error::NoSchedule(name.to_owned())),
    };
    given::revoke(registry, file.request.as_str(), reason)?;
    Ok(RevokedSchedule { name: name.to_owned(), run: file.run, request: file.request })
}
