//! Opening what lies beneath a folder, whatever links lead out of it. This keeps a model from being surprised by what
//! it reads and writes; it is no wall, since the shell beside it can open whatever the container holds.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, mkdirat, openat, openat2};
use rustix::io::Errno;

const FOLDER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// A folder that paths are resolved beneath.
#[derive(Debug)]
pub(crate) struct Beneath {
    root: OwnedFd,
}

impl Beneath {
    pub(crate) fn open(root: &Path) -> Result<Self, Errno> {
        Ok(Self { root: openat(CWD, root, FOLDER, Mode::empty())? })
    }

    /// Opens `path`, which has only plain components. A link that leads out is `EXDEV` or `ELOOP`.
    pub(crate) fn file(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        open_at(&self.root, path, flags | OFlags::CLOEXEC)
    }

    /// Makes the folders that `path` lies in.
    pub(crate) fn make_parents(&self, path: &Path) -> Result<(), Errno> {
        let mut above = Vec::new();
        for parent in path.ancestors().skip(1).filter(|parent| !parent.as_os_str().is_empty()) {
            above.push(parent);
        }
        for folder in above.into_iter().rev() {
            match open_at(&self.root, folder, FOLDER) {
                Ok(_) => continue,
                Err(Errno::NOENT) => {}
                Err(error) => return Err(error),
            }
            let name = folder.file_name().unwrap_or(OsStr::new("."));
            let made = match folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                // Made through its parent's descriptor, so that no link on the way is followed out.
                Some(parent) => mkdirat(open_at(&self.root, parent, FOLDER)?, name, Mode::from_raw_mode(0o777)),
                None => mkdirat(&self.root, name, Mode::from_raw_mode(0o777)),
            };
            match made {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn open_at(root: &OwnedFd, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let mode = if flags.contains(OFlags::CREATE) { Mode::from_raw_mode(0o666) } else { Mode::empty() };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    match openat2(root, path, flags, mode, resolve) {
        // Runtimes and seccomp profiles that do not know the call answer with either.
        Err(Errno::NOSYS | Errno::PERM) => step_by_step(root, path, flags, mode),
        other => other,
    }
}

/// Without `openat2`: one component at a time, following no link at all.
fn step_by_step(root: &OwnedFd, path: &Path, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    let mut components: Vec<&OsStr> = path.iter().collect();
    let Some(last) = components.pop() else { return Err(Errno::INVAL) };
    let mut folder: Option<OwnedFd> = None;
    for component in components {
        let at = folder.as_ref().map_or(root.as_fd(), AsFd::as_fd);
        folder = Some(openat(at, component, FOLDER | OFlags::NOFOLLOW, Mode::empty())?);
    }
    let at = folder.as_ref().map_or(root.as_fd(), AsFd::as_fd);
    openat(at, last, flags | OFlags::NOFOLLOW, mode)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn both_ways_stay_beneath() {
        let folder = tempfile::tempdir().unwrap();
        let (root, outside) = (folder.path().join("root"), folder.path().join("outside"));
        std::fs::create_dir_all(root.join("a")).unwrap();
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("secret"), "x").unwrap();
        std::fs::write(root.join("a/file"), "x").unwrap();
        symlink(&outside, root.join("out")).unwrap();
        symlink(outside.join("secret"), root.join("a/secret")).unwrap();
        symlink("../outside/secret", root.join("relative")).unwrap();

        let beneath = Beneath::open(&root).unwrap();
        let read = OFlags::RDONLY | OFlags::CLOEXEC;
        assert!(beneath.file(Path::new("a/file"), read).is_ok());
        assert!(step_by_step(&beneath.root, Path::new("a/file"), read, Mode::empty()).is_ok());
        for escape in ["out/secret", "a/secret", "relative"] {
            assert!(beneath.file(Path::new(escape), read).is_err(), "{escape}");
            assert!(step_by_step(&beneath.root, Path::new(escape), read, Mode::empty()).is_err(), "{escape}");
        }
        assert!(beneath.make_parents(Path::new("out/new/file")).is_err());
        assert!(!outside.join("new").exists());
        beneath.make_parents(Path::new("x/y/z/file")).unwrap();
        assert!(root.join("x/y/z").is_dir() && !root.join("x/y/z/file").exists());
    }
}
