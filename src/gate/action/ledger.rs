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
/// The longest span of any limit, in milliseconds.
const DAY_MS: u64 = 86_400_000;
/// What is older than these limits look back, and so many at most, stays for limits of the same scope that are longer: a role
/// that was changed, or is another one's child. As many as a role may have in a day.
const KEPT: usize = 10_000;

/// Counts one more of `scope`, once, if each of `limits` lets it; if one does not, that and how long to wait for the next.
///
/// # Errors
/// When the file cannot be read or written: then nothing is done.
pub(super) fn take(
    folder: &Path,
    scope: &str,
    limits: &[ActionLimit],
    now_ms: u64,
) -> io::Result<Result<(), (ActionLimit, Duration)>> {
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
    let span_of = |limit: &ActionLimit| u64::try_from(limit.span().as_millis()).unwrap_or(u64::MAX);
    let longest = limits.iter().map(span_of).max().unwrap_or(0);
    let mut times: Vec<u64> = bytes
        .chunks_exact(ENTRY)
        .filter_map(|entry| entry.try_into().ok().map(u64::from_be_bytes))
        // A clock that was set back leaves times of the future: they count as of now.
        .map(|time| time.min(now_ms))
        .filter(|time| now_ms - time < longest.max(DAY_MS))
        .collect();
    times.sort_unstable();
    let within_longest = times.len() - times.partition_point(|time| now_ms - time >= longest);
    let kept = within_longest.max(KEPT).min(times.len());
    times.drain(..times.len() - kept);
    for limit in limits {
        let (span, count) = (span_of(limit), limit.count() as usize);
        let within = times.len() - times.partition_point(|time| now_ms - time >= span);
        if within >= count {
            let oldest = times[times.len() - count];
            let wait = Duration::from_millis((oldest + span).saturating_sub(now_ms).max(1));
            return Ok(Err((*limit, wait)));
        }
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
        let take = |scope: &str, now| take(folder.path(), scope, &[limit], now).unwrap().map_err(|(_, wait)| wait);
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

    #[test]
    fn a_shorter_limit_forgets_nothing_of_a_longer_one() {
        let folder = tempfile::tempdir().unwrap();
        let [hour, day] = ["10/hour", "2/day"].map(|limit| ActionLimit::parse(limit).unwrap());
        let take = |limit, now| take(folder.path(), "a", &[limit], now).unwrap();
        assert_eq!((take(day, 10_000_000), take(day, 10_001_000)), (Ok(()), Ok(())));
        // Two hours later somebody with the same scope and another limit.
        assert_eq!(take(hour, 17_200_000), Ok(()));
        assert!(take(day, 17_200_001).is_err());
        assert!(take(day, 96_400_999).is_err());
        assert_eq!(take(day, 10_001_000 + 86_400_000), Ok(()));
    }

    #[test]
    fn a_file_holds_no_more_than_any_limit_looks_at() {
        let folder = tempfile::tempdir().unwrap();
        let often = ActionLimit::parse("999999/minute").unwrap();
        let times = u64::try_from(KEPT).unwrap() + 50;
        let name = folder.path().join(format!("action-{}", Digest::of(b"a").short()));
        let bytes: Vec<u8> = (0..times).flat_map(|n| (1_000_000 + n).to_be_bytes()).collect();
        std::fs::write(&name, &bytes).unwrap();
        assert_eq!(take(folder.path(), "a", &[often], 1_000_000 + times).unwrap(), Ok(()));
        assert_eq!(std::fs::metadata(&name).unwrap().len(), bytes.len() as u64 + 8);
        assert_eq!(take(folder.path(), "a", &[often], 2_000_000).unwrap(), Ok(()));
        assert_eq!(std::fs::metadata(&name).unwrap().len(), (KEPT as u64 + 1) * 8);
    }

    #[test]
    fn several_limits_of_one_scope_count_one_thing_once_and_all_of_them_hold() {
        let folder = tempfile::tempdir().unwrap();
        let limits = ["2/minute", "3/hour"].map(|limit| ActionLimit::parse(limit).unwrap());
        let take = |now| take(folder.path(), "a", &limits, now).unwrap();
        assert_eq!((take(10_000_000), take(10_001_000)), (Ok(()), Ok(())));
        assert_eq!(take(10_002_000), Err((limits[0], Duration::from_secs(58))));
        // What is out of the shorter span is still within the longer.
        assert_eq!(take(10_070_000), Ok(()));
        assert_eq!(take(10_200_000), Err((limits[1], Duration::from_secs(3400))));
    }
}
