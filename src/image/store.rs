//! The fetched files, by digest: `packages/<sha256>-<filename>`. A file is hashed every time it is used; what does
//! not match is refused and left for a person to look at, never silently replaced.

use std::fs;
use std::path::{Path, PathBuf};

use super::dockerfile::requirements;
use super::error::Error;
use super::folder;
use super::lock::Lock;
use crate::run::id::Digest;

/// One file of a lock.
pub(super) struct Artifact<'a> {
    /// `apt` or `pip`: the folder it is laid into for a build.
    pub(super) kind: &'static str,
    pub(super) name: &'a str,
    pub(super) filename: &'a str,
    pub(super) sha256: &'a Digest,
    pub(super) url: Option<&'a str>,
}

impl Artifact<'_> {
    pub(super) fn stored(&self, packages: &Path) -> PathBuf {
        packages.join(format!("{}-{}", self.sha256, self.filename))
    }

    /// Whether the file is there and is what the lock names.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if it is there and is something else.
    pub(super) fn check(&self, path: &Path) -> Result<bool, Error> {
        match folder::digest(path)? {
            None => Ok(false),
            Some(found) if found == *self.sha256 => Ok(true),
            Some(found) => Err(Error::Mismatch {
                path: path.to_owned(),
                expected: self.sha256.to_string(),
                found: found.to_string(),
            }),
        }
    }
}

pub(super) fn artifacts(lock: &Lock) -> impl Iterator<Item = Artifact<'_>> {
    let apt = lock.apt().iter().map(|a| Artifact {
        kind: "apt",
        name: &a.name,
        filename: &a.filename,
        sha256: &a.sha256,
        url: a.url.as_deref(),
    });
    let pip = lock.pip().iter().map(|p| Artifact {
        kind: "pip",
        name: &p.name,
        filename: &p.filename,
        sha256: &p.sha256,
        url: p.url.as_deref(),
    });
    apt.chain(pip)
}

/// The names of a lock's files in the store.
pub fn stored_names(lock: &Lock) -> impl Iterator<Item = String> {
    artifacts(lock).map(|artifact| format!("{}-{}", artifact.sha256, artifact.filename))
}

/// Lays the lock's files out as a build wants them, beside each other in `into`: `apt/…`, `pip/…` and
/// `requirements.txt`. The files are links to the stored ones where the file system allows.
///
/// # Errors
/// [`Error::Mismatch`] if a stored file is not what the lock names, [`Error::NotDelivered`] if it is
/// absent, [`Error::File`].
pub fn stage(lock: &Lock, packages: &Path, into: &Path) -> Result<(), Error> {
    folder::make_empty(into)?;
    for kind in ["apt", "pip"] {
        folder::make_empty(&into.join(kind))?;
    }
    for artifact in artifacts(lock) {
        let stored = artifact.stored(packages);
        if !artifact.check(&stored)? {
            return Err(Error::NotDelivered { filename: artifact.filename.to_owned() });
        }
        let laid = into.join(artifact.kind).join(artifact.filename);
        if fs::hard_link(&stored, &laid).is_err() {
            fs::copy(&stored, &laid).map_err(Error::file("copy", &stored))?;
        }
    }
    let path = into.join("requirements.txt");
    fs::write(&path, requirements(lock)).map_err(Error::file("write", &path))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::lock::tests::pip;
    use super::*;

    fn one(body: &[u8]) -> (tempfile::TempDir, Lock, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let mut pin = pip("a", "1");
        pin.sha256 = Digest::of(body);
        let stored = folder.path().join(format!("{}-{}", pin.sha256, pin.filename));
        (folder, Lock::new(vec![pin], vec![]).unwrap(), stored)
    }

    #[test]
    fn lays_out_what_the_lock_names() {
        let (folder, lock, stored) = one(b"wheel");
        fs::write(&stored, b"wheel").unwrap();
        let into = folder.path().join("staged");
        stage(&lock, folder.path(), &into).unwrap();
        stage(&lock, folder.path(), &into).unwrap();
        assert_eq!(fs::read(into.join("pip/a-1-py3-none-any.whl")).unwrap(), b"wheel");
        let text = fs::read_to_string(into.join("requirements.txt")).unwrap();
        assert_eq!(text, format!("a==1 --hash=sha256:{}\n", Digest::of(b"wheel")));
    }

    #[test]
    fn refuses_another_file() {
        let (folder, lock, stored) = one(b"wheel");
        let into = folder.path().join("staged");
        assert!(matches!(stage(&lock, folder.path(), &into), Err(Error::NotDelivered { .. })));
        fs::write(&stored, b"other").unwrap();
        assert!(matches!(stage(&lock, folder.path(), &into), Err(Error::Mismatch { .. })));
        assert!(stored.exists(), "evidence is left");
    }

    #[test]
    fn refuses_links_and_pipes() {
        let (folder, lock, stored) = one(b"wheel");
        let into = folder.path().join("staged");
        let target = folder.path().join("target");
        fs::write(&target, b"wheel").unwrap();
        std::os::unix::fs::symlink(&target, &stored).unwrap();
        assert!(matches!(stage(&lock, folder.path(), &into), Err(Error::File { .. })));
        fs::remove_file(&stored).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &stored, rustix::fs::FileType::Fifo, 0o644.into(), 0).unwrap();
        assert!(matches!(stage(&lock, folder.path(), &into), Err(Error::File { .. })));
    }
}
