//! Locks that the kernel holds: when their process ends, however it ends, they are free. No lock here is ever waited for
//! without a bound, and none is a file that somebody has to remove.

mod agent;
mod drive;
mod image;
mod kill;
mod ports;
mod run;
mod schedules;
mod seal;
mod start;
mod vault;
mod watch;

#[cfg(test)]
mod tests;

pub use self::agent::AgentLock;
pub use self::drive::DriveLock;
pub use self::image::ImageLock;
pub use self::kill::KillLock;
pub use self::ports::PortsLock;
pub use self::run::RunLock;
pub use self::schedules::SchedulesLock;
pub use self::seal::SealLock;
pub use self::start::StartPermit;
pub use self::vault::VaultLock;
pub use self::watch::WatchLock;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;

use super::error::{Error, Result};

/// How long a command waits for a run's lock: OpenTask's service may hold it through gateway calls.
pub const WAIT: Duration = Duration::from_secs(10);

/// How a lock is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hold {
    Shared,
    Exclusive,
}

/// Takes the lock on `path` within `wait`; `None` if somebody else holds it for longer. The file is made if its folder
/// exists. It is close-on-exec: a child of ours that shall hold a lock takes it itself.
fn take(path: &Path, hold: Hold, wait: Duration) -> Result<Option<File>> {
    let deadline = Instant::now() + wait;
    let (at_once, queued) = match hold {
        Hold::Shared => (FlockOperation::NonBlockingLockShared, FlockOperation::LockShared),
        Hold::Exclusive => (FlockOperation::NonBlockingLockExclusive, FlockOperation::LockExclusive),
    };
    loop {
        let mut file = open(path).map_err(Error::io("open the lock", path))?;
        match flock(&file, at_once) {
            Ok(()) => {}
            Err(Errno::INTR) => continue,
            Err(Errno::WOULDBLOCK) => {
                let left = deadline.saturating_duration_since(Instant::now());
                let Some(held) = stand_in_line(file, queued, left).map_err(Error::errno("lock", path))? else {
                    return Ok(None);
                };
                file = held;
            }
            Err(errno) => return Err(Error::errno("lock", path)(errno)),
        }
        // If not, the folder was removed and made again between our two calls: this is a lock on nothing.
        if stands(&file, path) {
            return Ok(Some(file));
        }
    }
}

/// Waits in the kernel's queue, which is fair and hands a lock on at once, but has no bound on its waiting: so a thread
/// waits there, and we for the thread. One that we no longer wait for gives the lock back as soon as it has it, or ends
/// with the process.
fn stand_in_line(file: File, operation: FlockOperation, left: Duration) -> Result<Option<File>, Errno> {
    if left.is_zero() {
        return Ok(None);
    }
    let (sender, receiver) = mpsc::sync_channel(1);
    let queue = move || {
        let taken = loop {
            match flock(&file, operation) {
                Err(Errno::INTR) => {}
                other => break other.map(|()| file),
            }
        };
        // Nobody waits any more: the file is dropped here, and the lock with it.
        let _ = sender.send(taken);
    };
    if thread::Builder::new().stack_size(64 << 10).spawn(queue).is_err() {
        return Err(Errno::AGAIN);
    }
    match receiver.recv_timeout(left) {
        Ok(taken) => taken.map(Some),
        Err(_) => Ok(None),
    }
}

fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o644)
        .custom_flags(i32::try_from(flags.bits()).unwrap_or_default())
        .open(path)
}

/// Whether the locked file is still the one under this name.
fn stands(file: &File, path: &Path) -> bool {
    match (file.metadata(), path.symlink_metadata()) {
        (Ok(held), Ok(named)) => (held.dev(), held.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}
