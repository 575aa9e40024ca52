//! The binary that a run's containers are given: this one, pinned under its digest, so that an upgrade never mixes
//! versions inside a run.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::registry::Registry;
use crate::registry::project::{replace, write_durable_mode};
use crate::run::definition::Users;
use crate::run::id::Digest;
use crate::run::state::State;

use super::error::Error;

/// This process's binary, whatever its name is by now.
const OWN: &str = "/proc/self/exe";
/// In the folder of the binaries: what this one was when it was last read. To read and hash all of it takes longer than the
/// rest of a start.
const KNOWN: &str = "own.json";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    file: Identity,
    digest: Digest,
}

/// What changes where a file's bytes do: the kernel sets `changed` by its own clock.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Identity {
    device: u64,
    inode: u64,
    /// Bytes.
    size: u64,
    /// Seconds and nanoseconds since 1970.
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Identity {
    fn of(file: &File) -> io::Result<Self> {
        let facts = file.metadata()?;
        Ok(Self {
            device: facts.dev(),
            inode: facts.ino(),
            size: facts.len(),
            modified: (facts.mtime(), facts.mtime_nsec()),
            changed: (facts.ctime(), facts.ctime_nsec()),
        })
    }
}

/// Puts this process's binary into the registry, if it is not there. Its digest.
///
/// # Errors
/// When it is linked dynamically (no container could run it), or cannot be copied.
pub(crate) fn pin(registry: &Registry) -> Result<Digest, Error> {
    let io = |action| move |source| Error::Io { action, path: PathBuf::from(OWN), source };
    let mut own = File::open(OWN).map_err(io("read"))?;
    let file = Identity::of(&own).map_err(io("look at"))?;
    if let Some(digest) = known(registry, &file).filter(|digest| path(registry, digest).exists()) {
        return Ok(digest);
    }
    let mut bytes = Vec::new();
    own.read_to_end(&mut bytes).map_err(io("read"))?;
    if !is_static(&bytes) {
        return Err(Error::Dynamic);
    }
    let digest = Digest::of(&bytes);
    let target = path(registry, &digest);
    if !target.exists() {
        let folder = registry.layout().bin();
        super::dispatch::make_folder(&folder, 0o700, None)?;
        // On disk with its name before any run's journal names it.
        write_durable_mode(&target, &bytes, 0o555)?;
    }
    let known = Known { file, digest: digest.clone() };
    replace(&registry.layout().bin().join(KNOWN), &serde_json::to_vec(&known).map_err(Error::Json)?)?;
    Ok(digest)
}

/// The digest of the binary that `file` is, if it is the one that was read last.
fn known(registry: &Registry, file: &Identity) -> Option<Digest> {
    let bytes = std::fs::read(registry.layout().bin().join(KNOWN)).ok()?;
    let known: Known = serde_json::from_slice(&bytes).ok()?;
    (known.file == *file).then_some(known.digest)
}

/// The digest of this process's binary, if it can be read. By the file itself: what is verified does not say who verifies.
pub(crate) fn own_digest() -> Option<Digest> {
    std::fs::read(OWN).ok().map(|bytes| Digest::of(&bytes))
}

/// Where the binary of this digest lies.
fn path(registry: &Registry, digest: &Digest) -> PathBuf {
    registry.layout().bin().join(digest.as_str())
}

/// Where the binary lies that the containers of this run are given.
///
/// # Errors
/// [`Error::NoContainers`] in a run that has none.
pub(crate) fn of(registry: &Registry, state: &State) -> Result<PathBuf, Error> {
    Ok(path(registry, digest(state)?))
}

/// The digest of that binary.
///
/// # Errors
/// As [`of`].
pub(crate) fn digest(state: &State) -> Result<&Digest, Error> {
    state.created.binary.as_ref().ok_or_else(|| Error::NoContainers(state.run.clone()))
}

/// Who the containers of this run are on the host.
///
/// # Errors
/// As [`of`].
pub(crate) fn users(state: &State) -> Result<Users, Error> {
    state.created.users.ok_or_else(|| Error::NoContainers(state.run.clone()))
}

/// Whether an ELF file of 64 bits asks for no interpreter (`PT_INTERP`, `elf(5)`).
#[must_use]
pub fn is_static(elf: &[u8]) -> bool {
    const PT_INTERP: u32 = 3;
    let number = |at: usize, bytes: usize| -> Option<u64> {
        let part = elf.get(at..at.checked_add(bytes)?)?;
        Some(part.iter().rev().fold(0, |sum, byte| (sum << 8) | u64::from(*byte)))
    };
    if elf.get(..5) != Some(b"\x7fELF\x02") {
        return false;
    }
    let (Some(table), Some(size), Some(count)) = (number(32, 8), number(54, 2), number(56, 2)) else { return false };
    (0..count).all(|i| {
        let at = table.checked_add(i * size).and_then(|at| usize::try_from(at).ok());
        at.and_then(|at| number(at, 4)).is_some_and(|kind| kind != u64::from(PT_INTERP))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_written_again_is_another_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("binary");
        std::fs::write(&path, "one").unwrap();
        let first = Identity::of(&File::open(&path).unwrap()).unwrap();
        assert_eq!(Identity::of(&File::open(&path).unwrap()).unwrap(), first);
        let begun = std::time::Instant::now();
        // Of the same length, and with the old time of modification; the kernel's clock ticks every few milliseconds.
        while Identity::of(&File::open(&path).unwrap()).unwrap() == first {
            assert!(begun.elapsed() < std::time::Duration::from_secs(10));
            std::fs::write(&path, "two").unwrap();
            let (seconds, rest) = first.modified;
            let before = std::time::Duration::new(seconds.unsigned_abs(), u32::try_from(rest).unwrap());
            File::options().write(true).open(&path).unwrap().set_modified(std::time::UNIX_EPOCH + before).unwrap();
        }
        let after = Identity::of(&File::open(&path).unwrap()).unwrap();
        assert_eq!((after.size, after.modified), (first.size, first.modified));
    }
}
