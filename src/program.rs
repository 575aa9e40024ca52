//! One run of a program that is not ours: bounded time, bounded output, no shell, and nothing left running after it.

use std::env;
use std::fmt;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

/// The executable file that a shell would run for the name `program`.
pub(crate) fn in_path(program: &Path) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let candidates = env::split_paths(&path).filter(|folder| folder.is_absolute()).map(|folder| folder.join(program));
    candidates
        .into_iter()
        .find(|path| path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0))
}

/// What a program printed, and how it ended.
pub(crate) struct Output {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    /// Its first bytes only.
    pub(crate) stderr: Vec<u8>,
}

/// Why there is no [`Output`].
pub(crate) enum Failure {
    Start(io::Error),
    TimedOut,
    TooMuch,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(error) => error.fmt(f),
            Self::TimedOut => f.write_str("it did not end in time and was stopped"),
            Self::TooMuch => f.write_str("it printed too much"),
        }
    }
}

/// Runs `command` with `stdin`, for `timeout` at most, taking at most `limit` bytes of standard output.
pub(crate) fn run(mut command: Command, stdin: &[u8], timeout: Duration, limit: u64) -> Result<Output, Failure> {
    let deadline = Instant::now() + timeout;
    // A group of its own: what the program started ends with it.
    command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(Failure::Start)?;
    let result = attend(&mut child, stdin, deadline, limit);
    if result.is_err() {
        end(&mut child);
    }
    result
}

fn attend(child: &mut Child, stdin: &[u8], deadline: Instant, limit: u64) -> Result<Output, Failure> {
    let (sender, receiver) = mpsc::sync_channel(2);
    if let Some(pipe) = child.stdout.take() {
        collect(pipe, limit.saturating_add(1), true, sender.clone());
    }
    if let Some(pipe) = child.stderr.take() {
        collect(pipe, 16 * 1024, false, sender);
    }
    if let Some(mut pipe) = child.stdin.take() {
        let bytes = stdin.to_owned();
        // A program that does not read what it is given is not a failure of the writing.
        thread::spawn(move || drop(pipe.write_all(&bytes)));
    }
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    loop {
        match receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok((true, bytes)) if bytes.len() as u64 > limit => return Err(Failure::TooMuch),
            Ok((true, bytes)) => stdout = bytes,
            Ok((false, bytes)) => stderr = bytes,
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => return Err(Failure::TimedOut),
        }
    }
    let status = wait(child, deadline)?;
    Ok(Output { status, stdout, stderr })
}

/// Reads to the end of `pipe` and keeps the first `limit` bytes; what is too much is known as soon as it came.
fn collect(mut pipe: impl Read + Send + 'static, limit: u64, cut: bool, sender: SyncSender<(bool, Vec<u8>)>) {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = pipe.by_ref().take(limit).read_to_end(&mut bytes);
        if read.is_ok() && !cut {
            let _ = io::copy(&mut pipe, &mut io::sink());
        }
        let _ = sender.send((cut, bytes));
    });
}

/// Its pipes are closed, so it is about to end; one that closed them and lives on is held to the deadline too.
fn wait(child: &mut Child, deadline: Instant) -> Result<ExitStatus, Failure> {
    let pid = Pid::from_child(child);
    let handle = pidfd_open(pid, PidfdFlags::empty()).map_err(|error| Failure::Start(error.into()))?;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(left.subsec_nanos()),
        };
        match poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&left)) {
            Ok(0) => return Err(Failure::TimedOut),
            Ok(_) => return child.wait().map_err(Failure::Start),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(Failure::Start(error.into())),
        }
    }
}

fn end(child: &mut Child) {
    // Not reaped yet, so the number is still its own.
    let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
    let _ = child.wait();
}

/// This binary under the name that outlives an upgrade: the one in `PATH` that leads to it, else where it lies.
pub(crate) fn own() -> io::Result<PathBuf> {
    let own = env::current_exe()?;
    let named = in_path(Path::new("taskforge")).filter(|path| path.canonicalize().is_ok_and(|found| found == own));
    match named {
        Some(path) => Ok(path),
        None if own.is_file() => Ok(own),
        None => Err(io::Error::new(io::ErrorKind::NotFound, "the binary was replaced while it ran")),
    }
}
