//! Files of this room: read with a bound, replaced whole, never through a symlink.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use super::error::Error;

const NO_FOLLOW: i32 = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
const NONBLOCK: i32 = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();

/// The bytes of a file of at most `limit`.
pub(super) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
    let error = || Error::file("read", path);
    let file = File::open(path).map_err(error())?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(error())?;
    if bytes.len() as u64 > limit {
        return Err(Error::format(format!("`{}`", path.display()), format!("it is larger than {limit} bytes")));
    }
    Ok(bytes)
}

/// The digest of a regular file that is not a symlink, in lower-case hexadecimal; `None` if there is nothing.
pub(super) fn digest<D: sha2::Digest>(path: &Path) -> Result<Option<String>, Error> {
    let error = || Error::file("read", path);
    // Without NONBLOCK, opening a pipe would wait for a writer.
    let mut file = match OpenOptions::new().read(true).custom_flags(NO_FOLLOW | NONBLOCK).open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(error()(e)),
    };
    if !file.metadata().map_err(error())?.is_file() {
        return Err(error()(io::Error::other("it is not a regular file")));
    }
    let mut hash = D::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = file.read(&mut buffer).map_err(error())?;
        if count == 0 {
            return Ok(Some(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()));
        }
        hash.update(&buffer[..count]);
    }
}

/// Puts `bytes` in place of `path`, durably.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let error = || Error::file("write", path);
    let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|n| n.to_str())) else {
        return Err(error()(io::Error::other("it has no folder")));
    };
    let partial = folder.join(format!(".tmp-{name}"));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o644)
        .custom_flags(NO_FOLLOW)
        .open(&partial)
        .map_err(error())?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(error())?;
    fs::rename(&partial, path).map_err(error())?;
    sync(folder)
}

pub(super) fn sync(folder: &Path) -> Result<(), Error> {
    File::open(folder).and_then(|f| f.sync_all()).map_err(Error::file("sync", folder))
}

pub(super) fn make(folder: &Path) -> Result<(), Error> {
    fs::create_dir_all(folder).map_err(Error::file("create", folder))
}

/// An empty folder of which nobody else's leftovers remain. World-readable: a build's root may be mapped to a user
/// that owns nothing here.
pub(super) fn make_empty(folder: &Path) -> Result<(), Error> {
    remove_all(folder)?;
    make(folder)?;
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(folder, mode).map_err(Error::file("set the mode of", folder))
}

pub(super) fn remove_all(folder: &Path) -> Result<(), Error> {
    absent_is_fine(fs::remove_dir_all(folder)).map_err(Error::file("remove", folder))
}

pub(super) fn remove(path: &Path) -> Result<(), Error> {
    absent_is_fine(fs::remove_file(path)).map_err(Error::file("remove", path))
}

/// Gives a file or folder, never what a symlink leads to, to another user: uid and gid.
pub(super) fn give(path: &Path, (uid, gid): (u32, u32)) -> Result<(), Error> {
    std::os::unix::fs::lchown(path, Some(uid), Some(gid)).map_err(Error::file("give away", path))
}

/// Bytes of the files in `folder`, as far as they can be counted while somebody writes there; links are not followed.
pub(super) fn size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(facts) if facts.is_dir() => size(&entry.path()),
        Ok(facts) => facts.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
