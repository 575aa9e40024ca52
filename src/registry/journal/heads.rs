//! The last head of each journal, in `.taskforge/heads/`: how this machine notices that a journal was cut, replaced or
//! turned back (by git, say). Written after each commit, in place and without an fsync: after a power cut it may be an
//! older one, never a newer one than the journal, since the journal was synced first.
//!
//! With it stand the digests of the projections that were written for it. A journal that still hashes to the head is
//! the one that was read and accepted when the head was written, and a `taskforge.json` that hashes to its digest is
//! what this program made of it: the next command need neither parse nor fold what they say.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::scan::Head;
use crate::registry::error::{Error, Result};
use crate::registry::{disk, project};
use crate::run::id::Digest;

/// What is kept of a run between two commands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The length in bytes of what is covered.
    pub at: u64,
    /// The running digest of the first `at` bytes.
    pub digest: Digest,
    /// The `seq` of our last record before `at`.
    pub seq: u64,
    /// The projections as they were written for it; none if that did not come to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub projections: Option<Projections>,
}

/// The digests of a run's three projections, and by what rules the journal was folded into them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Projections {
    /// [`RULES`] of the program that wrote them.
    pub rules: String,
    pub taskforge: Digest,
    pub state: Digest,
    pub refs: Digest,
}

/// By what rules this build folds a journal: its version and a hash of the sources that say so.
pub const RULES: &str = env!("TASKFORGE_FOLD");

impl Kept {
    /// The head alone.
    #[must_use]
    pub fn head(&self) -> Head {
        Head { at: self.at, digest: self.digest.clone(), seq: self.seq }
    }

    /// `head` with the projections that stand for it.
    #[must_use]
    pub fn of(head: Head, projections: Option<Projections>) -> Self {
        Self { at: head.at, digest: head.digest, seq: head.seq, projections }
    }

    /// The projections, if the rules by which they were made are ours.
    #[must_use]
    pub fn ours(&self) -> Option<&Projections> {
        self.projections.as_ref().filter(|projections| projections.rules == RULES)
    }
}

/// What a file takes, newline included, in bytes: one sector, of which a power cut leaves all or nothing.
const SECTOR: usize = 512;
/// What stands between the line and its checksum.
const SUM: &str = ",\"sum\":\"";
/// Hex digits of a checksum.
const DIGITS: usize = 16;
/// How often a line that does not fit its checksum is read again: its writer needs less than a microsecond.
const READS: u32 = 1000;

/// What is kept at `path`; `None` if there is nothing, or if a power cut left it unreadable.
///
/// # Errors
/// When the file is there and cannot be opened.
pub fn read(path: &Path) -> Result<Option<Kept>> {
    let file = match disk::open_read(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("read the last head", path)(error)),
    };
    for _ in 0..READS {
        let bytes = disk::read_range(&file, 0, 4096).map_err(Error::io("read the last head", path))?;
        let Ok(text) = std::str::from_utf8(&bytes) else { return Ok(None) };
        if is_whole(text) {
            return Ok(serde_json::from_str(text).ok());
        }
        std::thread::yield_now();
    }
    Ok(None)
}

/// Whether a text is as it was written: it is read without a lock while others are written over it. Earlier versions
/// replaced the file, and wrote a line of no fixed length without a checksum.
fn is_whole(text: &str) -> bool {
    let Some((object, sum)) = text.trim_end().rsplit_once(SUM) else { return text.len() != SECTOR };
    Digest::of(object.as_bytes()).as_str().get(..DIGITS) == sum.strip_suffix("\"}")
}

/// Keeps `kept` at `path`: over what stands there, since making a file and forgetting another one costs more than all the
/// rest.
///
/// # Errors
/// Those of the file system.
pub fn write(path: &Path, kept: &Kept) -> Result<()> {
    let mut text = serde_json::to_string(kept).map_err(|source| Error::Encode { what: "a journal's head", source })?;
    text.truncate(text.len() - 1);
    let sum = Digest::of(text.as_bytes());
    text.extend([SUM, &sum.as_str()[..DIGITS], "\"}"]);
    let line = format!("{text:width$}\n", width = SECTOR - 1);
    match disk::open_in_place(path) {
        Ok(file) if line.len() == SECTOR => {
            disk::overwrite(&file, path, 0, line.as_bytes()).map_err(Error::io("write the last head", path))
        }
        _ => project::replace(path, line.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::*;

    fn kept(seq: u64, projections: bool) -> Kept {
        let digest = |what: &str| Digest::of(format!("{what}{seq}").as_bytes());
        let projections = projections.then(|| Projections {
            rules: RULES.to_owned(),
            taskforge: digest("taskforge"),
            state: digest("state"),
            refs: digest("refs"),
        });
        Kept { at: seq * 1000, digest: digest("journal"), seq, projections }
    }

    #[test]
    fn what_is_kept_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r");
        assert_eq!(read(&path).unwrap(), None);
        for (seq, projections) in [(1, true), (u64::MAX / 1000, true), (7, false), (8, true)] {
            write(&path, &kept(seq, projections)).unwrap();
            assert_eq!(read(&path).unwrap(), Some(kept(seq, projections)));
            assert_eq!(fs::metadata(&path).unwrap().len(), SECTOR as u64, "one sector");
        }
    }

    #[test]
    fn what_earlier_versions_kept_is_read_and_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r");
        fs::write(&path, format!("{{\"at\":3000,\"digest\":\"{}\",\"seq\":3}}\n", kept(3, false).digest)).unwrap();
        assert_eq!(read(&path).unwrap(), Some(kept(3, false)));
        write(&path, &kept(4, true)).unwrap();
        assert_eq!(read(&path).unwrap(), Some(kept(4, true)));
    }

    #[test]
    fn a_changed_byte_is_no_head() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r");
        write(&path, &kept(5, true)).unwrap();
        let bytes = fs::read(&path).unwrap();
        let line = bytes.trim_ascii_end().len();
        for place in (0..line).step_by(7) {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            fs::write(&path, &changed).unwrap();
            assert!(read(&path).unwrap().is_none_or(|found| found == kept(5, true)), "byte {place}");
        }
    }

    #[test]
    fn a_reader_without_a_lock_sees_one_head_or_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r");
        write(&path, &kept(1, true)).unwrap();
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                for seq in 2..5000 {
                    write(&path, &kept(seq, seq % 3 != 0)).unwrap();
                }
                done.store(true, Ordering::Release);
            });
            let mut last = 1;
            while !done.load(Ordering::Acquire) {
                let found = read(&path).unwrap().unwrap();
                assert_eq!(found, kept(found.seq, found.projections.is_some()));
                assert!(found.seq >= last);
                last = found.seq;
            }
        });
    }
}
