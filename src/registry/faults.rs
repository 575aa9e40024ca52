//! The fault seam: records the calls of [`disk`](super::disk) on this thread and makes a chosen one fail. Exists only in
//! unoptimised builds: a release build does not contain it. There, `TASKFORGE_FAULT` says what happens to the whole process:
//! `exit:N` ends it right before its N-th call, as hard as SIGKILL does; `ENOSPC:N` and `EIO:N` make that call fail, and with
//! `ENOSPC:N+` every later one, too; `skip:N` leaves out the N-th sync and says that it was made.

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
    let asked = Asked::of_process();
    if let Some(asked) = asked {
        return asked.strike(op);
    }
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

/// What the environment asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Asked {
    /// Counted from 1.
    at: u64,
    what: What,
    /// Every call from there on.
    onwards: bool,
}

/// What happens to the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// The process ends.
    Exit,
    /// It fails with this error number.
    Error(i32),
    /// It is not made; only syncs are counted.
    Skip,
}

impl Asked {
    fn of_process() -> Option<Self> {
        static ASKED: OnceLock<Option<Asked>> = OnceLock::new();
        *ASKED.get_or_init(|| Self::parse(&std::env::var("TASKFORGE_FAULT").ok()?))
    }

    fn parse(text: &str) -> Option<Self> {
        let (what, place) = text.split_once(':')?;
        let what = match what {
            "exit" => What::Exit,
            "skip" => What::Skip,
            "ENOSPC" => What::Error(rustix::io::Errno::NOSPC.raw_os_error()),
            "EIO" => What::Error(rustix::io::Errno::IO.raw_os_error()),
            _ => return None,
        };
        let at = place.strip_suffix('+').unwrap_or(place).parse().ok()?;
        Some(Self { at, what, onwards: place.ends_with('+') })
    }

    fn strike(self, op: Op<'_>) -> io::Result<usize> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        if self.what == What::Skip && !matches!(op, Op::Sync(_) | Op::SyncDir(_)) {
            return Ok(usize::MAX);
        }
        let call = COUNT.fetch_add(1, Ordering::SeqCst) + 1;
        if call != self.at && !(self.onwards && call > self.at) {
            return Ok(usize::MAX);
        }
        // What takes no room works on a full disk: that is what the kill file is preallocated for.
        let takes_room = matches!(op, Op::Create(_) | Op::MakeDir(_) | Op::Append(..));
        match self.what {
            What::Skip => Ok(0),
            What::Error(errno) if errno == rustix::io::Errno::NOSPC.raw_os_error() && !takes_room => Ok(usize::MAX),
            What::Error(_) if matches!(op, Op::Remove(_)) => Ok(usize::MAX),
            What::Error(errno) => Err(io::Error::from_raw_os_error(errno)),
            What::Exit => {
                let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
                std::process::abort()
            }
        }
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

#[cfg(test)]
mod tests {
    use super::{Asked, What};

    #[test]
    fn what_the_environment_can_ask_for() {
        let asked = |at, what, onwards| Some(Asked { at, what, onwards });
        assert_eq!(Asked::parse("exit:3"), asked(3, What::Exit, false));
        assert_eq!(Asked::parse("ENOSPC:1+"), asked(1, What::Error(28), true));
        assert_eq!(Asked::parse("EIO:12"), asked(12, What::Error(5), false));
        assert_eq!(Asked::parse("skip:2"), asked(2, What::Skip, false));
        for wrong in ["", "exit", "exit:", "exit:x", "EPERM:1", "ENOSPC:+"] {
            assert_eq!(Asked::parse(wrong), None, "{wrong}");
        }
    }
}
