//! `schedules/`: what agents are to be told at times, as it was approved, a file each. A file is for people and says where
//! the approval stands; that alone is believed.

use std::path::Path;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::disk;
use super::error::{Error, Result};
use super::project::{parent, read_file, sync_folder, write_durable_new};
use super::{Registry, make_folder};
use crate::run::capability::ScheduleName;
use crate::run::id::{AgentName, Digest, RequestId, RunId};

/// More schedules than anybody keeps an eye on.
const MOST: usize = 10_000;
/// The largest file, in bytes.
const LARGEST: u64 = 64 << 10;
/// The longest name: it begins the names of runs.
pub const LONGEST_NAME: usize = 74;

/// A schedule of an agent, as it lies in `schedules/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScheduleFile {
    /// 1.
    pub format: u32,
    pub agent: AgentName,
    pub when: String,
    pub task: String,
    /// The run whose journal has the approval.
    pub run: RunId,
    pub request: RequestId,
    pub approved_by: String,
    /// When it began: no time before that is made up for.
    pub since: DateTime<Utc>,
    /// The digest of what was shown.
    pub review: Digest,
}

/// What the schedule `name` of `agent` goes by, among watches: no watch of the settings has a dot in its name.
#[must_use]
pub fn called(agent: &AgentName, name: &ScheduleName) -> String {
    format!("{agent}.{name}")
}

/// What they go by, sorted; a name that is no schedule's is left alone.
///
/// # Errors
/// When the folder cannot be read, or holds more than ten thousand files.
pub fn list(registry: &Registry) -> Result<Vec<String>> {
    let folder = registry.layout().schedules();
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("read", folder)(error)),
    };
    let mut found = Vec::new();
    for (count, entry) in entries.enumerate() {
        if count == MOST {
            let most = std::io::Error::other(format!("there are more than {MOST} files"));
            return Err(Error::io("read", folder)(most));
        }
        let name = entry.map_err(Error::io("read", &folder))?.file_name();
        let name = name.to_str().and_then(|name| name.strip_suffix(".json"));
        found.extend(name.filter(|name| parts(name).is_some()).map(str::to_owned));
    }
    found.sort();
    Ok(found)
}

/// The agent, and its name for the schedule, of what it goes by.
#[must_use]
pub fn parts(name: &str) -> Option<(AgentName, ScheduleName)> {
    let (agent, own) = name.rsplit_once('.')?;
    Some((AgentName::parse(agent).ok()?, ScheduleName::parse(own).ok()?))
}

/// The schedule that goes by `name`; none if there is none. The inner error is why its file cannot be used.
///
/// # Errors
/// Those of the file system.
pub fn read(registry: &Registry, name: &str) -> Result<Option<std::result::Result<ScheduleFile, String>>> {
    let Some((agent, _)) = parts(name) else { return Ok(None) };
    let bytes = match read_file(&registry.layout().schedule(name), LARGEST) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(None),
        Err(error @ Error::TooLarge { .. }) => return Ok(Some(Err(error.to_string()))),
        Err(error) => return Err(error),
    };
    Ok(Some(match serde_json::from_slice::<ScheduleFile>(&bytes) {
        Err(error) => Err(format!("its file is not understood: {error}")),
        Ok(file) if file.format != 1 => Err(format!("its file has format {}; this version knows 1", file.format)),
        Ok(file) if file.agent != agent => Err(format!("its file is about agent {}", file.agent)),
        Ok(file) => Ok(file),
    }))
}

/// Writes a schedule that is not there yet, durably.
///
/// # Errors
/// Those of the file system, `AlreadyExists` among them.
pub fn write(registry: &Registry, name: &str, file: &ScheduleFile) -> Result<()> {
    let path = registry.layout().schedule(name);
    let folder = parent(&path)?;
    make_folder(folder, 0o755)?;
    sync_folder(registry.root())?;
    let encode = |source| Error::Encode { what: "a schedule", source };
    let mut bytes = serde_json::to_vec_pretty(file).map_err(encode)?;
    bytes.push(b'\n');
    write_durable_new(&path, &bytes)
}

/// Removes the file of a schedule that is over, and what its looks knew.
///
/// # Errors
/// Those of the file system.
pub fn remove(registry: &Registry, name: &str) -> Result<()> {
    if parts(name).is_none() {
        return Ok(());
    }
    let (layout, gone) = (registry.layout(), |path: &Path| match disk::remove(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
        _ => Ok(()),
    });
    gone(&layout.schedule(name))?;
    gone(&layout.watch(name))?;
    if layout.schedules().exists() { sync_folder(&layout.schedules()) } else { Ok(()) }
}
