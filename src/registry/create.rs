//! Making a run: built aside in `.taskforge/tmp`, synced, and then renamed into `runs/`. A run exists whole or not at all,
//! whenever the power goes.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use rustix::fs::{FlockOperation, flock};

use super::error::{Error, Result};
use super::journal::Journal;
use super::journal::heads::{self, Kept, Projections};
use super::journal::scan::Head;
use super::layout::RunLayout;
use super::lock::StartPermit;
use super::project::write_all;
use super::{Registry, beneath, disk};
use crate::run::id::RunId;
use crate::run::record::{Draft, Record};

/// How old a folder in `.taskforge/tmp` must be before it counts as left over. The lock already says that nobody builds
/// in it; the age covers the moment between making the folder and locking it.
const STALE: Duration = Duration::from_secs(3600);

/// How long a new run waits for a kill that is being lifted.
const PATIENCE: Duration = Duration::from_secs(10);

/// A run that does not exist yet. Dropping it removes what was built.
#[derive(Debug)]
pub struct StagedRun<'a> {
    registry: &'a Registry,
    run: RunId,
    layout: RunLayout,
    /// Locked, so that nobody takes the folder for a leftover.
    _folder: File,
    head: Option<Head>,
    projections: Option<Projections>,
    published: bool,
}

/// Starts building `run` in a folder of its own.
///
/// # Errors
/// [`Error::RunExists`], as early as that can be seen; [`Error::Remote`]; those of the file system.
pub fn stage_run<'a>(registry: &'a Registry, run: &RunId) -> Result<StagedRun<'a>> {
    registry.require_local()?;
    registry.make_local_folders()?;
    registry.require_home()?;
    let layout = registry.layout();
    super::make_folder(&layout.runs(), 0o755)?;
    if layout.run(run).root().symlink_metadata().is_ok() {
        return Err(Error::RunExists { run: run.clone() });
    }
    sweep(&layout.tmp());
    let root = layout.tmp().join(ulid::Ulid::generate().to_string());
    // Nobody else gets through it: an agent owns its workspace, and what it leaves there with the set-user-id bit would
    // otherwise make anyone on this machine its user, which can be the operator. Mounts do not need the way.
    disk::make_dir(&root, 0o700).map_err(Error::io("create", &root))?;
    let folder = disk::open_dir(&root).map_err(Error::io("open", &root))?;
    flock(&folder, FlockOperation::NonBlockingLockExclusive).map_err(Error::errno("lock", &root))?;
    let layout = RunLayout::new(root);
    Ok(StagedRun {
        registry,
        run: run.clone(),
        layout,
        _folder: folder,
        head: None,
        projections: None,
        published: false,
    })
}

