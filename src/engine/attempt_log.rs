//! One stream of a container's output as a file of its attempt: never longer than the journal's cursor says, and never
//! longer than a bound, whatever the container prints.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// The most bytes of one stream that are kept of one attempt.
pub(super) const MOST: u64 = 64 << 20;

/// Written once, where keeping ended.
const MARK: &[u8] = b"\n[taskforge: no more of this stream is kept]\n";

/// A log file that is appended to. What goes beyond [`MOST`] counts as written and is dropped.
pub(super) struct AttemptLog {
    file: File,
    written: u64,
    most: u64,
}

impl AttemptLog {
    /// Opens the log of which `written` bytes have been taken in. What stands behind them came from a tick that died
    /// before it noted how far it was, and will be copied again: it is cut off.
    ///
    /// # Errors
    /// Those of the file system; a symlink is not followed.
    pub(super) fn open(path: &Path, written: u64) -> io::Result<Self> {
        Self::with_bound(path, written, MOST)
    }

    fn with_bound(path: &Path, written: u64, most: u64) -> io::Result<Self> {
        let no_follow = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
        let file = OpenOptions::new().create(true).append(true).custom_flags(no_follow).open(path)?;
        let whole = if written > most { most + MARK.len() as u64 } else { written };
        if file.metadata()?.len() > whole {
            file.set_len(whole)?;
        }
        Ok(Self { file, written, most })
    }
}

impl Write for AttemptLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = usize::try_from(self.most.saturating_sub(self.written)).unwrap_or(usize::MAX);
        self.file.write_all(&bytes[..bytes.len().min(room)])?;
        let before = self.written;
        self.written += bytes.len() as u64;
        if before <= self.most && self.written > self.most {
            self.file.write_all(MARK)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn keeps_the_first_bytes_and_says_where_it_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stdout.log");
        for (written, text) in [(0, "abcd"), (4, "efgh"), (8, "ijkl"), (12, "mnop")] {
            AttemptLog::with_bound(&path, written, 10).unwrap().write_all(text.as_bytes()).unwrap();
        }
        assert_eq!(std::fs::read(&path).unwrap(), [b"abcdefghij", MARK].concat());
    }

    #[test]
    fn what_the_cursor_does_not_know_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stdout.log");
        AttemptLog::with_bound(&path, 0, 10).unwrap().write_all(b"abcdef").unwrap();
        AttemptLog::with_bound(&path, 2, 10).unwrap().write_all(b"cd").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"abcd");
    }

    #[test]
    fn a_planted_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stdout.log");
        std::os::unix::fs::symlink("/dev/null", &path).unwrap();
        assert!(AttemptLog::open(&path, 0).is_err());
    }
}
