//! Running a command under `ptrace` (x86-64): each call that touches the registry is seen before and after, and one of them
//! may be struck.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::replay::Call;
use super::tracee::{Open, Tracee, length, stands};

/// What happens at the chosen call, counted from 0 among those that touch the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strike {
    Nothing,
    /// The process is killed instead of making the call.
    KillBefore(usize),
    /// It is killed when the call has been made.
    KillAfter(usize),
    /// The call is not made, and fails with this error.
    Fail(usize, nix::errno::Errno),
    /// A write takes half of its bytes.
    Short(usize),
}

/// A call that touched the registry.
#[derive(Debug, Clone)]
pub struct Touch {
    /// What kind: `write`, `rename`, `open`, …
    pub name: &'static str,
    pub path: PathBuf,
    /// Whether it changes something, or makes a change durable.
    pub changes: bool,
}

/// How a traced command went.
pub struct Traced {
    pub touches: Vec<Touch>,
    /// The changes that were made, in order, paths relative to the registry.
    pub calls: Vec<Call>,
    /// None if it was killed.
    pub exit: Option<i32>,
    pub struck: bool,
    pub said: String,
}

/// A call between its two stops.
struct Pending {
    touch: Option<usize>,
    change: Option<Change>,
    fails: Option<nix::errno::Errno>,
}

/// What the call changes if it succeeds.
enum Change {
    Call(Call),
    /// The bytes that it actually took are known afterwards.
    Write {
        fd: i32,
        path: PathBuf,
        offset: u64,
        bytes: Vec<u8>,
        moves: bool,
    },
    Open {
        open: Open,
        new: bool,
    },
    Close(i32),
}

#[allow(clippy::zombie_processes)] // `follow` waits for it, by its number
pub fn trace(mut command: Command, root: &Path, strike: Strike) -> Traced {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).stdin(Stdio::null());
    // SAFETY: `traceme` is one system call, which is all that may happen between fork and exec.
    unsafe { command.pre_exec(|| ptrace::traceme().map_err(std::io::Error::from)) };
    let mut child = command.spawn().unwrap();
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    waitpid(pid, None).unwrap();
    let options = ptrace::Options::PTRACE_O_TRACESYSGOOD
        | ptrace::Options::PTRACE_O_EXITKILL
        | ptrace::Options::PTRACE_O_TRACECLONE;
    ptrace::setoptions(pid, options).unwrap();
    let tracee = Tracee { pid, cwd: root.to_owned(), open: BTreeMap::new() };
    let mut tracer = Tracer { root, tracee, strike, touches: Vec::new(), calls: Vec::new(), struck: false };
    let exit = tracer.follow();
    let Tracer { touches, calls, struck, .. } = tracer;
    // It is gone and waited for; what it said still lies in the pipes.
    let mut said = String::new();
    let _ = child.stdout.take().unwrap().read_to_string(&mut said);
    let _ = child.stderr.take().unwrap().read_to_string(&mut said);
    Traced { touches, calls, exit, struck, said }
}

struct Tracer<'a> {
    root: &'a Path,
    tracee: Tracee,
    strike: Strike,
    touches: Vec<Touch>,
    calls: Vec<Call>,
    struck: bool,
}

