//! Wakes the gate when its policy or the kill folder may have changed: inotify where it works, a short period always.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::sync::Notify;

/// How long a change goes unseen at most.
const PERIOD: Duration = Duration::from_millis(100);
/// How often the watching thread looks whether it is still wanted.
const LEASE: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// Waits for changes in folders.
pub(crate) struct Watch {
    changes: Arc<Notify>,
}

impl Watch {
    /// Watches `folders`. Without inotify (its limits are a user's, and shared) the period has to do.
    pub(crate) fn new(folders: &[&Path]) -> Self {
        let changes = Arc::new(Notify::new());
        if let Some(fd) = open(folders) {
            let told = Arc::downgrade(&changes);
            // Without the thread, too, the period has to do.
            let _ = std::thread::Builder::new().name("watch".to_owned()).spawn(move || watch(&fd, &told));
        }
        Self { changes }
    }

    /// Returns when something may have changed.
    pub(crate) async fn changed(&self) {
        let _ = tokio::time::timeout(PERIOD, self.changes.notified()).await;
    }
}

fn open(folders: &[&Path]) -> Option<OwnedFd> {
    let fd = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).ok()?;
    // Not MODIFY: the records grow in the same folder with every request. What is preallocated and overwritten in
    // place ends with CLOSE_WRITE.
    let what = WatchFlags::MOVED_TO | WatchFlags::CLOSE_WRITE | WatchFlags::CREATE | WatchFlags::DELETE;
    for folder in folders {
        inotify::add_watch(&fd, *folder, what | WatchFlags::ONLYDIR).ok()?;
    }
    Some(fd)
}

/// Tells of events until nobody waits for them any more.
fn watch(fd: &OwnedFd, told: &Weak<Notify>) {
    let mut buffer = [MaybeUninit::uninit(); 4096];
    loop {
        let ready = poll(&mut [PollFd::new(fd, PollFlags::IN)], Some(&LEASE));
        let Some(changes) = told.upgrade() else {
            return;
        };
        match ready {
            Ok(0) | Err(rustix::io::Errno::INTR) => continue,
            Ok(_) => {}
            Err(_) => return,
        }
        let mut events = inotify::Reader::new(fd, &mut buffer);
        while events.next().is_ok() {}
        changes.notify_one();
    }
}
