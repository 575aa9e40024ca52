//! The files of a folder as a set: what is deployed. The folder belongs to an agent that may still be at work, so
//! whatever is read there is hostile: nothing is followed, everything is bounded, and what is copied is what is hashed.

use std::ffi::OsStr;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Dir, FileType};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};
use thiserror::Error as ThisError;

use super::error::{Error, Result};
use super::{beneath, disk};
use crate::run::deployment::{DeployedFile, is_plain};
use crate::run::id::Digest;
use crate::run::visible::visible_line;

/// A person reads the whole list before deciding.
pub const MOST_FILES: usize = 1000;
const MOST_FOLDERS: usize = 1000;
/// All files together, in bytes.
pub const LARGEST: u64 = 256 << 20;
/// How deep folders may lie in each other.
const DEEPEST: usize = 32;
/// What the name of a copy begins with that is not whole yet.
const STAGED: &[u8] = b".new-";

/// Why the files of a folder cannot be deployed. For the agent and for a person.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
pub enum Unfit {
    #[error("there is no folder {0} in the workspace")]
    Absent(String),
    #[error("{0} is a symlink, or lies behind one: deploy files only")]
    Link(String),
    #[error("{0} is neither a file nor a folder")]
    Special(String),
    #[error("the name {0:?} holds a character that is not shown as itself, or is too long")]
    Name(String),
    #[error(
        "there are more than {MOST_FILES} files, or {MOST_FOLDERS} folders, or more than {DEEPEST} within each other"
    )]
    TooMany,
    #[error("the files are larger than {LARGEST} bytes together")]
    TooLarge,
    #[error("there are no files")]
    Empty,
    #[error("{path} cannot be read: {reason}")]
    Unreadable { path: String, reason: String },
    #[error("{0} changed while it was read")]
    Changed(String),
}

/// Looks at all files of the folder `rel` (`.` for all) of `workspace`, sorted by path.
///
/// # Errors
/// Those of our own side. What is wrong with the files is the inner result.
pub fn look(workspace: &Path, rel: &str) -> Result<std::result::Result<Vec<DeployedFile>, Unfit>> {
    walk(workspace, rel, None)
}

/// Copies them into `target`, which is there whole or not at all, in place of what was there. The copy is ours: anyone may
/// read it, nobody but us may change it.
///
/// # Errors
/// As [`look`].
pub fn copy(workspace: &Path, rel: &str, target: &Path) -> Result<std::result::Result<Vec<DeployedFile>, Unfit>> {
    let folder = super::project::parent(target)?;
    // What a copy left behind that was ended in between.
    for entry in std::fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let entry = entry.map_err(Error::io("list", folder))?;
        if entry.file_name().as_bytes().starts_with(STAGED) {
            remove(&entry.path())?;
        }
    }
    let staged = folder.join(format!(".new-{}", ulid::Ulid::generate()));
    make_dir(&staged)?;
    let copied = walk(workspace, rel, Some(&staged));
    if matches!(copied, Ok(Ok(_))) {
        remove(target)?;
        disk::rename(&staged, target).map_err(Error::io("replace", target))?;
        disk::sync_dir(folder).map_err(Error::io("sync", folder))?;
    } else {
        remove(&staged)?;
    }
    copied
}

/// Removes the folder `target`, which need not be there.
///
/// # Errors
/// Those of the file system.
pub fn remove(target: &Path) -> Result<()> {
    match std::fs::remove_dir_all(target) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", target)(error)),
        _ => Ok(()),
    }
}

struct Walk<'a> {
    /// Where copies go, if they are made.
    into: Option<&'a Path>,
    files: Vec<DeployedFile>,
    folders: usize,
    bytes: u64,
}

/// What stops a walk: what is there, or our own side.
enum Stop {
    Unfit(Unfit),
    Ours(Error),
}

impl From<Unfit> for Stop {
    fn from(unfit: Unfit) -> Self {
        Self::Unfit(unfit)
    }
}

fn walk(workspace: &Path, rel: &str, into: Option<&Path>) -> Result<std::result::Result<Vec<DeployedFile>, Unfit>> {
    let shown = visible_line(rel, 200);
    let top = match disk::open_dir(workspace) {
        Ok(top) => top,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Err(Unfit::Absent(shown))),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Ok(Err(Unfit::Unreadable { path: shown, reason: "the workspace is closed".to_owned() }));
        }
        Err(error) => return Err(Error::io("open", workspace)(error)),
    };
    let top = match rel {
        "." => top,
        rel if beneath::check(rel).is_err() => return Ok(Err(Unfit::Absent(shown))),
        rel => match beneath::open_dir(&top, Path::new(rel)) {
            Ok(folder) => folder,
            Err(errno) => return Ok(Err(unfit(&shown, errno))),
        },
    };
    let mut walk = Walk { into, files: Vec::new(), folders: 0, bytes: 0 };
    match walk.folder(&top, "", 0) {
        Ok(()) if walk.files.is_empty() => Ok(Err(Unfit::Empty)),
        Ok(()) => {
            walk.files.sort_by(|a, b| a.path.cmp(&b.path));
            Ok(Ok(walk.files))
        }
        Err(Stop::Unfit(unfit)) => Ok(Err(unfit)),
        Err(Stop::Ours(error)) => Err(error),
    }
}

