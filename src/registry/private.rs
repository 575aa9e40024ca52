//! A folder on a tmpfs that is this user's alone: what lies there is on no disk, and gone after a restart.

use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// Statfs magic of tmpfs, as in `linux/magic.h`.
const TMPFS: i64 = 0x0102_1994;

/// The folder, made if it is missing; none where no tmpfs can be written.
///
/// # Errors
/// When it cannot be made, or is somebody else's: in another's folder anything can be swapped under us.
pub(crate) fn folder() -> std::io::Result<Option<PathBuf>> {
    let base = places().into_iter().find(|path| path.is_absolute() && is_tmpfs(path) && writable(path));
    let Some(folder) = base.map(|base| below(&base)) else { return Ok(None) };
    // Others go through it, to what is theirs in it, and cannot look around.
    match std::fs::DirBuilder::new().mode(0o711).create(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    match is_own(&folder) {
        true => Ok(Some(folder)),
        false => Err(std::io::Error::other(format!("{} belongs to somebody else; remove it", folder.display()))),
    }
}

/// Every such folder there is: whoever ends something may have another environment than who began it.
pub(crate) fn folders() -> impl Iterator<Item = PathBuf> {
    places().into_iter().filter(|base| base.is_absolute()).map(|base| below(&base)).filter(|folder| is_own(folder))
}

/// Where a tmpfs may be, best first.
fn places() -> Vec<PathBuf> {
    let session = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let usual = PathBuf::from(format!("/run/user/{}", on_the_machine()));
    session.into_iter().chain([usual, "/dev/shm".into(), "/run".into()]).collect()
}

fn below(base: &Path) -> PathBuf {
    base.join(format!("taskforge-{}", on_the_machine()))
}

/// Who this is to everybody: within a rootless Engine's namespace its user is 0.
fn on_the_machine() -> u32 {
    crate::user_namespace::outside(rustix::process::getuid().as_raw())
}

/// Whether a folder, and no symlink to one, is this user's.
fn is_own(folder: &Path) -> bool {
    let uid = rustix::process::geteuid().as_raw();
    folder.symlink_metadata().is_ok_and(|found| found.is_dir() && found.uid() == uid)
}

#[allow(clippy::cast_lossless, clippy::unnecessary_cast)] // the field's type differs between libcs
fn is_tmpfs(path: &Path) -> bool {
    rustix::fs::statfs(path).is_ok_and(|found| found.f_type as i64 == TMPFS)
}

fn writable(path: &Path) -> bool {
    rustix::fs::access(path, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).is_ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_a_folder_of_ones_own_is_trusted() {
        let folder = tempfile::tempdir().unwrap();
        let (own, link) = (folder.path().join("own"), folder.path().join("link"));
        std::fs::create_dir(&own).unwrap();
        std::os::unix::fs::symlink(&own, &link).unwrap();
        assert!(is_own(&own));
        assert!(!is_own(&link) && !is_own(&folder.path().join("none")));
        // Root can give a folder away; for everybody else there is one of root's.
        let other = if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&own, Some(31_337), Some(31_337)).unwrap();
            own
        } else {
            "/".into()
        };
        assert!(!is_own(&other));
    }
}
