//! Copying files across the border: a container's declared outputs into the run, a person's inputs into the run. The
//! source is hostile: it may be a symlink, a pipe, endless, or change while it is read.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use super::error::{Error, Result};
use super::project::{Staged, parent, write_all};
use super::{beneath, disk};
use crate::run::id::Digest;

/// A file that was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collected {
    pub path: PathBuf,
    pub digest: Digest,
    pub bytes: u64,
}

/// Why a declared output was not copied. For people and for the attempt's record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("is missing")]
    Missing,
    #[error("is a symlink, or lies behind one")]
    Symlink,
    #[error("is a {0}, not a regular file")]
    NotAFile(&'static str),
    #[error("is larger than {limit} bytes")]
    TooLarge { limit: u64 },
    #[error("is empty")]
    Empty,
    #[error("cannot be read: {0}")]
    Unreadable(String),
    #[error("lies outside of what a node may write")]
    Forbidden,
}

/// Copies the file `rel` of the workspace to `rel` below `node`, the node's folder; on disk when it returns. At most
/// `limit` bytes.
///
/// # Errors
/// Those of our own side. What is wrong with the output is the inner result.
pub fn collect(workspace: &Path, rel: &str, node: &Path, limit: u64) -> Result<Result<Collected, Refusal>> {
    // `nodes/<id>/workspace` and `attempts` are not for outputs: the one is the container's, the other ours.
    let first = rel.split('/').next().unwrap_or_default();
    if beneath::check(rel).is_err() || matches!(first, "workspace" | "attempts") {
        return Ok(Err(Refusal::Forbidden));
    }
    let folder = match disk::open_dir(workspace) {
        Ok(folder) => folder,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Err(Refusal::Missing)),
        // Its owner is the container's user, who may do this to any folder: no failure of ours.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Ok(Err(Refusal::Unreadable("the workspace is closed to everybody".to_owned())));
        }
        Err(error) => return Err(Error::io("open the workspace", workspace)(error)),
    };
    let mut source = match open_source(&folder, Path::new(rel), limit) {
        Ok(source) => source,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let target = node.join(rel);
    let into = parent(&target)?;
    let below = into.strip_prefix(node).unwrap_or(Path::new(""));
    let node_folder = disk::open_dir(node).map_err(Error::io("open", node))?;
    beneath::make_dirs(&node_folder, below).map_err(Error::errno("create", into))?;
    copy(&mut source, &target, limit)
}

/// Copies `source`, a file of the person who starts the run, to `target`, whose folder exists; on disk when it returns.
///
/// # Errors
/// Those of the file system and of what `source` is: only a regular file of at most `limit` bytes is copied. A symlink is
/// followed here, since the person named it.
pub fn copy_input(source: &Path, target: &Path, limit: u64) -> Result<Collected> {
    let real = source.canonicalize().map_err(Error::io("find", source))?;
    let mut file = disk::open_read(&real).map_err(Error::io("open", source))?;
    let bytes = file.metadata().map_err(Error::io("read", source))?.len();
    if bytes > limit {
        return Err(Error::TooLarge { path: source.to_owned(), bytes, limit });
    }
    match copy_any(&mut file, target, limit)? {
        Ok(collected) => Ok(collected),
        Err(Refusal::TooLarge { .. }) => Err(Error::TooLarge { path: source.to_owned(), bytes: limit + 1, limit }),
        Err(refusal) => Err(Error::io("read", source)(io::Error::other(refusal))),
    }
}

/// Copies `source`, a file that was found in a folder where others write, to `target`: only what still holds `digest`. No
/// link is followed from that folder on, since whoever writes there may not read what it leads to.
///
/// # Errors
/// As for [`copy_input`]; when it holds something else, is a symlink, or is gone.
pub fn copy_found(source: &Path, digest: &Digest, target: &Path, limit: u64) -> Result<Collected> {
    let unreadable = |why: String| Error::io("read", source)(io::Error::other(why));
    let (Some(folder), Some(name)) = (source.parent(), source.file_name()) else {
        return Err(unreadable("it has no name".to_owned()));
    };
    let folder = folder.canonicalize().and_then(|folder| disk::open_dir(&folder)).map_err(Error::io("find", source))?;
    let copied = match open_source(&folder, Path::new(name), limit) {
        Ok(mut file) => copy_any(&mut file, target, limit)?,
        Err(Refusal::Missing) => return Err(Error::io("find", source)(io::ErrorKind::NotFound.into())),
        Err(Refusal::Empty) if *digest == Digest::of(b"") => copy_any(&mut io::empty(), target, limit)?,
        Err(refusal) => Err(refusal),
    };
    match copied {
        Ok(copied) if copied.digest == *digest => Ok(copied),
        Ok(_) => Err(unreadable("it changed while it was looked at".to_owned())),
        Err(refusal) => Err(unreadable(format!("it {refusal}"))),
    }
}