fn unfit(path: &str, errno: Errno) -> Unfit {
    match errno {
        Errno::NOENT | Errno::NOTDIR => Unfit::Absent(path.to_owned()),
        Errno::LOOP => Unfit::Link(path.to_owned()),
        errno => Unfit::Unreadable { path: path.to_owned(), reason: errno.to_string() },
    }
}

impl Walk<'_> {
    fn folder(&mut self, folder: &File, path: &str, depth: usize) -> std::result::Result<(), Stop> {
        self.folders += 1;
        if depth > DEEPEST || self.folders > MOST_FOLDERS {
            return Err(Unfit::TooMany.into());
        }
        let shown = if path.is_empty() { "." } else { path };
        let entries = Dir::read_from(folder).map_err(|errno| unfit(shown, errno))?;
        for entry in entries {
            let entry = entry.map_err(|errno| unfit(shown, errno))?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            let text = std::str::from_utf8(name).ok().filter(|text| is_plain(text) && text.len() <= 255);
            let Some(text) = text else {
                return Err(Unfit::Name(visible_line(&String::from_utf8_lossy(name), 80)).into());
            };
            let path = if path.is_empty() { text.to_owned() } else { format!("{path}/{text}") };
            if path.len() > 1024 {
                return Err(Unfit::Name(path.chars().take(80).collect()).into());
            }
            let name = Path::new(OsStr::from_bytes(name));
            // Opened first and asked then: what it was a moment before says nothing.
            let file = beneath::open(folder, name).map_err(|errno| match errno {
                Errno::NXIO => Unfit::Special(path.clone()),
                Errno::NOENT => Unfit::Changed(path.clone()),
                errno => unfit(&path, errno),
            })?;
            let found = file.metadata().map_err(|error| unreadable(&path, &error))?;
            match FileType::from_raw_mode(found.mode()) {
                FileType::Directory => {
                    if let Some(into) = self.into {
                        make_dir(&into.join(&path)).map_err(Stop::Ours)?;
                    }
                    self.folder(&file, &path, depth + 1)?;
                }
                FileType::RegularFile => self.file(file, path, &found)?,
                _ => return Err(Unfit::Special(path).into()),
            }
        }
        if let Some(into) = self.into {
            let folder = into.join(path);
            disk::sync_dir(&folder).map_err(|error| Stop::Ours(Error::io("sync", &folder)(error)))?;
        }
        Ok(())
    }

    fn file(&mut self, mut file: File, path: String, found: &std::fs::Metadata) -> std::result::Result<(), Stop> {
        if self.files.len() >= MOST_FILES {
            return Err(Unfit::TooMany.into());
        }
        let executable = found.mode() & 0o111 != 0;
        let left = LARGEST - self.bytes;
        if found.len() > left {
            return Err(Unfit::TooLarge.into());
        }
        let mut copy = match self.into {
            Some(into) => Some(create(&into.join(&path), executable).map_err(Stop::Ours)?),
            None => None,
        };
        let (mut hash, mut bytes, mut buffer) = (Sha256::new(), 0_u64, vec![0; 1 << 16]);
        loop {
            let count = match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(unreadable(&path, &error).into()),
            };
            bytes += count as u64;
            // It may grow while it is read.
            if bytes > left {
                return Err(Unfit::TooLarge.into());
            }
            hash.update(&buffer[..count]);
            if let Some((target, copy)) = &mut copy {
                copy.write_all(&buffer[..count]).map_err(|error| Stop::Ours(Error::io("write", &*target)(error)))?;
            }
        }
        if let Some((target, copy)) = copy {
            copy.sync_all().map_err(|error| Stop::Ours(Error::io("sync", &target)(error)))?;
        }
        self.bytes += bytes;
        let sha256 = Digest::from_bytes(&hash.finalize().into());
        self.files.push(DeployedFile { path, executable, bytes, sha256 });
        Ok(())
    }
}

fn unreadable(path: &str, error: &io::Error) -> Unfit {
    Unfit::Unreadable { path: path.to_owned(), reason: error.to_string() }
}

/// A folder of ours that anyone may look into, whatever the umask says.
fn make_dir(path: &Path) -> Result<()> {
    DirBuilder::new().mode(0o755).create(path).map_err(Error::io("create", path))?;
    std::fs::set_permissions(path, Permissions::from_mode(0o755)).map_err(Error::io("set the mode of", path))
}