impl StagedRun<'_> {
    /// The paths of the run as it is being built. Whatever is put there is synced by [`publish`](Self::publish).
    #[must_use]
    pub fn layout(&self) -> &RunLayout {
        &self.layout
    }

    /// Writes a file of the run; `path` is relative to its folder.
    ///
    /// # Errors
    /// [`Error::BadPath`] for a path that leaves the folder; those of the file system, also if the file is there.
    pub fn write_file(&self, path: &str, bytes: &[u8]) -> Result<()> {
        beneath::check(path)?;
        let full = self.layout.root().join(path);
        if let Some(folder) = path.rsplit_once('/').map(|(folder, _)| folder) {
            self.make_folder(folder)?;
        }
        let file = disk::create_new(&full, 0o644).map_err(Error::io("create", &full))?;
        write_all(&file, &full, bytes).map_err(Error::io("write", &full))
    }

    /// Makes a folder of the run and those above it; `path` is relative to the run's folder.
    ///
    /// # Errors
    /// As [`write_file`](Self::write_file).
    pub fn make_folder(&self, path: &str) -> Result<()> {
        beneath::check(path)?;
        let mut folder = self.layout.root().to_owned();
        for part in path.split('/') {
            folder.push(part);
            match disk::make_dir(&folder, 0o755) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(Error::io("create", &folder)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Writes the journal's first batch.
    ///
    /// # Errors
    /// Those of the file system, and if there is a journal already.
    pub fn begin_journal(&mut self, drafts: Vec<Draft>, actor: &str, now: DateTime<Utc>) -> Result<Vec<Record>> {
        let mut journal = Journal::create(self.layout.root(), &self.run)?;
        let records = journal.commit(drafts, actor, now)?;
        self.head = Some(journal.head());
        Ok(records)
    }

    /// Says which projections of the new journal were written, for the next command.
    pub fn keep(&mut self, projections: Projections) {
        self.projections = Some(projections);
    }

    /// The head of the journal that [`begin_journal`](Self::begin_journal) wrote.
    #[must_use]
    pub fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    /// Makes the run exist, on disk when it returns.
    ///
    /// # Errors
    /// [`Error::RunExists`] if another process was faster; those of the file system. The run then does not exist, except
    /// when only the last sync failed: it then exists and may be gone after a power cut.
    pub fn publish(mut self) -> Result<()> {
        // The journal's first batch is on disk already.
        let synced = self.head.as_ref().map(|_| self.layout.journal());
        sync_tree(self.layout.root(), synced.as_deref())?;
        let runs = self.registry.layout().runs();
        let target = self.registry.layout().run(&self.run);
        // Until the run is there: a kill that comes now waits, and finds it.
        let _permit = StartPermit::acquire(self.registry, PATIENCE)?;
        match disk::rename_new(self.layout.root(), target.root()) {
            Ok(()) => self.published = true,
            // A file system without RENAME_NOREPLACE says EINVAL; rename(2) onto a folder that holds anything fails there.
            Err(error) if matches!(error.kind(), io::ErrorKind::AlreadyExists) => {
                return Err(Error::RunExists { run: self.run.clone() });
            }
            Err(error) => return Err(Error::io("publish the run", target.root())(error)),
        }
        disk::sync_dir(&runs).map_err(Error::io("sync", &runs))?;
        if let Some(head) = self.head.clone() {
            // As after a commit: without it the next writer checks from the start.
            let _ = heads::write(&self.registry.layout().head(&self.run), &Kept::of(head, self.projections.take()));
        }
        Ok(())
    }
}

impl Drop for StagedRun<'_> {
    fn drop(&mut self) {
        if !self.published {
            // A leftover is swept later; nothing reads it.
            let _ = fs::remove_dir_all(self.layout.root());
        }
    }
}

/// Syncs every file and folder below and including `folder`, children first, and leaves out the file `synced`.
fn sync_tree(folder: &Path, synced: Option<&Path>) -> Result<()> {
    let mut empty = true;
    for entry in fs::read_dir(folder).map_err(Error::io("list", folder))? {
        empty = false;
        let entry = entry.map_err(Error::io("list", folder))?;
        let path = entry.path();
        let kind = entry.file_type().map_err(Error::io("look at", &path))?;
        if kind.is_dir() {
            sync_tree(&path, synced)?;
        } else if synced != Some(&path) {
            let file = disk::open_read(&path).map_err(Error::io("open", &path))?;
            // Of an empty file there is nothing but its name, which its folder keeps; so with an empty folder.
            if file.metadata().map_err(Error::io("look at", &path))?.len() > 0 {
                disk::sync(&file, &path).map_err(Error::io("sync", &path))?;
            }
        }
    }
    if empty { Ok(()) } else { disk::sync_dir(folder).map_err(Error::io("sync", folder)) }
}

/// Removes what crashed builders left: folders with a name of ours, old, and locked by nobody.
fn sweep(tmp: &Path) {
    let Ok(entries) = fs::read_dir(tmp) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let ours = entry.file_name().to_str().is_some_and(|name| ulid::Ulid::from_string(name).is_ok());
        let old = |path: &Path| {
            let modified = path.symlink_metadata().and_then(|metadata| metadata.modified());
            modified.is_ok_and(|time| SystemTime::now().duration_since(time).is_ok_and(|age| age > STALE))
        };
        if !ours || !old(&path) {
            continue;
        }
        if let Ok(folder) = disk::open_dir(&path)
            && flock(&folder, FlockOperation::NonBlockingLockExclusive).is_ok()
        {
            let _ = fs::remove_dir_all(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs::FileTimes;

    use super::*;
    use crate::registry::init::InitOptions;
    use crate::registry::queries;

    fn registry(folder: &tempfile::TempDir) -> Registry {
        Registry::init(folder.path(), &InitOptions::default()).unwrap()
    }

    fn run(text: &str) -> RunId {
        RunId::parse(text).unwrap()
    }

    #[test]
    fn a_run_appears_whole() {
        let folder = tempfile::tempdir().unwrap();
        let registry = registry(&folder);
        let staged = stage_run(&registry, &run("r1")).unwrap();
        staged.write_file("workflow.lock.md", b"text").unwrap();
        staged.write_file("nodes/a/handoff.md", b"text").unwrap();
        assert!(!registry.layout().run(&run("r1")).root().exists());
        assert!(staged.write_file("../escape", b"").is_err());
        staged.publish().unwrap();
        assert!(registry.layout().run(&run("r1")).nodes().join("a/handoff.md").is_file());
        assert_eq!(fs::read_dir(registry.layout().tmp()).unwrap().count(), 0);
        assert!(matches!(stage_run(&registry, &run("r1")), Err(Error::RunExists { .. })));
    }

    #[test]
    fn the_slower_of_two_is_told_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let registry = registry(&folder);
        let [first, second] = [1, 2].map(|_| stage_run(&registry, &run("r")).unwrap());
        second.write_file("who", b"second").unwrap();
        first.write_file("who", b"first").unwrap();
        second.publish().unwrap();
        assert!(matches!(first.publish(), Err(Error::RunExists { .. })));
        assert_eq!(fs::read(registry.layout().run(&run("r")).root().join("who")).unwrap(), b"second");
        assert_eq!(fs::read_dir(registry.layout().tmp()).unwrap().count(), 0);
        assert_eq!(queries::list_runs(&registry).unwrap(), Vec::new());
    }

    #[test]
    fn only_dead_builders_are_swept() {
        let folder = tempfile::tempdir().unwrap();
        let registry = registry(&folder);
        let tmp = registry.layout().tmp();
        let old = FileTimes::new().set_modified(SystemTime::now() - STALE * 2);
        let age = |path: &Path| File::open(path).unwrap().set_times(old).unwrap();
        let alive = stage_run(&registry, &run("alive")).unwrap();
        age(alive.layout().root());
        let [dead, young] = [1, 2].map(|_| tmp.join(ulid::Ulid::generate().to_string()));
        for path in [&dead, &young, &tmp.join("foreign")] {
            fs::create_dir(path).unwrap();
        }
        age(&dead);
        age(&tmp.join("foreign"));
        drop(stage_run(&registry, &run("next")).unwrap());
        assert!(!dead.exists());
        assert!(young.exists() && tmp.join("foreign").exists() && alive.layout().root().exists());
    }
}
