//! How often something was done lately, by whom its rule is for: one small file each beside the counts of the days, shared by
//! all gates of the registry and written under its lock. It counts before anything is done, and so at worst too much.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, OFlags, flock};

use crate::run::capability::ActionLimit;
use crate::run::id::Digest;

/// How often the lock is tried for, with a millisecond between.
const TRIES: u32 = 2000;
const ENTRY: usize = 8;
/// A file that holds more than any limit lets is not one of ours.
const LARGEST: u64 = 16 << 20;

/// Counts one more of `scope`; if that is too much, how long to wait for the next.
///
/// # Errors
/// When the file cannot be read or written: then nothing is done.
pub(super) fn take(folder: &Path, scope: &str, limit: ActionLimit, now_ms: u64) -> io::Result<Result<(), Duration>> {
    let name = format!("action-{}", Digest::of(scope.as_bytes()).short());
    let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o666)
        .custom_flags(i32::try_from(flags.bits()).unwrap_or_default())
        .open(folder.join(name))?;
    // Gates may have a user each, and the umask is against it.
    let _ = file.set_permissions(std::fs::Permissions::from_mode(0o666));
    lock(&file)?;
    let size = file.metadata()?.len();
    if size > LARGEST {
        return Err(io::Error::other("the counts of actions are larger than any limit allows"));
    }
    let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
    file.read_exact_at(&mut bytes, 0)?;
    let span = u64::try_from(limit.span().as_millis()).unwrap_or(u64::MAX);
    let mut times: Vec<u64> = bytes
        .chunks_exact(ENTRY)
        .filter_map(|entry| entry.try_into().ok().map(u64::from_be_bytes))
        // A clock that was set back leaves times of the future: they count as of now.
        .map(|time| time.min(now_ms))
        .filter(|time| now_ms - time < span)
        .collect();
    times.sort_unstable();
    let count = limit.count() as usize;
    if times.len() >= count {
        let oldest = times[times.len() - count];
        return Ok(Err(Duration::from_millis((oldest + span).saturating_sub(now_ms).max(1))));
    }
    times.push(now_ms);
    let bytes: Vec<u8> = times.iter().flat_map(|time| time.to_be_bytes()).collect();
    // Shorter only after it is written: a crash in between leaves times that are too old to count, or count once more.
    file.write_all_at(&bytes, 0)?;
    file.set_len(bytes.len() as u64)?;
    file.sync_data()?;
    Ok(Ok(()))
}

fn lock(file: &File) -> io::Result<()> {
    for _ in 0..TRIES {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(()),
            Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => {
                std::thread::sleep(Duration::from_millis(1))
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(io::Error::other("somebody keeps the lock of the counts of actions"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn so_many_in_any_span_and_each_scope_for_itself() {
        let folder = tempfile::tempdir().unwrap();
        let limit = ActionLimit::parse("2/minute").unwrap();
        let take = |scope: &str, now| take(folder.path(), scope, limit, now).unwrap();
        assert_eq!(take("a", 1_000_000), Ok(()));
        assert_eq!(take("a", 1_010_000), Ok(()));
        assert_eq!(take("a", 1_020_000), Err(Duration::from_secs(40)));
        assert_eq!(take("b", 1_020_000), Ok(()));
        // The first is out of the span; the second is not.
        assert_eq!(take("a", 1_060_000), Ok(()));
        assert_eq!(take("a", 1_060_001), Err(Duration::from_millis(9_999)));
        // A clock that goes back gives nothing away.
        assert!(take("a", 1_000_000).is_err());
    }
}