fn create(path: &Path, executable: bool) -> Result<(PathBuf, File)> {
    let mode = if executable { 0o755 } else { 0o644 };
    let file =
        OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(Error::io("create", path))?;
    file.set_permissions(Permissions::from_mode(mode)).map_err(Error::io("set the mode of", path))?;
    Ok((path.to_owned(), file))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use rustix::fs::{CWD, Mode, mknodat};

    use super::*;

    struct Case {
        folder: tempfile::TempDir,
    }

    fn case() -> Case {
        let case = Case { folder: tempfile::tempdir().unwrap() };
        fs::create_dir_all(case.at("site/css")).unwrap();
        fs::write(case.at("site/index.html"), "<p>").unwrap();
        fs::write(case.at("site/css/a.css"), "").unwrap();
        fs::write(case.at("site/run"), "#!/bin/sh\n").unwrap();
        fs::set_permissions(case.at("site/run"), Permissions::from_mode(0o4711)).unwrap();
        case
    }

    impl Case {
        fn at(&self, path: &str) -> PathBuf {
            self.folder.path().join("workspace").join(path)
        }

        fn look(&self, rel: &str) -> std::result::Result<Vec<DeployedFile>, Unfit> {
            look(&self.at(""), rel).unwrap()
        }
    }

    #[test]
    fn every_file_with_its_path_mode_size_and_digest() {
        let case = case();
        let files = case.look("site").unwrap();
        let rows: Vec<_> = files.iter().map(|file| (file.path.as_str(), file.mode(), file.bytes)).collect();
        assert_eq!(rows, [("css/a.css", 0o644, 0), ("index.html", 0o644, 3), ("run", 0o755, 10)]);
        assert_eq!(files[1].sha256, Digest::of(b"<p>"));
        let all: Vec<_> = case.look(".").unwrap().into_iter().map(|file| file.path).collect();
        assert_eq!(all, ["site/css/a.css", "site/index.html", "site/run"]);
    }

    #[test]
    fn a_copy_is_what_was_looked_at_and_keeps_nothing_else() {
        let case = case();
        let target = case.folder.path().join("copy");
        let copied = copy(&case.at(""), "site", &target).unwrap().unwrap();
        assert_eq!(copied, case.look("site").unwrap());
        assert_eq!(copied, look(&target, ".").unwrap().unwrap());
        let mode = |path: &str| fs::metadata(target.join(path)).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode("run"), mode("index.html"), mode("css")), (0o755, 0o644, 0o755), "no setuid");
        fs::remove_file(case.at("site/run")).unwrap();
        assert_eq!(copy(&case.at(""), "site", &target).unwrap().unwrap().len(), 2);
        assert!(!target.join("run").exists());
        symlink("/etc/passwd", case.at("site/link")).unwrap();
        assert_eq!(copy(&case.at(""), "site", &target).unwrap(), Err(Unfit::Link("link".into())));
        assert_eq!(fs::read_dir(case.folder.path()).unwrap().count(), 2, "nothing half made is left");
        assert!(target.join("index.html").exists(), "and what was there stays");
    }

    #[test]
    fn what_is_no_file_is_refused_with_its_reason() {
        for (name, make) in [
            ("link", (|path: &Path| symlink("/etc/passwd", path).unwrap()) as fn(&Path)),
            ("up", |path| symlink("..", path).unwrap()),
            ("dangling", |path| symlink("none", path).unwrap()),
        ] {
            let case = case();
            make(&case.at("site").join(name));
            assert_eq!(case.look("site"), Err(Unfit::Link(name.into())), "{name}");
        }
        let case1 = case();
        mknodat(CWD, case1.at("site/pipe"), FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();
        assert_eq!(case1.look("site"), Err(Unfit::Special("pipe".into())));
        let case2 = case();
        let _socket = UnixListener::bind(case2.at("site/socket")).unwrap();
        assert_eq!(case2.look("site"), Err(Unfit::Special("socket".into())));
        for name in ["a\u{1b}[2J", "a\nb", "a\u{202e}b"] {
            let case = case();
            fs::write(case.at("site").join(name), "").unwrap();
            assert!(matches!(case.look("site"), Err(Unfit::Name(_))), "{name:?}");
        }
        let case3 = case();
        fs::write(case3.at("site").join(OsStr::from_bytes(b"\xff")), "").unwrap();
        assert!(matches!(case3.look("site"), Err(Unfit::Name(_))));
    }

    #[test]
    fn what_is_not_below_the_workspace_is_not_there() {
        let case = case();
        symlink("/etc", case.at("etc")).unwrap();
        fs::create_dir(case.at("none")).unwrap();
        assert_eq!(case.look("etc"), Err(Unfit::Link("etc".into())));
        assert_eq!(case.look("missing"), Err(Unfit::Absent("missing".into())));
        assert_eq!(case.look("site/run"), Err(Unfit::Absent("site/run".into())));
        assert_eq!(case.look(".."), Err(Unfit::Absent("..".into())));
        assert_eq!(case.look("none"), Err(Unfit::Empty));
    }

    #[test]
    fn a_set_is_bounded() {
        let case = case();
        File::create(case.at("site/sparse")).unwrap().set_len(1 << 40).unwrap();
        assert_eq!(case.look("site"), Err(Unfit::TooLarge));
        fs::remove_file(case.at("site/sparse")).unwrap();
        for number in 0..MOST_FILES {
            fs::write(case.at("site").join(number.to_string()), "").unwrap();
        }
        assert_eq!(case.look("site"), Err(Unfit::TooMany));
        let deep = case.at("deep").join(["d"; DEEPEST + 2].join("/"));
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("x"), "").unwrap();
        assert_eq!(case.look("deep"), Err(Unfit::TooMany));
    }
}
