//! A build as a process of its own, so that no tick waits for it. It is alive exactly while the kernel holds its
//! lock for it; if it dies, the lock is free and the next tick starts it again.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde::{Deserialize, Serialize};

use super::error::Error;
use super::folder;
use crate::run::id::Digest;

const FAILED: &str = "failed.json";
const LIMIT: u64 = 64 << 10;
/// Bytes of what builders have printed before it is set aside.
const LONGEST: u64 = 1 << 20;

/// `failed.json`: why a build failed, until it is tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuildFailure {
    pub format: u32,
    pub recipe: Digest,
    /// Safe to show.
    pub reason: String,
    /// RFC 3339, UTC.
    pub at: String,
}

/// A held build lock, freed when dropped or when the process ends, however it ends.
#[derive(Debug)]
pub struct Held {
    _file: File,
}

fn open(path: &Path) -> io::Result<File> {
    let no_follow = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(no_follow)
        .open(path)
}

/// Takes the lock for this process, whose id is written into the file for the kill switch; `None` if another process
/// holds it.
///
/// # Errors
/// [`Error::File`].
pub fn hold(path: &Path) -> Result<Option<Held>, Error> {
    let error = || Error::file("lock", path);
    if let Some(parent) = path.parent() {
        folder::make(parent)?;
    }
    let mut file = open(path).map_err(error())?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(e)) => return Err(error()(e)),
    }
    file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(error())?;
    Ok(Some(Held { _file: file }))
}

/// The process that is building, if one is: the lock is held, and this is the id in its file.
///
/// # Errors
/// [`Error::File`].
pub fn builder(path: &Path) -> Result<Option<u32>, Error> {
    let error = || Error::file("look at lock", path);
    let mut file = match OpenOptions::new().read(true).open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(error()(e)),
    };
    // Shared, so that two who only look do not take each other for a builder.
    match file.try_lock_shared() {
        Ok(()) => return Ok(None),
        Err(TryLockError::WouldBlock) => {}
        Err(TryLockError::Error(e)) => return Err(error()(e)),
    }
    let mut text = String::new();
    file.rewind().and_then(|()| file.take(32).read_to_string(&mut text)).map_err(error())?;
    // Between the lock and the writing of the id there is no id yet: 0, which names no process.
    Ok(Some(text.trim().parse().unwrap_or(0)))
}

/// Starts `program` with `args` and does not wait for it. Its output goes to the end of `log`, which is set aside as
/// `….1` once it is long; it reads nothing.
/// It is to call [`leave_session`] first.
///
/// # Errors
/// [`Error::File`].
pub fn spawn(program: &Path, args: &[OsString], log: &Path) -> Result<Child, Error> {
    let no_follow = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    if let Some(parent) = log.parent() {
        folder::make(parent)?;
    }
    if log.symlink_metadata().is_ok_and(|meta| meta.is_file() && meta.len() > LONGEST) {
        let mut older = log.as_os_str().to_owned();
        older.push(".1");
        std::fs::rename(log, older).map_err(Error::file("move", log))?;
    }
    let open = OpenOptions::new().create(true).append(true).mode(0o600).custom_flags(no_follow).open(log);
    let out = open.map_err(Error::file("open", log))?;
    let err = out.try_clone().map_err(Error::file("open", log))?;
    let mut command = Command::new(program);
    command.args(args).current_dir("/").stdin(Stdio::null()).stdout(out).stderr(err);
    command.spawn().map_err(Error::file("start", program))
}

/// Makes this process independent of the terminal and the session that started it. To be called before anything
/// else by a process that [`spawn`] made.
pub fn leave_session() {
    // It fails only for the leader of a process group, which is independent enough.
    let _ = rustix::process::setsid();
}

/// Why the last try failed, if it did.
///
/// # Errors
/// [`Error::File`], [`Error::Format`].
pub fn failure(images_folder: &Path) -> Result<Option<BuildFailure>, Error> {
    let path = images_folder.join(FAILED);
    if !path.exists() {
        return Ok(None);
    }
    let what = || format!("`{}`", path.display());
    let read: BuildFailure =
        serde_json::from_slice(&folder::read(&path, LIMIT)?).map_err(|e| Error::format(what(), e.to_string()))?;
    if read.format != 1 {
        return Err(Error::format(what(), format!("format {} is not known", read.format)));
    }
    Ok(Some(read))
}

/// Forgets a failure, so that the next tick tries again.
///
/// # Errors
/// [`Error::File`].
pub fn clear_failure(images_folder: &Path) -> Result<(), Error> {
    folder::remove(&images_folder.join(FAILED))
}

