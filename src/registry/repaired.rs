//! What a repair replaced, kept in `.taskforge/repaired/<run>/<time>/` under the names it had: a repair never loses a
//! byte, also where it was wrong to make it.

use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use super::error::{Error, Result};
use super::layout::Layout;
use super::{beneath, disk, project};
use crate::run::id::RunId;

/// The largest file that is copied, in bytes. A larger one is moved.
const COPIED: u64 = 64 << 20;

/// The folder of one repair. It is made when there is something to keep.
#[derive(Debug)]
pub struct Kept {
    root: PathBuf,
    folder: PathBuf,
    used: bool,
}

impl Kept {
    /// A place for what is replaced of `run` at `now`.
    #[must_use]
    pub fn new(layout: &Layout, run: &RunId, now: DateTime<Utc>) -> Self {
        let folder = format!("repaired/{run}/{}", now.format("%Y%m%dT%H%M%S%.6fZ"));
        Self { root: layout.local(), folder: PathBuf::from(folder), used: false }
    }

    /// The folder, if anything was kept.
    #[must_use]
    pub fn folder(&self) -> Option<PathBuf> {
        self.used.then(|| self.root.join(&self.folder))
    }

    /// Keeps a copy of the file at `path`, or the thing itself where it is no file that can be copied. Nothing is there:
    /// nothing is kept.
    ///
    /// # Errors
    /// [`Error::BadPath`] for a name that leaves the folder; those of the file system.
    pub fn copy(&mut self, path: &Path, name: &str) -> Result<()> {
        match project::read_file(path, COPIED) {
            Ok(None) => Ok(()),
            Ok(Some(bytes)) => {
                let place = self.place(name)?;
                project::write_durable_new(&place, &bytes)
            }
            Err(_) => self.set_aside(path, name),
        }
    }

    /// Moves what stands at `path` here, whatever it is.
    ///
    /// # Errors
    /// As [`copy`](Self::copy).
    pub fn set_aside(&mut self, path: &Path, name: &str) -> Result<()> {
        if path.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            return Ok(());
        }
        let place = self.place(name)?;
        disk::rename_new(path, &place).map_err(Error::io("set aside", path))?;
        for folder in [project::parent(path)?, project::parent(&place)?] {
            disk::sync_dir(folder).map_err(Error::io("sync", folder))?;
        }
        Ok(())
    }

    fn place(&mut self, name: &str) -> Result<PathBuf> {
        beneath::check(name)?;
        let mut folder = self.root.clone();
        let above = Path::new(name).parent().unwrap_or(Path::new(""));
        for part in self.folder.iter().chain(above.iter()) {
            folder.push(part);
            let made = match disk::make_dir(&folder, 0o700) {
                Ok(()) => true,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
                Err(error) => return Err(Error::io("create", &folder)(error)),
            };
            // At first also where it is there: whoever made it may have been killed before it synced the name.
            if made || !self.used {
                let parent = project::parent(&folder)?;
                disk::sync_dir(parent).map_err(Error::io("sync", parent))?;
            }
        }
        self.used = true;
        Ok(self.root.join(&self.folder).join(name))
    }
}
