//! How much of the disk a workspace takes. Its owner is hostile: it may be deep, endless, closed, or change while it is
//! looked at; no link is followed, and the look is bounded. What cannot be looked at in full counts as too much.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, statat};
use rustix::io::Errno;

use super::disk;

/// The most files and folders that are looked at, and that a workspace may hold.
const MOST: u64 = 200_000;

/// How deeply folders may nest: each level on the way is a file descriptor.
const DEEPEST: usize = 256;

/// Whether `workspace` takes more than `limit` bytes of the disk, holds more than 200,000 files, or is deeper than 256
/// folders. A folder that its owner closed is opened up for the owner. A workspace that is not there takes nothing.
#[must_use]
pub fn exceeds(workspace: &Path, limit: u64) -> bool {
    let Ok(root) = disk::open_dir(workspace).or_else(|_| reopened(workspace)) else { return false };
    let mut walk = Walk { left: limit, entries: 0 };
    walk.folder(&root, 0).is_err()
}

/// The workspace itself may be closed, too; its folder is ours, so that its name is to be trusted.
fn reopened(workspace: &Path) -> std::io::Result<File> {
    let meta = workspace.symlink_metadata()?;
    if meta.is_dir() {
        std::fs::set_permissions(workspace, std::fs::Permissions::from_mode(0o700))?;
    }
    disk::open_dir(workspace)
}

/// It is too much.
struct TooMuch;

struct Walk {
    left: u64,
    entries: u64,
}

impl Walk {
    fn folder(&mut self, folder: &File, depth: usize) -> Result<(), TooMuch> {
        if depth > DEEPEST {
            return Err(TooMuch);
        }
        // Gone meanwhile: it takes nothing.
        let Ok(entries) = Dir::read_from(folder) else { return Ok(()) };
        for entry in entries {
            let Ok(entry) = entry else { return Ok(()) };
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            self.entries += 1;
            if self.entries > MOST {
                return Err(TooMuch);
            }
            let Ok(found) = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            // In blocks of 512 bytes: what is really taken, holes left out. A file of many names counts with each.
            let bytes = u64::try_from(found.st_blocks).unwrap_or(0).saturating_mul(512);
            self.left = self.left.checked_sub(bytes).ok_or(TooMuch)?;
            if FileType::from_raw_mode(found.st_mode).is_dir()
                && let Some(inner) = open(folder, name)
            {
                self.folder(&inner, depth + 1)?;
            }
        }
        Ok(())
    }
}

/// Opens a folder without following a link, closed or not; `None` if it is none any more.
fn open(folder: &File, name: &std::ffi::CStr) -> Option<File> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(folder, name, flags | OFlags::RDONLY, Mode::empty()) {
        Ok(inner) => return Some(inner.into()),
        Err(Errno::ACCESS) => {}
        Err(_) => return None,
    }
    // Not by its name, which may be a link's by now: this names the very folder.
    let closed = File::from(openat(folder, name, flags | OFlags::PATH, Mode::empty()).ok()?);
    let mode = closed.metadata().ok()?.mode() | 0o700;
    let itself = format!("/proc/self/fd/{}", closed.as_raw_fd());
    std::fs::set_permissions(itself, std::fs::Permissions::from_mode(mode & 0o777)).ok()?;
    openat(folder, name, flags | OFlags::RDONLY, Mode::empty()).ok().map(File::from)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn counts_what_is_taken_and_follows_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        assert!(!exceeds(&at("none"), 0));
        fs::create_dir_all(at("a/b/c")).unwrap();
        fs::write(at("a/b/c/file"), vec![b'x'; 1 << 20]).unwrap();
        symlink("/usr", at("a/link")).unwrap();
        symlink(folder.path(), at("a/b/loop")).unwrap();
        File::create(at("sparse")).unwrap().set_len(1 << 40).unwrap();
        fs::write(at("a/name\n\u{1b}[2J"), "x").unwrap();
        assert!(!exceeds(folder.path(), 2 << 20));
        assert!(exceeds(folder.path(), 1 << 20));
        assert!(exceeds(folder.path(), 0));
    }

    #[test]
    fn closed_folders_hide_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let closed = folder.path().join("closed");
        fs::create_dir(&closed).unwrap();
        fs::write(closed.join("file"), vec![b'x'; 1 << 20]).unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
        assert!(exceeds(folder.path(), 1 << 19));
    }

    #[test]
    fn what_is_too_deep_is_too_much() {
        let folder = tempfile::tempdir().unwrap();
        let deep = |levels: usize| {
            let path = folder.path().join(vec!["d"; levels].join("/"));
            fs::create_dir_all(path).unwrap();
            exceeds(folder.path(), u64::MAX)
        };
        assert!(!deep(200));
        assert!(deep(300));
    }
}
