//! The binary that a run's containers are given: this one, pinned under its digest, so that an upgrade never mixes
//! versions inside a run.

use std::io::Read as _;
use std::path::PathBuf;

use crate::registry::Registry;
use crate::registry::project::write_durable_mode;
use crate::run::definition::Users;
use crate::run::id::Digest;
use crate::run::state::State;

use super::error::Error;

/// Puts this process's binary into the registry, if it is not there. Its digest.
///
/// # Errors
/// When it is linked dynamically (no container could run it), or cannot be copied.
pub(crate) fn pin(registry: &Registry) -> Result<Digest, Error> {
    let own = PathBuf::from("/proc/self/exe");
    let io = |action| {
        let path = own.clone();
        move |source| Error::Io { action, path, source }
    };
    let mut bytes = Vec::new();
    std::fs::File::open(&own).and_then(|mut file| file.read_to_end(&mut bytes)).map_err(io("read"))?;
    if !is_static(&bytes) {
        return Err(Error::Dynamic);
    }
    let digest = Digest::of(&bytes);
    let target = path(registry, &digest);
    if target.exists() {
        return Ok(digest);
    }
    let folder = registry.layout().bin();
    super::dispatch::make_folder(&folder, 0o700, None)?;
    // On disk with its name before any run's journal names it.
    write_durable_mode(&target, &bytes, 0o555)?;
    Ok(digest)
}

/// The digest of this process's binary, if it can be read.
pub(crate) fn own_digest() -> Option<Digest> {
    std::fs::read("/proc/self/exe").ok().map(|bytes| Digest::of(&bytes))
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
    let digest = state.created.binary.as_ref().ok_or_else(|| Error::NoContainers(state.run.clone()))?;
    Ok(path(registry, digest))
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
