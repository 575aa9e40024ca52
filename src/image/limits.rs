//! What a resolving, fetching or building container may use.

use std::time::Duration;

/// Bounds on the disposable containers of this room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// From the start of the first container to the end of the last.
    pub wall: Duration,
    /// Bytes of memory, swap included.
    pub memory: u64,
    /// Processes and threads.
    pub pids: i64,
    /// Bytes of a build's log.
    pub log: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { wall: Duration::from_secs(15 * 60), memory: 2 << 30, pids: 512, log: 1 << 20 }
    }
}
