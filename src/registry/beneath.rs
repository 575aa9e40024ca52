//! Opening what somebody else put somewhere: always below a folder of ours, never through a symlink, never waiting. The
//! kernel does the checking (`openat2`), since whoever writes there may change it between a check and a use.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags, mkdirat, openat2};
use rustix::io::Errno;

use super::error::{Error, Result};

/// Checks that `path` is relative and of plain names: no `..`, no `.`, no empty part, at most 1024 bytes.
///
/// # Errors
/// [`Error::BadPath`] with the rule it breaks.
pub fn check(path: &str) -> Result<()> {
    let bad = |why| Err(Error::BadPath { path: path.chars().take(200).collect(), why });
    if path.is_empty() {
        return bad("is empty");
    }
    if path.len() > 1024 {
        return bad("is longer than 1024 bytes");
    }
    if path.starts_with('/') {
        return bad("is absolute");
    }
    if path.chars().any(char::is_control) {
        return bad("has control characters");
    }
    for part in path.split('/') {
        match part {
            "" => return bad("has an empty part"),
            "." | ".." => return bad("must not hold `.` or `..`"),
            part if part.len() > 255 => return bad("has a part longer than 255 bytes"),
            _ => {}
        }
    }
    Ok(())
}

fn resolve() -> ResolveFlags {
    ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS
}

/// Opens `path` below `folder` for reading, whatever it is; the caller asks `fstat`. `O_NONBLOCK`: a pipe opens at once.
pub(crate) fn open(folder: impl AsFd, path: &Path) -> Result<File, Errno> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    open_with(folder, path, flags)
}

/// Opens a folder below `folder`.
pub(crate) fn open_dir(folder: impl AsFd, path: &Path) -> Result<File, Errno> {
    open_with(folder, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC)
}

fn open_with(folder: impl AsFd, path: &Path, flags: OFlags) -> Result<File, Errno> {
    for _ in 0..8 {
        match openat2(&folder, path, flags, Mode::empty(), resolve()) {
            // Somebody renamed something on the way; the kernel could not tell and asks to try again.
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other.map(File::from),
        }
    }
    Err(Errno::AGAIN)
}

/// Opens the folder `path` below `folder`, making what is missing on the way (mode 0755 less the umask).
pub(crate) fn make_dirs(folder: &File, path: &Path) -> Result<File, Errno> {
    let mut current = folder.try_clone().map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    for part in path.components() {
        let part = Path::new(part.as_os_str());
        match mkdirat(&current, part, Mode::from_raw_mode(0o755)) {
            Ok(()) => current.sync_all().map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?,
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
        current = open_dir(&current, part)?;
    }
    Ok(current)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::symlink;

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn plain_relative_paths_only() {
        for good in ["a", "a/b.md", "..a", "ä/ö"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in ["", "/a", "a//b", "a/", "../a", "a/../b", "./a", "a\0b", "a\nb", &"a".repeat(256)] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn symlinks_lead_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        symlink("/etc", folder.path().join("link")).unwrap();
        std::fs::create_dir(folder.path().join("dir")).unwrap();
        let root = File::open(folder.path()).unwrap();
        assert_eq!(open(&root, Path::new("link/passwd")).unwrap_err(), Errno::LOOP);
        assert_eq!(open(&root, Path::new("../x")).unwrap_err(), Errno::XDEV);
        assert_eq!(make_dirs(&root, Path::new("link/new")).unwrap_err(), Errno::LOOP);
        make_dirs(&root, Path::new("dir/new/er")).unwrap();
        assert!(folder.path().join("dir/new/er").is_dir());
    }

    proptest! {
        #[test]
        fn what_passes_stays_below(path in "[a./\\\\\u{0}-\u{7f}]{0,40}") {
            if check(&path).is_ok() {
                let normal = Path::new(&path).components().all(|c| matches!(c, std::path::Component::Normal(_)));
                prop_assert!(normal);
            }
        }
    }
}