impl Tracer<'_> {
    /// Until the process is gone; its exit code if it was not killed.
    fn follow(&mut self) -> Option<i32> {
        let pid = self.tracee.pid;
        let mut pending: Option<Pending> = None;
        let mut signal = None;
        loop {
            if ptrace::syscall(pid, signal.take()).is_err() {
                return None;
            }
            match waitpid(pid, Some(WaitPidFlag::__WALL)).unwrap() {
                WaitStatus::Exited(_, code) => return Some(code),
                WaitStatus::Signaled(..) => return None,
                WaitStatus::PtraceSyscall(_) => match pending.take() {
                    None => pending = Some(self.enter()),
                    Some(call) => self.leave(call),
                },
                WaitStatus::PtraceEvent(..) => panic!("the command made a thread or a process, which is not followed"),
                WaitStatus::Stopped(_, Signal::SIGTRAP) => {}
                WaitStatus::Stopped(_, other) => signal = Some(other),
                _ => {}
            }
        }
    }

    fn kill(&mut self) {
        self.struck = true;
        let _ = nix::sys::signal::kill(self.tracee.pid, Signal::SIGKILL);
    }

    fn enter(&mut self) -> Pending {
        let mut registers = ptrace::getregs(self.tracee.pid).unwrap();
        let (touch, change) = self.look(&registers);
        let Some(touch) = touch else { return Pending { touch: None, change, fails: None } };
        let index = self.touches.len();
        let (writes, touched) = (touch.name == "write", touch.changes);
        self.touches.push(touch);
        let mut fails = None;
        match self.strike {
            Strike::KillBefore(at) if at == index => self.kill(),
            Strike::Fail(at, errno) if at == index && touched => {
                // No such call: the kernel does nothing, and the answer is ours to give.
                registers.orig_rax = u64::MAX;
                ptrace::setregs(self.tracee.pid, registers).unwrap();
                self.struck = true;
                fails = Some(errno);
            }
            Strike::Short(at) if at == index && writes && registers.rdx > 1 => {
                registers.rdx /= 2;
                ptrace::setregs(self.tracee.pid, registers).unwrap();
                self.struck = true;
            }
            _ => {}
        }
        Pending { touch: Some(index), change, fails }
    }

    fn leave(&mut self, pending: Pending) {
        let Ok(mut registers) = ptrace::getregs(self.tracee.pid) else { return };
        if let Some(errno) = pending.fails {
            registers.rax = (-i64::from(errno as i32)).cast_unsigned();
            ptrace::setregs(self.tracee.pid, registers).unwrap();
            return;
        }
        let result = registers.rax.cast_signed();
        if result >= 0
            && let Some(change) = pending.change
        {
            self.happened(change, result);
        }
        if pending.touch.is_some_and(|index| self.strike == Strike::KillAfter(index)) {
            self.kill();
        }
    }

    fn below(&self, path: &Path) -> PathBuf {
        path.strip_prefix(self.root).unwrap_or(path).to_owned()
    }

    fn happened(&mut self, change: Change, result: i64) {
        match change {
            Change::Call(call) => self.calls.push(call),
            Change::Write { fd, path, offset, mut bytes, moves } => {
                bytes.truncate(usize::try_from(result).unwrap());
                if moves && let Some(open) = self.tracee.open.get_mut(&fd) {
                    open.position = offset + bytes.len() as u64;
                }
                self.calls.push(Call::Write { path: self.below(&path), offset, bytes });
            }
            Change::Open { open, new } => {
                if new {
                    self.calls.push(Call::Create(self.below(&open.path)));
                }
                self.tracee.open.insert(i32::try_from(result).unwrap(), open);
            }
            Change::Close(fd) => {
                self.tracee.open.remove(&fd);
            }
        }
    }

    /// What the call that is about to be made touches and changes.
    fn look(&self, registers: &nix::libc::user_regs_struct) -> (Option<Touch>, Option<Change>) {
        let (a, b, c, d) = (registers.rdi, registers.rsi, registers.rdx, registers.r10);
        let fd = |register: u64| (register & 0xffff_ffff) as u32 as i32;
        let file = |register: u64| self.tracee.open.get(&fd(register)).map(|open| open.path.clone());
        let at = |folder: u64, address: u64| self.tracee.path(fd(folder), address);
        let call = |make: &dyn Fn(PathBuf) -> Call, path: &Path| Some(Change::Call(make(self.below(path))));
        let opened = |path: PathBuf, flags: u64| {
            let flags = nix::fcntl::OFlag::from_bits_truncate(i32::try_from(flags & 0x7fff_ffff).unwrap());
            let makes = flags.contains(nix::fcntl::OFlag::O_CREAT);
            let new = makes && !stands(&path) && path.starts_with(self.root);
            let append = flags.contains(nix::fcntl::OFlag::O_APPEND);
            (new, Change::Open { open: Open { path, append, position: 0 }, new })
        };
        let (name, path, changes, change) = match registers.orig_rax {
            1 | 18 => {
                let Some(open) = self.tracee.open.get(&fd(a)) else { return (None, None) };
                let moves = registers.orig_rax == 1;
                let offset = match (moves, open.append) {
                    (false, _) => d,
                    (true, true) => length(&open.path),
                    (true, false) => open.position,
                };
                let bytes = self.tracee.bytes(b, usize::try_from(c).unwrap());
                let (fd, path) = (fd(a), open.path.clone());
                ("write", path.clone(), true, Some(Change::Write { fd, path, offset, bytes, moves }))
            }
            2 | 257 => {
                let (path, flags) = if registers.orig_rax == 2 { (self.tracee.here(a), b) } else { (at(a, b), c) };
                let (new, change) = opened(path.clone(), flags);
                ("open", path, new, Some(change))
            }
            437 => {
                // struct open_how begins with the flags, 64 bits of them.
                let how = self.tracee.bytes(c, 8).try_into().map_or(0, u64::from_le_bytes);
                let path = at(a, b);
                let (new, change) = opened(path.clone(), how);
                ("open", path, new, Some(change))
            }
            3 => match file(a) {
                Some(path) => ("close", path, false, Some(Change::Close(fd(a)))),
                None => return (None, None),
            },
            73 => match file(a) {
                Some(path) => ("flock", path, false, None),
                None => return (None, None),
            },
            0 | 17 | 5 | 217 => match file(a) {
                Some(path) => ("read", path, false, None),
                None => return (None, None),
            },
            74 | 75 => match file(a) {
                Some(path) if path.is_dir() => ("sync", path.clone(), true, call(&Call::SyncDir, &path)),
                Some(path) => ("sync", path.clone(), true, call(&Call::Sync, &path)),
                None => return (None, None),
            },
            82 | 264 | 316 => {
                let (from, to) = if registers.orig_rax == 82 {
                    (self.tracee.here(a), self.tracee.here(b))
                } else {
                    (at(a, b), at(c, d))
                };
                let change = Change::Call(Call::Rename(self.below(&from), self.below(&to)));
                ("rename", to, true, Some(change))
            }
            83 | 258 => {
                let path = if registers.orig_rax == 83 { self.tracee.here(a) } else { at(a, b) };
                ("mkdir", path.clone(), true, call(&Call::MakeDir, &path))
            }
            87 | 84 | 263 => {
                let path = if registers.orig_rax == 263 { at(a, b) } else { self.tracee.here(a) };
                ("remove", path.clone(), true, call(&Call::Remove, &path))
            }
            77 => match file(a) {
                Some(path) => panic!("{} is cut, which nothing here may do", path.display()),
                None => return (None, None),
            },
            4 | 6 | 137 => ("look", self.tracee.here(a), false, None),
            _ => return (None, None),
        };
        if !path.starts_with(self.root) {
            // What it opens elsewhere is nobody's registry; what it closes has to be known all the same.
            return (None, change.filter(|change| matches!(change, Change::Close(_))));
        }
        (Some(Touch { name, path, changes }), change)
    }
}
