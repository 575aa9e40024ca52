//! The registry: every byte the host writes goes through here. It knows files, formats and guarantees, and never what an
//! event means. Reads take no lock and write nothing.

pub mod agents;
pub mod beneath;
pub mod checkpoints;
pub mod collect;
pub mod config;
pub mod controls;
pub mod create;
pub mod decisions;
mod disk;
pub mod error;
#[cfg(any(test, debug_assertions))]
mod faults;
pub mod fileset;
pub mod grants;
mod home;
pub mod inbox;
pub mod index;
pub mod init;
pub mod journal;
pub mod json;
pub mod kill;
pub mod layout;
pub mod lock;
pub mod policies;
pub(crate) mod private;
pub mod project;
pub mod queries;
pub mod repaired;
pub mod roles;
mod root;
pub mod schedules;
pub(crate) mod spread;
pub mod usage;
pub mod vault;

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::OnceLock;

pub use self::config::Config;
pub use self::create::StagedRun;
pub use self::error::{Error, Result};
pub use self::init::InitOptions;
pub use self::journal::Journal;
pub use self::journal::scan::{Head, Scan};
pub use self::json::{to_json_line, to_opentask_json, to_printed_json};
pub use self::layout::{AgentLayout, Layout, RunLayout};
pub use self::lock::{
    AgentLock, DriveLock, ImageLock, KillLock, PortsLock, RunLock, SchedulesLock, SealLock, StartPermit, WatchLock,
};

/// One registry, found by [`Registry::resolve`] or made by [`Registry::init`].
#[derive(Debug)]
pub struct Registry {
    layout: Layout,
    config: OnceLock<Config>,
    local: OnceLock<()>,
    home: OnceLock<()>,
}

impl Registry {
    /// The registry at `root`, which nobody has looked at yet.
    #[must_use]
    pub fn at(root: &Path) -> Self {
        Self { layout: Layout::new(root), config: OnceLock::new(), local: OnceLock::new(), home: OnceLock::new() }
    }

    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    #[must_use]
    pub fn root(&self) -> &Path {
        self.layout.root()
    }

    /// Whether the registry has no `taskforge.toml`: OpenTask's own, with its rules.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        !self.layout.config().exists()
    }

    /// `taskforge.toml`, read once; the defaults in a bare registry.
    ///
    /// # Errors
    /// Where the file is wrong, with line and column.
    pub fn config(&self) -> Result<&Config> {
        if let Some(config) = self.config.get() {
            return Ok(config);
        }
        let config = Config::load(&self.layout)?;
        Ok(self.config.get_or_init(|| config))
    }

    /// The registry's id, also when the rest of `taskforge.toml` is wrong: `kill` has to find its containers.
    ///
    /// # Errors
    /// When there is no id to be read.
    pub fn id(&self) -> Result<String> {
        config::read_id(&self.layout)
    }

    /// # Errors
    /// [`Error::Remote`] where locks and syncs cannot be relied on.
    pub fn require_local(&self) -> Result<()> {
        if self.local.get().is_none() {
            root::require_local(self.root())?;
            let _ = self.local.set(());
        }
        Ok(())
    }

    /// Whether what this registry started may be driven from here.
    ///
    /// # Errors
    /// [`Error::Copied`] if it is a copy of a registry that stands elsewhere.
    pub fn require_home(&self) -> Result<()> {
        if self.home.get().is_none() {
            home::require(&self.layout)?;
            let _ = self.home.set(());
        }
        Ok(())
    }

    /// The registry that this one is a copy of, if that stands.
    #[must_use]
    pub fn original(&self) -> Option<std::path::PathBuf> {
        home::original(&self.layout)
    }

    /// Makes the machine-local folders where they are missing: in a fresh clone, or in OpenTask's own registry.
    pub(crate) fn make_local_folders(&self) -> Result<()> {
        let layout = &self.layout;
        if root::is_dir(&layout.locks()) && root::is_dir(&layout.heads()) && root::is_dir(&layout.tmp()) {
            return Ok(());
        }
        make_folder(&layout.local(), 0o700)?;
        for folder in [layout.locks(), layout.heads(), layout.tmp(), layout.bin()] {
            make_folder(&folder, 0o700)?;
        }
        // The gate mounts this one, and runs as somebody else.
        make_folder(&layout.kill(), 0o755)?;
        if !layout.kill_spare().exists() && !layout.kill_file().exists() {
            kill::preallocate(layout)?;
        }
        Ok(())
    }
}

/// A folder that may be there already, but not as a symlink.
pub(crate) fn make_folder(path: &Path, mode: u32) -> Result<()> {
    match DirBuilder::new().mode(mode).create(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && root::is_dir(path) => Ok(()),
        Err(error) => Err(Error::io("create", path)(error)),
    }
}
