//! Looking at how much the workspace takes, from inside and between the host's looks. No guard: the host looks for itself,
//! and the kernel keeps a workspace that is an image.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::registry::usage;

/// Between two looks at least; and of the time no more than a twentieth part is spent looking.
const LOOK: Duration = Duration::from_secs(1);
const SHARE: u32 = 20;

/// Begins to look. What is returned is ready when `workspace` takes more than `limit` bytes, or holds more files than it may.
pub(super) fn until_exceeded(workspace: PathBuf, limit: Option<u64>) -> impl Future<Output = ()> {
    let (sender, exceeded) = oneshot::channel();
    if let Some(limit) = limit.filter(|limit| !is_bounded(&workspace, *limit)) {
        look(workspace, limit, sender);
    }
    async {
        // Also if nobody looks.
        if exceeded.await.is_err() {
            std::future::pending().await
        }
    }
}

fn look(workspace: PathBuf, limit: u64, sender: oneshot::Sender<()>) {
    let look = move || {
        let mut pause = LOOK;
        loop {
            std::thread::sleep(pause);
            if sender.is_closed() {
                return;
            }
            let begun = Instant::now();
            if usage::exceeds(&workspace, limit) {
                let _ = sender.send(());
                return;
            }
            pause = LOOK.max(begun.elapsed() * SHARE);
        }
    };
    // A thread from the start on: later there may be no room for one.
    let _ = std::thread::Builder::new().name("disk".to_owned()).spawn(look);
}

/// Whether the file system itself is about that large: an image, in which the kernel writes no more.
fn is_bounded(workspace: &Path, limit: u64) -> bool {
    let most = limit.saturating_add(limit / 16).saturating_add(32 << 20);
    rustix::fs::statvfs(workspace).is_ok_and(|found| found.f_blocks.saturating_mul(found.f_frsize) <= most)
}
