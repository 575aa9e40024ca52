//! The kill file. While anything stands under its name nothing may start: a file that cannot be read is a kill, too.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;

use chrono::{DateTime, Utc};
use rustix::fs::{FallocateFlags, OFlags};
use serde::{Deserialize, Serialize};

use super::disk;
use super::error::{Error, Result};
use super::layout::Layout;
use super::project::{parent, write_durable};
use crate::run::id::Digest;
use crate::run::time::isoformat;

/// What is preallocated, in bytes.
const SIZE: usize = 4096;
/// What is read of the history of lifts, in bytes: a line has two reasons and two names.
const LONGEST_LIFT: u64 = 64 * 1024;

/// Who stopped everything, when and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Kill {
    pub format: u32,
    pub reason: String,
    pub by: String,
    /// RFC 3339.
    pub at: String,
}

/// The kill in force; `None` if there is none.
///
/// # Errors
/// When not even its absence can be seen.
pub fn read(layout: &Layout) -> Result<Option<Kill>> {
    let path = layout.kill_file();
    match path.symlink_metadata() {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound) => return Ok(None),
        Err(error) => return Err(Error::io("look for the kill file", path)(error)),
        Ok(_) => {}
    }
    let bytes = disk::open_read(&path).and_then(|file| disk::read_bounded(&file, 1 << 16)).ok().flatten();
    let kill = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let unreadable = || Kill {
        format: 1,
        reason: format!("{} cannot be read", path.display()),
        by: "unknown".to_owned(),
        at: "unknown".to_owned(),
    };
    Ok(Some(kill.unwrap_or_else(unreadable)))
}

/// # Errors
/// [`Error::Killed`] while the kill switch is on.
pub fn refuse_if_killed(layout: &Layout) -> Result<()> {
    match read(layout)? {
        None => Ok(()),
        Some(Kill { reason, by, at, .. }) => Err(Error::Killed { reason, at, by }),
    }
}

/// Turns the kill switch on; on disk when it returns. A kill that is on already stays as it is, and is returned.
///
/// # Errors
/// Those of the file system.
pub fn engage(layout: &Layout, reason: &str, by: &str, now: DateTime<Utc>) -> Result<Kill> {
    if let Some(kill) = read(layout)? {
        return Ok(kill);
    }
    let cut = |text: &str, limit: usize| text.chars().take(limit).collect::<String>();
    let kill = Kill { format: 1, reason: cut(reason, 400), by: cut(by, 100), at: isoformat(now) };
    let text = serde_json::to_string(&kill).map_err(|source| Error::Encode { what: "the kill file", source })?;
    let mut bytes = text.into_bytes();
    // White space is what JSON allows behind a value; overwriting all of the spare needs no new block.
    bytes.resize(SIZE.max(bytes.len() + 1), b' ');
    if let Some(last) = bytes.last_mut() {
        *last = b'\n';
    }
    let (spare, path) = (layout.kill_spare(), layout.kill_file());
    let spared = disk::open_in_place(&spare).and_then(|file| {
        disk::overwrite(&file, &spare, 0, &bytes)?;
        disk::sync(&file, &spare)?;
        disk::rename(&spare, &path)
    });
    match spared {
        Ok(()) => disk::sync_dir(&layout.kill()).map_err(Error::io("sync", layout.kill()))?,
        Err(_) => {
            let folder = layout.kill();
            fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
            write_durable(&path, &bytes)?;
        }
    }
    Ok(kill)
}

/// Who turns the switch off, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lifting {
    pub reason: String,
    pub by: String,
    /// RFC 3339.
    pub at: String,
    /// What was signed: JSON.
    pub statement: String,
    /// Armoured; none where nobody has to sign.
    pub signature: Option<String>,
}

/// Puts on record who turned the switch off, and why: a line in `.taskforge/kill/history.jsonl`, and the statement with its
/// signature beside that; on disk when it returns.
///
/// # Errors
/// Those of the file system.
pub fn record_lift(layout: &Layout, kill: &Kill, lifting: &Lifting) -> Result<()> {
    let path = layout.kill().join("history.jsonl");
    let Lifting { reason, by, at, statement, signature } = lifting;
    let mut lifted = serde_json::json!({"reason": reason, "by": by, "at": at});
    if let Some(signature) = signature {
        let name = format!("unlock-{}.json", Digest::of(statement.as_bytes()).short());
        let file = layout.kill().join(&name);
        write_durable(&super::decisions::signature(&file), signature.as_bytes())?;
        write_durable(&file, statement.as_bytes())?;
        lifted["statement"] = serde_json::Value::String(name);
    }
    let entry = serde_json::json!({"killed": kill, "lifted": lifted});
    let line = format!("{entry}\n");
    if !path.exists() {
        match disk::create_new(&path, 0o644) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(Error::io("create", path)(error)),
            _ => disk::sync_dir(&layout.kill()).map_err(Error::io("sync", layout.kill()))?,
        }
    }
    disk::append_line(&path, line.as_bytes()).map_err(Error::io("append to", &path))
}