/// Keeps how a build ended: that it failed before anything else, since what is not on record is tried again for ever.
pub(super) fn conclude(images_folder: &Path, recipe: &Digest, log: &str, failed: Option<&Error>) -> Result<(), Error> {
    let path = images_folder.join("build.log");
    let failed = failed.map(Error::to_string);
    let recorded = match failed.map(|why| (record_failure(images_folder, recipe, &why), why)) {
        // The log of an earlier try makes room on a disk that is full.
        Some((Err(_), why)) => folder::remove(&path).and_then(|()| record_failure(images_folder, recipe, &why)),
        _ => Ok(()),
    };
    recorded.and(folder::replace(&path, log.as_bytes()))
}

/// Puts on record that a build failed now, and why.
///
/// # Errors
/// [`Error::File`].
pub fn record_failure(images_folder: &Path, recipe: &Digest, why: &str) -> Result<(), Error> {
    let at = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    let reason = crate::run::visible::visible(why).chars().take(8000).collect();
    let failure = BuildFailure { format: 1, recipe: recipe.clone(), reason, at };
    let mut bytes = serde_json::to_vec_pretty(&failure).unwrap_or_default();
    bytes.push(b'\n');
    folder::replace(&images_folder.join(FAILED), &bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn one_holder_and_its_id() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("locks/build.lock");
        assert_eq!(builder(&path).unwrap(), None);
        let held = hold(&path).unwrap().unwrap();
        assert!(hold(&path).unwrap().is_none());
        assert_eq!(builder(&path).unwrap(), Some(std::process::id()));
        drop(held);
        assert_eq!(builder(&path).unwrap(), None);
        assert!(hold(&path).unwrap().is_some());
    }

    #[test]
    fn a_dead_builder_frees_its_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("build.lock");
        File::create(&path).unwrap();
        let script = format!("exec 9<>{0}; flock -n 9; echo $$ >{0}; exec sleep 60", path.display());
        let mut child = Command::new("sh").args(["-c", &script]).spawn().unwrap();
        let mut seen = None;
        for _ in 0..500 {
            seen = builder(&path).unwrap().filter(|pid| *pid != 0);
            if seen.is_some() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        assert_eq!(seen, Some(child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
        let free = (0..500).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            builder(&path).unwrap().is_none()
        });
        assert!(free);
    }

    #[test]
    fn failures_are_recorded_and_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(failure(folder.path()).unwrap(), None);
        let error = Error::Setuid { files: vec!["/bin/\u{1b}[2Jx".to_owned()] };
        record_failure(folder.path(), &Digest::of(b"x"), &error.to_string()).unwrap();
        let read = failure(folder.path()).unwrap().unwrap();
        assert!(read.reason.contains("\\u{1b}[2Jx"), "{}", read.reason);
        clear_failure(folder.path()).unwrap();
        assert_eq!(failure(folder.path()).unwrap(), None);
        std::fs::write(folder.path().join(FAILED), "{").unwrap();
        assert!(failure(folder.path()).is_err());
    }

    #[test]
    fn a_failure_is_on_record_also_where_there_is_no_log() {
        let folder = tempfile::tempdir().unwrap();
        let error = Error::Setuid { files: vec!["/bin/x".to_owned()] };
        // Nothing can be written in its place, as on a full disk.
        std::fs::create_dir_all(folder.path().join("build.log/full")).unwrap();
        assert!(conclude(folder.path(), &Digest::of(b"x"), "log", Some(&error)).is_err());
        assert!(failure(folder.path()).unwrap().unwrap().reason.contains("/bin/x"));
        let other = tempfile::tempdir().unwrap();
        conclude(other.path(), &Digest::of(b"x"), "log", None).unwrap();
        assert_eq!(std::fs::read_to_string(other.path().join("build.log")).unwrap(), "log");
        assert_eq!(failure(other.path()).unwrap(), None);
    }

    #[test]
    fn what_builders_print_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("build.out");
        let older = folder.path().join("build.out.1");
        let begin = |size: u64| {
            File::options().create(true).truncate(false).write(true).open(&log).unwrap().set_len(size).unwrap();
            spawn(Path::new("/bin/true"), &[], &log).unwrap().wait().unwrap();
            std::fs::metadata(&log).unwrap().len()
        };
        assert_eq!(begin(LONGEST), LONGEST);
        assert!(!older.exists());
        for more in 1..3 {
            assert_eq!(begin(LONGEST + more), 0);
            assert_eq!(std::fs::metadata(&older).unwrap().len(), LONGEST + more);
        }
    }

    #[test]
    fn a_spawned_process_writes_to_its_log() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("x/build.out");
        spawn(Path::new("/bin/echo"), &["hello".into()], &log).unwrap().wait().unwrap();
        let wrote = (0..500).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            std::fs::read_to_string(&log).unwrap() == "hello\n"
        });
        assert!(wrote);
        assert!(spawn(Path::new("/nonexistent"), &[], &log).is_err());
    }
}
