//! Reading a workflow file, bounded.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::error::Error;

/// The largest workflow file, in bytes.
pub const FILE_LIMIT: u64 = 1024 * 1024;

/// Reads a file of at most [`FILE_LIMIT`] bytes of UTF-8. A link is not followed, a pipe is not waited for, and a file
/// that is too large is refused before any of it is read.
///
/// # Errors
/// [`Error`] says why.
pub fn read_text(path: &Path) -> Result<String, Error> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| match errno {
        Errno::NOENT => Error::NotFound { path: path.into() },
        // A link under O_NOFOLLOW, a socket.
        Errno::LOOP | Errno::NXIO => Error::NotAFile { path: path.into() },
        errno => Error::Unreadable { path: path.into(), source: errno.into() },
    })?;
    let file = File::from(file);
    let unreadable = |source: io::Error| Error::Unreadable { path: path.into(), source };
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(Error::NotAFile { path: path.into() });
    }
    let too_large = |size| Error::TooLarge { path: path.into(), size, limit: FILE_LIMIT };
    if metadata.len() > FILE_LIMIT {
        return Err(too_large(metadata.len()));
    }
    let mut bytes = Vec::new();
    // It may have grown since.
    file.take(FILE_LIMIT + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if size > FILE_LIMIT {
        return Err(too_large(size));
    }
    String::from_utf8(bytes).map_err(|e| {
        let valid = &e.as_bytes()[..e.utf8_error().valid_up_to()];
        Error::NotUtf8 { path: path.into(), line: 1 + valid.iter().filter(|byte| **byte == b'\n').count() }
    })
}