/// A kill that is over, and the end of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lifted {
    pub killed: Kill,
    pub lifted: Lift,
}

/// Who turned the switch off, when and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lift {
    pub reason: String,
    pub by: String,
    /// RFC 3339.
    pub at: String,
    /// The file beside `history.jsonl` that was signed, if one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement: Option<String>,
}

/// The kill that was lifted last; none where there was none, or where what is on record of it cannot be read.
#[must_use]
pub fn last_lift(layout: &Layout) -> Option<Lifted> {
    let mut file = fs::File::open(layout.kill().join("history.jsonl")).ok()?;
    let from = file.metadata().ok()?.len().saturating_sub(LONGEST_LIFT);
    file.seek(SeekFrom::Start(from)).ok()?;
    let mut bytes = Vec::new();
    file.take(LONGEST_LIFT).read_to_end(&mut bytes).ok()?;
    let lines = bytes.split(|byte| *byte == b'\n');
    lines.filter_map(|line| serde_json::from_slice(line).ok()).next_back()
}

/// Largest history of lifts that is read whole.
const LONGEST_HISTORY: u64 = 16 << 20;

/// Every line of the history of lifts, and the offset in bytes at which it begins; none of one that cannot be read.
///
/// # Errors
/// Those of the file system; that it is larger than what is looked at.
pub fn lifts(layout: &Layout) -> Result<Vec<(u64, Option<Lifted>)>> {
    let bytes = super::project::read_file(&layout.kill().join("history.jsonl"), LONGEST_HISTORY)?.unwrap_or_default();
    let mut at = 0;
    let lines = bytes.split_inclusive(|byte| *byte == b'\n').map(|line| {
        let begun = at;
        at += line.len() as u64;
        (begun, serde_json::from_slice(line).ok())
    });
    Ok(lines.collect())
}

/// What was signed for a lift, and its signature; none if one of them is not there.
///
/// # Errors
/// As [`lifts`]; that `name` is no name of a statement.
pub fn statement(layout: &Layout, name: &str) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
    let digits = name.strip_prefix("unlock-").and_then(|rest| rest.strip_suffix(".json"));
    if !digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit())) {
        return Ok(None);
    }
    let file = layout.kill().join(name);
    let signature = super::decisions::read(&super::decisions::signature(&file))?;
    Ok(super::decisions::read(&file)?.zip(signature))
}

/// Turns the kill switch off, and makes room for the next kill; whether it was on. Who may do this is decided elsewhere.
///
/// # Errors
/// Those of the file system.
pub fn lift(layout: &Layout) -> Result<bool> {
    let (spare, path) = (layout.kill_spare(), layout.kill_file());
    let was_on = match disk::rename(&path, &spare) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(Error::io("lift the kill switch", path)(error)),
    };
    disk::sync_dir(parent(&path)?).map_err(Error::io("sync", layout.kill()))?;
    let _ = fs::remove_file(layout.kill_finished());
    preallocate(layout)?;
    Ok(was_on)
}

/// Notes that nothing of `kill` is left to do. Losing the note costs one more look, so that it is not synced.
///
/// # Errors
/// Those of the file system.
pub fn note_finished(layout: &Layout, kill: &Kill) -> Result<()> {
    let path = layout.kill_finished();
    fs::write(&path, kill.at.as_bytes()).map_err(Error::io("write", path))
}

/// Whether a kill is on of which something may be left to do: containers to remove, journals to write. One look at the
/// file system where none is on.
#[must_use]
pub fn is_unfinished(layout: &Layout) -> bool {
    match read(layout) {
        Ok(None) => false,
        Ok(Some(kill)) => fs::read(layout.kill_finished()).ok().is_none_or(|noted| noted != kill.at.as_bytes()),
        Err(_) => true,
    }
}

/// Makes the spare that a full disk cannot take away.
///
/// # Errors
/// Those of the file system.
pub fn preallocate(layout: &Layout) -> Result<()> {
    let spare = layout.kill_spare();
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::CLOEXEC).bits()).unwrap_or_default();
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o644)
        .custom_flags(flags)
        .open(&spare)
        .map_err(Error::io("create", &spare))?;
    // Written, not only reserved: a copy-on-write file system aside, the blocks are then really there.
    if rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, SIZE as u64).is_err() {
        file.write_all(&[b' '; SIZE]).map_err(Error::io("preallocate", &spare))?;
    }
    Ok(())
}
