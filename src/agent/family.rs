//! The program an attempt runs, and everything it starts. As PID 1 the shim inherits every orphan, so it reaps them
//! all; outside a container (in tests, or under another init) it asks the kernel for the same duty.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process_group, set_child_subreaper, wait};

use super::error::AgentError;

/// A running child in a process group of its own.
#[derive(Debug)]
pub(crate) struct Family {
    child: Pid,
    is_init: bool,
    code: Option<u8>,
}

impl Family {
    /// Starts `argv` in `workdir`. The caller listens for SIGCHLD already, or it could miss the end.
    pub(crate) fn start(argv: &[OsString], workdir: &Path) -> Result<Self, AgentError> {
        let is_init = getpid() == Pid::INIT;
        if !is_init {
            // Only orphans stay unreaped if the kernel refuses, and only outside a container.
            let _ = set_child_subreaper(Some(getpid()));
        }
        let Some((program, arguments)) = argv.split_first() else {
            return Err(AgentError::Usage("no program to run: `taskforge agent init -- PROGRAM [ARGUMENT…]`".into()));
        };
        let spawned = Command::new(program).args(arguments).current_dir(workdir).process_group(0).spawn();
        match spawned {
            Ok(child) => Ok(Self { child: Pid::from_child(&child), is_init, code: None }),
            // `current_dir` fails like an absent program; say which of the two it was.
            Err(source) if !workdir.is_dir() => {
                Err(AgentError::Spawn { program: format!("{} in {}", program.display(), workdir.display()), source })
            }
            Err(source) => Err(AgentError::Spawn { program: program.display().to_string(), source }),
        }
    }

    /// To the child's process group, as a terminal would.
    pub(crate) fn signal(&self, signal: Signal) {
        // An empty group is one that has ended already.
        let _ = kill_process_group(self.child, signal);
    }

    /// To everything there is: as PID 1 also to those that left the group.
    pub(crate) fn signal_everything(&self, signal: Signal) {
        let whom = if self.is_init { Pid::INIT } else { self.child };
        let _ = kill_process_group(whom, signal);
    }

    /// Reaps whatever has ended.
    pub(crate) fn reap(&mut self) -> Reaped {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid == self.child => self.code = Some(exit_code(status)),
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) => return Reaped { code: self.code, all: false },
                // No child is left, and every orphan would have become one.
                Err(_) => return Reaped { code: self.code, all: true },
            }
        }
    }
}

/// What has ended so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reaped {
    /// The program's exit code, once it has one: 128 and the signal's number if a signal ended it.
    pub(crate) code: Option<u8>,
    /// Whether everything has ended, the program's orphans included.
    pub(crate) all: bool,
}

/// The program's code, but never 255: that is what the Engine says of a container whose end it did not see.
fn exit_code(status: WaitStatus) -> u8 {
    const LARGEST: u8 = 254;
    let number = match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => 128 + signal,
        (None, None) => i32::from(LARGEST),
    };
    u8::try_from(number).unwrap_or(LARGEST).min(LARGEST)
}
