//! The few system calls that durability rests on. Everything that must survive a power cut goes through here, so that
//! a test can record the calls, replay every outcome a power cut may legally leave, and make any of them fail.
//! Nothing here decides anything, and nothing here swallows an error.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{CWD, OFlags, RenameFlags};

/// One call, as a test sees it before it happens.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(any(test, debug_assertions)), allow(dead_code))]
pub(crate) enum Op<'a> {
    Create(&'a Path),
    MakeDir(&'a Path),
    /// Bytes appended; the offset is the file's length.
    Append(&'a File, &'a Path, &'a [u8]),
    Overwrite(&'a Path, u64, &'a [u8]),
    Sync(&'a Path),
    SyncDir(&'a Path),
    Rename(&'a Path, &'a Path),
    Remove(&'a Path),
}

/// How many bytes a write may take: all of them, unless a test says otherwise; of a sync, 0 leaves it out. A release build has no such seam.
#[cfg(any(test, debug_assertions))]
use super::faults::pass;
#[cfg(not(any(test, debug_assertions)))]
#[inline]
#[allow(clippy::unnecessary_wraps)]
fn pass(_: Op<'_>) -> io::Result<usize> {
    Ok(usize::MAX)
}

fn flags(extra: OFlags) -> i32 {
    // O_NOFOLLOW everywhere: no file of ours is a symlink, so one that is was planted.
    i32::try_from((OFlags::NOFOLLOW | OFlags::CLOEXEC | extra).bits()).unwrap_or_default()
}

/// A new file that must not exist.
pub(crate) fn create_new(path: &Path, mode: u32) -> io::Result<File> {
    pass(Op::Create(path))?;
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(mode)
        .custom_flags(flags(OFlags::empty()))
        .open(path)
}

/// A new file that must not exist, for appending.
pub(crate) fn create_log(path: &Path) -> io::Result<File> {
    pass(Op::Create(path))?;
    OpenOptions::new()
        .read(true)
        .append(true)
        .create_new(true)
        .mode(0o644)
        .custom_flags(flags(OFlags::empty()))
        .open(path)
}

/// An existing regular file, for reading and appending.
pub(crate) fn open_log(path: &Path) -> io::Result<File> {
    regular(OpenOptions::new().read(true).append(true).custom_flags(flags(OFlags::NONBLOCK)).open(path)?)
}

/// An existing regular file, for writing in place (`pwrite` on an appending descriptor would append).
pub(crate) fn open_in_place(path: &Path) -> io::Result<File> {
    regular(OpenOptions::new().read(true).write(true).custom_flags(flags(OFlags::NONBLOCK)).open(path)?)
}

/// An existing regular file, for reading.
pub(crate) fn open_read(path: &Path) -> io::Result<File> {
    regular(OpenOptions::new().read(true).custom_flags(flags(OFlags::NONBLOCK)).open(path)?)
}

/// A pipe would block and a device would do worse; `O_NONBLOCK` let us ask first.
fn regular(file: File) -> io::Result<File> {
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
}

/// A new folder that must not exist.
pub(crate) fn make_dir(path: &Path, mode: u32) -> io::Result<()> {
    pass(Op::MakeDir(path))?;
    fs::DirBuilder::new().mode(mode).create(path)
}

/// One `write(2)` at the end: how many bytes it took.
pub(crate) fn append(mut file: &File, path: &Path, bytes: &[u8]) -> io::Result<usize> {
    let allowed = pass(Op::Append(file, path, bytes))?;
    file.write(&bytes[..bytes.len().min(allowed)])
}

/// Adds `line`, which ends in a newline, to an existing file of lines and syncs it. Behind half a line, which a crash or
/// a full disk left, it starts on a line of its own.
pub(crate) fn append_line(path: &Path, line: &[u8]) -> io::Result<()> {
    let file = append_line_unsynced(path, line)?;
    sync(&file, path)
}

/// [`append_line`] for a caller who syncs the file later.
pub(crate) fn append_line_unsynced(path: &Path, line: &[u8]) -> io::Result<File> {
    let file = open_log(path)?;
    let length = file.metadata()?.len();
    let torn = length > 0 && read_range(&file, length - 1, length)? != b"\n";
    let line = if torn { [b"\n", line].concat() } else { line.to_owned() };
    let mut rest = line.as_slice();
    while !rest.is_empty() {
        match append(&file, path, rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => rest = &rest[count..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(file)
}

/// Writes all of `bytes` at `offset`, over what stands there.
pub(crate) fn overwrite(file: &File, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
    pass(Op::Overwrite(path, offset, bytes))?;
    file.write_all_at(bytes, offset)
}

/// `fdatasync`: the bytes, and the length that is needed to read them.
pub(crate) fn sync(file: &File, path: &Path) -> io::Result<()> {
    if pass(Op::Sync(path))? == 0 {
        return Ok(());
    }
    file.sync_data()
}

/// Makes the names in a folder durable.
pub(crate) fn sync_dir(path: &Path) -> io::Result<()> {
    if pass(Op::SyncDir(path))? == 0 {
        return Ok(());
    }
    open_dir(path)?.sync_all()
}

/// A folder, never through a symlink in its last component.
pub(crate) fn open_dir(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(flags(OFlags::DIRECTORY)).open(path)
}

pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    pass(Op::Rename(from, to))?;
    fs::rename(from, to)
}

/// Renames only onto a name that is free; `AlreadyExists` otherwise.
pub(crate) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    pass(Op::Rename(from, to))?;
    Ok(rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)?)
}

pub(crate) fn remove(path: &Path) -> io::Result<()> {
    pass(Op::Remove(path))?;
    fs::remove_file(path)
}

/// The first `limit` bytes and no more; `None` if the file holds more than that.
pub(crate) fn read_bounded(file: &File, limit: u64) -> io::Result<Option<Vec<u8>>> {
    // As long as it is now, and a byte more to find its end with one read.
    let length = usize::try_from(file.metadata()?.len().min(limit)).unwrap_or(0);
    let mut bytes = Vec::with_capacity(length.saturating_add(1));
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= limit).then_some(bytes))
}

/// The bytes from `from` to `to`, fewer only if the file ends before.
pub(crate) fn read_range(file: &File, from: u64, to: u64) -> io::Result<Vec<u8>> {
    let length = usize::try_from(to.saturating_sub(from)).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < length {
        match file.read_at(&mut bytes[filled..], from + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}