fn open_source(folder: &File, rel: &Path, limit: u64) -> Result<File, Refusal> {
    let file = beneath::open(folder, rel).map_err(|errno| match errno {
        Errno::NOENT | Errno::NOTDIR => Refusal::Missing,
        Errno::LOOP => Refusal::Symlink,
        Errno::XDEV => Refusal::Forbidden,
        Errno::NXIO => Refusal::NotAFile("socket"),
        errno => Refusal::Unreadable(errno.to_string()),
    })?;
    let metadata = file.metadata().map_err(|error| Refusal::Unreadable(error.to_string()))?;
    let kind = metadata.file_type();
    if !kind.is_file() {
        return Err(Refusal::NotAFile(if kind.is_dir() {
            "folder"
        } else if kind.is_fifo() {
            "pipe"
        } else {
            "device"
        }));
    }
    match metadata.len() {
        0 => Err(Refusal::Empty),
        bytes if bytes > limit => Err(Refusal::TooLarge { limit }),
        _ => Ok(file),
    }
}

fn copy(source: &mut File, target: &Path, limit: u64) -> Result<Result<Collected, Refusal>> {
    let copied = copy_any(source, target, limit)?;
    // Emptied between our look and our reading.
    Ok(copied.and_then(|collected| if collected.bytes == 0 { Err(Refusal::Empty) } else { Ok(collected) }))
}

