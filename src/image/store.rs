//! The fetched files, by digest: `packages/<sha256>-<filename>`. A file is hashed every time it is used; what does
//! not match is refused and left for a person to look at, never silently replaced.

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};

use super::dockerfile::requirements;
use super::error::Error;
use super::folder;
use super::lock::Lock;
use super::npm;
use super::npm_pin::Sha512;
use crate::run::id::Digest;

/// The folders that a build finds its files in.
pub(super) const KINDS: [&str; 3] = ["apt", "pip", "npm"];

/// What a file is known by.
#[derive(Clone, Copy)]
pub(super) enum Sum<'a> {
    Sha256(&'a Digest),
    /// npm's registries give no other.
    Sha512(&'a Sha512),
}

/// One file of a lock.
pub(super) struct Artifact<'a> {
    /// The one of [`KINDS`] that it is laid into for a build.
    pub(super) kind: &'static str,
    pub(super) name: &'a str,
    pub(super) filename: Cow<'a, str>,
    pub(super) sum: Sum<'a>,
    pub(super) url: Option<&'a str>,
}

impl Sum<'_> {
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Sha256(digest) => digest.as_str(),
            Self::Sha512(digest) => digest.as_str(),
        }
    }

    /// As apt writes it: `SHA256:…`.
    pub(super) fn labelled(&self) -> String {
        match self {
            Self::Sha256(digest) => format!("SHA256:{digest}"),
            Self::Sha512(digest) => format!("SHA512:{}", digest.as_str()),
        }
    }
}

impl Artifact<'_> {
    fn stored_name(&self) -> String {
        // A SHA-512 as a whole would leave too little of a directory entry for the name; the check is of all of it.
        format!("{}-{}", &self.sum.as_str()[..64], self.filename)
    }

    pub(super) fn stored(&self, packages: &Path) -> PathBuf {
        packages.join(self.stored_name())
    }

    /// Whether the file is there and is what the lock names.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if it is there and is something else.
    pub(super) fn check(&self, path: &Path) -> Result<bool, Error> {
        let found = match self.sum {
            Sum::Sha256(_) => folder::digest::<sha2::Sha256>(path)?,
            Sum::Sha512(_) => folder::digest::<sha2::Sha512>(path)?,
        };
        let expected = self.sum.as_str();
        match found {
            None => Ok(false),
            Some(found) if found == expected => Ok(true),
            Some(found) => Err(Error::Mismatch { path: path.to_owned(), expected: expected.to_owned(), found }),
        }
    }
}

/// The lock's files, each once.
pub(super) fn artifacts(lock: &Lock) -> impl Iterator<Item = Artifact<'_>> {
    let apt = lock.apt().iter().map(|a| Artifact {
        kind: "apt",
        name: &a.name,
        filename: Cow::Borrowed(&a.filename),
        sum: Sum::Sha256(&a.sha256),
        url: a.url.as_deref(),
    });
    let pip = lock.pip().iter().map(|p| Artifact {
        kind: "pip",
        name: &p.name,
        filename: Cow::Borrowed(&p.filename),
        sum: Sum::Sha256(&p.sha256),
        url: p.url.as_deref(),
    });
    let mut seen = std::collections::BTreeSet::new();
    let npm = lock.npm().iter().filter(move |n| seen.insert(n.filename())).map(|n| Artifact {
        kind: "npm",
        name: &n.name,
        filename: Cow::Owned(n.filename()),
        sum: Sum::Sha512(&n.sha512),
        url: n.url.as_deref(),
    });
    apt.chain(pip).chain(npm)
}

/// The names of a lock's files in the store.
pub fn stored_names(lock: &Lock) -> impl Iterator<Item = String> {
    artifacts(lock).map(|artifact| artifact.stored_name())
}

/// Lays the lock's files out as a build wants them, beside each other in `into`: `apt/…`, `pip/…`, `npm/…`,
/// `requirements.txt` and `npm.txt`. The files are links to the stored ones where the file system allows.
///
/// # Errors
/// [`Error::Mismatch`] if a stored file is not what the lock names, [`Error::NotDelivered`] if it is
/// absent, [`Error::File`].
pub fn stage(lock: &Lock, packages: &Path, into: &Path) -> Result<(), Error> {
    folder::make_empty(into)?;
    for kind in KINDS {
        folder::make_empty(&into.join(kind))?;
    }
    for artifact in artifacts(lock) {
        let stored = artifact.stored(packages);
        if !artifact.check(&stored)? {
            return Err(Error::NotDelivered { filename: artifact.filename.into_owned() });
        }
        let laid = into.join(artifact.kind).join(&*artifact.filename);
        if fs::hard_link(&stored, &laid).is_err() {
            fs::copy(&stored, &laid).map_err(Error::file("copy", &stored))?;
        }
    }
    for (name, text) in [("requirements.txt", requirements(lock)), ("npm.txt", npm::tree(lock))] {
        let path = into.join(name);
        fs::write(&path, text).map_err(Error::file("write", &path))?;
    }
    Ok(())
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
