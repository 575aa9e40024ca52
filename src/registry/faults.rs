//! The fault seam: records the calls of [`disk`](super::disk) on this thread and makes a chosen one fail. Exists only in tests
//! and under the feature `faults`, where `TASKFORGE_FAULT=exit:N` ends the process before the N-th call.

use std::cell::RefCell;
use std::io;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::disk::Op;

/// A call as recorded, in the order of calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Call {
    Create(PathBuf),
    MakeDir(PathBuf),
    Write {
        path: PathBuf,
        offset: u64,
        bytes: Vec<u8>,
    },
    Sync(PathBuf),
    SyncDir(PathBuf),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
    /// Not a call: the caller was told that its work is done.
    #[cfg_attr(not(test), allow(dead_code))]
    Acknowledged,
}

/// What happens to the chosen call.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(test), allow(dead_code))]
pub(crate) enum Fault {
    /// Fails with this error number and does nothing.
    Error(i32),
    /// A write that takes only this many bytes.
    Short(usize),
}

#[derive(Default)]
struct Script {
    recording: bool,
    calls: Vec<Call>,
    faults: Vec<(usize, Fault)>,
}

thread_local! {
    static SCRIPT: RefCell<Script> = RefCell::default();
}

/// Called before each call; how many bytes a write may take.
pub(crate) fn pass(op: Op<'_>) -> io::Result<usize> {
    exit_if_asked();
    SCRIPT.with_borrow_mut(|script| {
        if !script.recording {
            return Ok(usize::MAX);
        }
        let index = script.calls.len();
        let fault = script.faults.iter().find(|(at, _)| *at == index).map(|(_, fault)| *fault);
        let mut allowed = usize::MAX;
        let mut call = match op {
            Op::Create(path) => Call::Create(path.to_owned()),
            Op::MakeDir(path) => Call::MakeDir(path.to_owned()),
            Op::Append(file, path, bytes) => {
                let offset = file.metadata()?.len();
                Call::Write { path: path.to_owned(), offset, bytes: bytes.to_owned() }
            }
            Op::Overwrite(path, offset, bytes) => {
                Call::Write { path: path.to_owned(), offset, bytes: bytes.to_owned() }
            }
            Op::Sync(path) => Call::Sync(path.to_owned()),
            Op::SyncDir(path) => Call::SyncDir(path.to_owned()),
            Op::Rename(from, to) => Call::Rename(from.to_owned(), to.to_owned()),
            Op::Remove(path) => Call::Remove(path.to_owned()),
        };
        let outcome = match fault {
            Some(Fault::Error(errno)) => Err(io::Error::from_raw_os_error(errno)),
            Some(Fault::Short(count)) => {
                if let Call::Write { bytes, .. } = &mut call {
                    bytes.truncate(count);
                }
                allowed = count;
                Ok(())
            }
            None => Ok(()),
        };
        script.calls.push(call);
        outcome.map(|()| allowed)
    })
}

fn exit_if_asked() {
    static ASKED: OnceLock<Option<u64>> = OnceLock::new();
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let asked = ASKED.get_or_init(|| std::env::var("TASKFORGE_FAULT").ok()?.strip_prefix("exit:")?.parse().ok());
    if asked.is_some_and(|at| COUNT.fetch_add(1, Ordering::SeqCst) + 1 == at) {
        // As hard as SIGKILL: no destructor runs, no buffer is flushed.
        std::process::abort();
    }
}

#[cfg(test)]
pub(crate) mod control {
    use super::{Call, Fault, SCRIPT, Script};

    /// Starts recording on this thread, with faults at the calls of these positions, counted from 0.
    pub(crate) fn record(faults: &[(usize, Fault)]) {
        SCRIPT.set(Script { recording: true, calls: Vec::new(), faults: faults.to_vec() });
    }

    /// Notes that everything so far was acknowledged.
    pub(crate) fn acknowledged() {
        SCRIPT.with_borrow_mut(|script| script.calls.push(Call::Acknowledged));
    }

    /// Stops recording and returns the calls.
    pub(crate) fn stop() -> Vec<Call> {
        SCRIPT.take().calls
    }
}
