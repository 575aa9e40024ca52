//! The recorded calls, on a disk that forgets: the model that the journal's own proofs use.

use std::path::PathBuf;

#[path = "../../src/registry/journal/power/model.rs"]
#[allow(clippy::duplicate_mod)] // the same model in the library's own tests, which this binary does not see
mod model;

pub use model::{Disk, Id, ROOT};

/// A call that changed something, or made it durable. Paths are relative to the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(dead_code)] // `Acknowledged` is the library's; here the command's end says it
pub enum Call {
    Create(PathBuf),
    MakeDir(PathBuf),
    Write { path: PathBuf, offset: u64, bytes: Vec<u8> },
    Sync(PathBuf),
    SyncDir(PathBuf),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
    Acknowledged,
}

impl Call {
    pub const fn is_sync(&self) -> bool {
        matches!(self, Self::Sync(_) | Self::SyncDir(_))
    }
}

/// The disk as it was before, with the first `count` of `calls` made.
pub fn up_to(start: &Disk, calls: &[Call], count: usize) -> Disk {
    let mut disk = start.clone();
    calls.iter().take(count).for_each(|call| disk.run(call));
    disk
}