fn copy_any(source: &mut impl Read, target: &Path, limit: u64) -> Result<Result<Collected, Refusal>> {
    let folder = parent(target)?;
    let staged = Staged::create(target, 0o644)?;
    let mut hash = Sha256::new();
    let mut bytes = 0_u64;
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Ok(Err(Refusal::Unreadable(error.to_string()))),
        };
        bytes += count as u64;
        // It may have grown since we asked for its length.
        if bytes > limit {
            return Ok(Err(Refusal::TooLarge { limit }));
        }
        hash.update(&buffer[..count]);
        write_all(&staged.file, &staged.path, &buffer[..count]).map_err(Error::io("write", target))?;
    }
    disk::sync(&staged.file, &staged.path).map_err(Error::io("sync", target))?;
    disk::rename(&staged.path, target).map_err(Error::io("replace", target))?;
    staged.keep();
    disk::sync_dir(folder).map_err(Error::io("sync", folder))?;
    Ok(Ok(Collected { path: target.to_owned(), digest: Digest::from_bytes(&hash.finalize().into()), bytes }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    struct Case {
        _folder: tempfile::TempDir,
        workspace: PathBuf,
        node: PathBuf,
    }

    fn case() -> Case {
        let folder = tempfile::tempdir().unwrap();
        let node = folder.path().join("node");
        let workspace = node.join("workspace");
        fs::create_dir_all(workspace.join("out")).unwrap();
        Case { workspace, node, _folder: folder }
    }

    impl Case {
        fn collect(&self, rel: &str) -> Result<Collected, Refusal> {
            collect(&self.workspace, rel, &self.node, 1000).unwrap()
        }
    }

    #[test]
    fn a_file_and_a_file_in_a_folder() {
        let case = case();
        fs::write(case.workspace.join("report.md"), "report").unwrap();
        fs::write(case.workspace.join("out/chart.svg"), "chart").unwrap();
        let report = case.collect("report.md").unwrap();
        assert_eq!((report.bytes, report.digest), (6, Digest::of(b"report")));
        assert_eq!(fs::read(case.node.join("report.md")).unwrap(), b"report");
        case.collect("out/chart.svg").unwrap();
        fs::write(case.workspace.join("out/chart.svg"), "second").unwrap();
        case.collect("out/chart.svg").unwrap();
        assert_eq!(fs::read(case.node.join("out/chart.svg")).unwrap(), b"second");
        assert_eq!(fs::read_dir(case.node.join("out")).unwrap().count(), 1);
    }

    #[test]
    fn everything_else_is_refused_with_its_reason() {
        let case = case();
        let at = |name: &str| case.workspace.join(name);
        symlink("/etc/passwd", at("link")).unwrap();
        symlink("/etc", at("folder-link")).unwrap();
        symlink("dangling", at("dangling")).unwrap();
        mknodat(CWD, at("pipe"), FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();
        let _socket = UnixListener::bind(at("socket")).unwrap();
        fs::write(at("empty"), "").unwrap();
        fs::write(at("large"), [0; 1001]).unwrap();
        File::create(at("sparse")).unwrap().set_len(1 << 40).unwrap();
        fs::write(at("fits"), [0; 1000]).unwrap();
        for (rel, refusal) in [
            ("none", Refusal::Missing),
            ("none/deeper", Refusal::Missing),
            ("fits/deeper", Refusal::Missing),
            ("link", Refusal::Symlink),
            ("dangling", Refusal::Symlink),
            ("folder-link/passwd", Refusal::Symlink),
            ("pipe", Refusal::NotAFile("pipe")),
            ("socket", Refusal::NotAFile("socket")),
            ("out", Refusal::NotAFile("folder")),
            ("empty", Refusal::Empty),
            ("large", Refusal::TooLarge { limit: 1000 }),
            ("sparse", Refusal::TooLarge { limit: 1000 }),
            ("../secret", Refusal::Forbidden),
            ("/etc/passwd", Refusal::Forbidden),
            ("", Refusal::Forbidden),
            ("workspace/x", Refusal::Forbidden),
            ("attempts/1/exit.json", Refusal::Forbidden),
        ] {
            assert_eq!(case.collect(rel).unwrap_err(), refusal, "{rel}");
        }
        assert!(case.collect("fits").is_ok());
        let names: Vec<_> = fs::read_dir(&case.node).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "{names:?}");
    }

    #[test]
    fn a_planted_link_at_the_target_is_not_followed() {
        let case = case();
        fs::write(case.workspace.join("report.md"), "report").unwrap();
        let victim = case.node.join("victim");
        fs::write(&victim, "victim").unwrap();
        symlink(&victim, case.node.join("report.md")).unwrap();
        case.collect("report.md").unwrap();
        assert_eq!(fs::read(&victim).unwrap(), b"victim");
        fs::write(case.workspace.join("out/x"), "x").unwrap();
        symlink("/tmp", case.node.join("out")).unwrap();
        assert!(collect(&case.workspace, "out/x", &case.node, 1000).is_err());
    }

    #[test]
    fn inputs() {
        let case = case();
        let (source, target) = (case.node.join("sales.csv"), case.node.join("copy.csv"));
        fs::write(&source, "a,b\n").unwrap();
        assert_eq!(copy_input(&source, &target, 100).unwrap().bytes, 4);
        assert!(matches!(copy_input(&source, &target, 3), Err(Error::TooLarge { .. })));
        assert!(copy_input(&case.workspace, &target, 100).is_err());
        assert!(copy_input(Path::new("/dev/zero"), &target, 100).is_err());
        assert_eq!(fs::read(&target).unwrap(), b"a,b\n");
    }

    #[test]
    fn a_file_that_was_found_is_copied_only_as_it_was_found() {
        let case = case();
        let (source, target) = (case.workspace.join("found.csv"), case.node.join("copy"));
        let secret = case.node.join("secret");
        fs::write(&source, "found").unwrap();
        fs::write(&secret, "secret").unwrap();
        let digest = Digest::of(b"found");
        assert_eq!(copy_found(&source, &digest, &target, 100).unwrap().bytes, 5);
        // Somebody wrote to it, made it too large, or put a link into its place, even to the same bytes.
        fs::write(&source, "other").unwrap();
        assert!(copy_found(&source, &digest, &target, 100).unwrap_err().to_string().contains("changed"));
        assert!(copy_found(&source, &Digest::of(b"other"), &target, 4).is_err());
        fs::remove_file(&source).unwrap();
        assert!(matches!(copy_found(&source, &digest, &target, 100), Err(Error::Io { source, .. })
            if source.kind() == io::ErrorKind::NotFound));
        symlink(&secret, &source).unwrap();
        let refused = copy_found(&source, &Digest::of(b"secret"), &target, 100).unwrap_err();
        assert!(refused.to_string().contains("symlink"), "{refused}");
        fs::remove_file(&source).unwrap();
        fs::write(&source, "").unwrap();
        assert_eq!(copy_found(&source, &Digest::of(b""), &target, 100).unwrap().bytes, 0);
        // The folder is the operator's, and may be a link of theirs.
        let link = case.node.join("link");
        symlink(&case.workspace, &link).unwrap();
        assert!(copy_found(&link.join("found.csv"), &Digest::of(b""), &target, 100).is_ok());
    }
}
