//! What a resolving, fetching or building container may use.

use std::time::Duration;

/// Bounds on the disposable containers of this room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// From the start of the first container to the end of the last.
    pub wall: Duration,
    /// Bytes of memory, swap included.
    pub memory: u64,
    /// Bytes that a container may write, each for itself. They are counted while it works, so that it may get a second's
    /// worth further.
    pub disk: u64,
    /// Processes and threads.
    pub pids: i64,
    /// Bytes of a build's log.
    pub log: usize,
    /// Bytes that one command may print. What prints more says nothing that anybody would read.
    pub output: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            wall: Duration::from_secs(15 * 60),
            memory: 2 << 30,
            disk: 8 << 30,
            pids: 512,
            log: 1 << 20,
            output: 128 << 20,
        }
    }
}
