//! The folders of hired agents: made whole or not at all, listed without a look into their journals.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use chrono::{DateTime, Utc};

use super::error::{Error, Result};
use super::journal::{Journal, heads};
use super::layout::AgentLayout;
use super::{Registry, disk, make_folder, project};
use crate::run::id::{AgentName, RunId};
use crate::run::record::{Draft, Record};

/// The most agents of a registry, those included that were offboarded.
pub const MOST: usize = 100_000;

/// What stands in the place of the run's id in an agent's journal, and seeds its chain.
pub(crate) fn journal_name(agent: &AgentName) -> Result<RunId> {
    // Every name of an agent is one that a run could have.
    RunId::parse(agent.as_str()).map_err(|_| Error::BadPath { path: agent.to_string(), why: "names no journal" })
}

/// The names of all agents, sorted.
///
/// # Errors
/// Those of the file system; no folder means no agents.
pub fn list(registry: &Registry) -> Result<Vec<AgentName>> {
    let folder = registry.layout().agents();
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("list", &folder)(error)),
    };
    let mut names = Vec::new();
    for entry in entries.take(MOST) {
        let entry = entry.map_err(Error::io("list", &folder))?;
        names.extend(entry.file_name().to_str().and_then(|name| AgentName::parse(name).ok()));
    }
    names.sort();
    Ok(names)
}

/// Makes the agent `name` with these files (paths relative to its folder) and the first lines of its journal. `project`
/// makes the projection from the journal's head and those lines.
///
/// # Errors
/// [`Error::AgentExists`] if there is or was one of this name, and those of the file system; there is then none.
pub fn create(
    registry: &Registry,
    name: &AgentName,
    files: &[(String, String)],
    drafts: Vec<Draft>,
    actor: &str,
    now: DateTime<Utc>,
    projection: impl FnOnce(&super::Head, &[Record]) -> Vec<u8>,
) -> Result<Vec<Record>> {
    registry.require_local()?;
    registry.make_local_folders()?;
    registry.require_home()?;
    let layout = registry.layout();
    project::make_durable_folders(&layout.agents(), 0o755)?;
    let target = layout.agent(name);
    if target.root().symlink_metadata().is_ok() {
        return Err(Error::AgentExists { agent: name.clone() });
    }
    let aside = Aside(layout.tmp().join(ulid::Ulid::generate().to_string()));
    let staged = AgentLayout::new(&aside.0);
    disk::make_dir(&aside.0, 0o700).map_err(Error::io("create", &aside.0))?;
    make_folder(&staged.memory(), 0o700)?;
    for (path, text) in files {
        write(&staged.role(), path, text)?;
    }
    let mut journal = Journal::create(&aside.0, &journal_name(name)?)?;
    let records = journal.commit(drafts, actor, now)?;
    let head = journal.head();
    project::replace(&staged.agent(), &projection(&head, &records))?;
    for folder in folders(&staged.role())? {
        disk::sync_dir(&folder).map_err(Error::io("sync", &folder))?;
    }
    disk::sync_dir(&aside.0).map_err(Error::io("sync", &aside.0))?;
    match disk::rename_new(&aside.0, target.root()) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(Error::AgentExists { agent: name.clone() });
        }
        other => other.map_err(Error::io("create", target.root()))?,
    }
    let agents = layout.agents();
    disk::sync_dir(&agents).map_err(Error::io("sync", &agents))?;
    // It is no loss if that fails: the next command checks the journal from its start.
    let _ = heads::write(&layout.agent_head(name), &heads::Kept::of(head, None));
    Ok(records)
}

/// Writes a file beneath `folder`, on disk but for the names of its folders. The mode is what a container's user needs.
pub(crate) fn write(folder: &Path, path: &str, text: &str) -> Result<()> {
    super::beneath::check(path)?;
    let full = folder.join(path);
    if let Some(parent) = full.parent() {
        fs::create_dir_all(parent).map_err(Error::io("create", parent))?;
    }
    project::write_synced(&full, text.as_bytes())?;
    open_for_reading(folder, path)
}

/// Lets everybody read `path` beneath `folder`, whatever the umask was: another user's container does.
pub(crate) fn open_for_reading(folder: &Path, path: &str) -> Result<()> {
    let mut full = folder.join(path);
    let mut mode = 0o644;
    loop {
        fs::set_permissions(&full, fs::Permissions::from_mode(mode)).map_err(Error::io("open for reading", &full))?;
        if full == folder || !full.pop() {
            return Ok(());
        }
        mode = 0o755;
    }
}

fn folders(root: &Path) -> Result<Vec<std::path::PathBuf>> {
    let mut found = vec![root.to_owned()];
    let mut at = 0;
    while let Some(folder) = found.get(at).cloned() {
        at += 1;
        for entry in fs::read_dir(&folder).map_err(Error::io("list", &folder))? {
            let entry = entry.map_err(Error::io("list", &folder))?;
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                found.push(entry.path());
            }
        }
    }
    Ok(found)
}

/// A folder that is gone again unless it was renamed.
struct Aside(std::path::PathBuf);

impl Drop for Aside {
    fn drop(&mut self) {
        if self.0.exists() {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}
