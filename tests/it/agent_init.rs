//! The shim, run as the built binary. It is not PID 1 here, so the kernel is asked to give it its orphans.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::fake_gate::{FakeGate, error, until};

struct Shim {
    child: Child,
    stdout: BufReader<ChildStdout>,
    address: SocketAddr,
    folder: tempfile::TempDir,
}

/// A loopback address that no other test uses.
fn address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let pid = std::process::id().to_le_bytes();
    let next = NEXT.fetch_add(1, Ordering::SeqCst).to_le_bytes();
    SocketAddr::from(([127, 64 | (pid[1] & 63), pid[0], next[0].max(1)], 4180))
}

fn command(folder: &Path, address: SocketAddr, argv: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_taskforge"));
    command.args(["agent", "init", "--"]).args(argv);
    command.env("TASKFORGE_GATE_SOCKET", folder.join("gate.sock"));
    command.env("TASKFORGE_GATE", format!("http://{address}")).env("TASKFORGE_WORKSPACE", folder);
    command.stdin(Stdio::null());
    command
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("gate.sock");
    (folder, socket)
}

impl Shim {
    fn start(folder: tempfile::TempDir, script: &str) -> Self {
        Self::start_with(folder, script, |_| {})
    }

    fn start_with(folder: tempfile::TempDir, script: &str, adjust: impl FnOnce(&mut Command)) -> Self {
        let address = address();
        let mut command = command(folder.path(), address, &["sh", "-c", script]);
        adjust(&mut command);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdout, address, folder }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    fn code(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Shim {
    fn drop(&mut self) {
        // TERM is forwarded, so that the program ends with a shim that a failed test leaves behind.
        let _ = kill_process(self.pid(), Signal::TERM);
        for _ in 0..40 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn exists(pid: &str) -> bool {
    assert!(pid.parse::<u32>().is_ok(), "{pid:?} is no process id");
    Path::new("/proc").join(pid).exists()
}

fn parent(pid: &str) -> Option<String> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| Some(line.strip_prefix("PPid:")?.trim().to_owned()))
}

fn is_dead(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !exists(pid) || stat.contains(") Z ")
}

#[test]
fn passes_the_exit_code_on() {
    let (folder, socket) = folder();
    let _gate = FakeGate::start(&socket);
    for (argv, code) in [
        (["sh", "-c", "exit 7"].as_slice(), 7),
        (&["sh", "-c", "exit 0"], 0),
        (&["sh", "-c", "exit 75"], 75),
        (&["sh", "-c", "kill -KILL $$"], 137),
        (&["sh", "-c", "pwd > here; exec /bin/false"], 1),
        (&["/no/such/program"], 127),
        (&["/etc/passwd"], 126),
    ] {
        let status = command(folder.path(), address(), argv).status().unwrap();
        assert_eq!(status.code(), Some(code), "{argv:?}");
    }
    let here = std::fs::read_to_string(folder.path().join("here")).unwrap();
    assert_eq!(Path::new(here.trim()), folder.path().canonicalize().unwrap());
}

#[test]
fn forwards_signals_to_the_whole_group() {
    let (folder, socket) = folder();
    let _gate = FakeGate::start(&socket);
    // Not INT: shells let what they start in the background ignore it.
    for (signal, name) in [(Signal::TERM, "TERM"), (Signal::HUP, "HUP"), (Signal::USR1, "USR1")] {
        let script = format!(
            "trap 'until [ -e heard ]; do sleep 0.02; done; echo both; exit 41' {name}
             sh -c 'trap \": > heard; exit\" {name}; : > up; while :; do sleep 0.05; done' &
             until [ -e up ]; do sleep 0.02; done; echo ready; while :; do sleep 0.05; done"
        );
        let inner = tempfile::tempdir_in(folder.path()).unwrap();
        let mut shim = Shim::start_with(inner, &script, |command| {
            command.env("TASKFORGE_GATE_SOCKET", &socket);
        });
        assert_eq!(shim.line(), "ready");
        kill_process(shim.pid(), signal).unwrap();
        assert_eq!(shim.line(), "both", "{name}");
        assert_eq!(shim.code(), Some(41), "{name}");
    }
}

#[test]
fn reaps_orphans() {
    let (folder, socket) = folder();
    let _gate = FakeGate::start(&socket);
    let script = "sh -c 'sh -c \"echo \\$\\$; until [ -e go ]; do sleep 0.02; done\" &'; \
                  until [ -e done ]; do sleep 0.02; done; exit 3";
    let mut shim = Shim::start(folder, script);
    let orphan = shim.line();
    let adopter = shim.child.id().to_string();
    until("the shim has adopted the orphan", || parent(&orphan) == Some(adopter.clone()));
    std::fs::write(shim.folder.path().join("go"), "").unwrap();
    until("the orphan is reaped", || !exists(&orphan));
    std::fs::write(shim.folder.path().join("done"), "").unwrap();
    assert_eq!(shim.code(), Some(3));
}

#[test]
fn ends_the_group_at_the_deadline() {
    let (folder, socket) = folder();
    let _gate = FakeGate::start(&socket);
    // Neither of them listens to TERM.
    let script = "trap '' TERM; sh -c 'trap \"\" TERM; echo $$; while :; do sleep 0.1; done' & \
                  while :; do sleep 0.1; done";
    let deadline = (chrono::Utc::now() + Duration::from_secs(3)).to_rfc3339();
    let mut shim = Shim::start_with(folder, script, |command| {
        command.env("TASKFORGE_DEADLINE", deadline);
    });
    let grandchild = shim.line();
    assert_eq!(shim.code(), Some(124));
    until("the grandchild is dead", || is_dead(&grandchild));
}

#[test]
fn a_program_that_ends_in_time_after_term_still_ran_out_of_time() {
    let (folder, socket) = folder();
    let _gate = FakeGate::start(&socket);
    let deadline = (chrono::Utc::now() + Duration::from_secs(2)).to_rfc3339();
    let script = "trap 'echo saved; exit 0' TERM; while :; do sleep 0.05; done";
    let mut shim = Shim::start_with(folder, script, |command| {
        command.env("TASKFORGE_DEADLINE", deadline);
    });
    assert_eq!(shim.line(), "saved");
    assert_eq!(shim.code(), Some(124));
}

#[test]
fn nothing_starts_when_it_must_not() {
    let (folder, socket) = folder();
    let gate = FakeGate::start(&socket);
    let run = |name: &str, value: &str| {
        let mut command = command(folder.path(), address(), &["touch", "ran"]);
        if !name.is_empty() {
            command.env(name, value);
        }
        command.status().unwrap().code()
    };
    assert_eq!(run("TASKFORGE_DEADLINE", "2020-01-01T00:00:00Z"), Some(124));
    assert_eq!(run("TASKFORGE_DEADLINE", "soon"), Some(1));
    assert_eq!(run("TASKFORGE_GATE", "http://0.0.0.0:4180"), Some(1));
    for (status, code) in [(423, "killed"), (403, "closed"), (500, "broken")] {
        gate.state().hello = Some((status, error(code, "no")));
        assert_eq!(run("", ""), Some(72), "{code}");
    }
    assert!(!folder.path().join("ran").exists());
    gate.state().hello = None;
    assert_eq!(run("", ""), Some(0));
    assert!(folder.path().join("ran").exists());
}

#[test]
fn a_gate_that_never_comes_is_a_refusal() {
    let (folder, _) = folder();
    let status = command(folder.path(), address(), &["touch", "ran"]).status().unwrap();
    assert_eq!(status.code(), Some(72));
    assert!(!folder.path().join("ran").exists());
}

#[test]
fn waits_for_a_gate_that_comes_later() {
    let (folder, socket) = folder();
    let mut shim = Shim::start(folder, "exit 6");
    std::thread::sleep(Duration::from_millis(300));
    assert!(shim.child.try_wait().unwrap().is_none());
    let _gate = FakeGate::start(&socket);
    assert_eq!(shim.code(), Some(6));
}

#[test]
fn forwards_both_directions_and_half_closes() {
    let (folder, socket) = folder();
    let _gate = FakeGate::start(&socket);
    let mut shim = Shim::start(folder, "echo ready; until [ -e done ]; do sleep 0.02; done");
    assert_eq!(shim.line(), "ready");

    let sent: Vec<u8> = (0..10_000_000u32).flat_map(|n| [b'#', (n % 251) as u8]).take(10_000_000).collect();
    let stream = TcpStream::connect(shim.address).unwrap();
    let (mut reading, mut writing) = (stream.try_clone().unwrap(), stream);
    let expected = sent.clone();
    let writer = std::thread::spawn(move || {
        writing.write_all(&sent).unwrap();
        // The other direction stays open.
        writing.shutdown(Shutdown::Write).unwrap();
    });
    let mut received = Vec::new();
    reading.read_to_end(&mut received).unwrap();
    writer.join().unwrap();
    let trailer = received.split_off(expected.len());
    assert!(received == expected, "the bytes differ");
    assert_eq!(trailer, b"|10000000");

    std::fs::write(shim.folder.path().join("done"), "").unwrap();
    assert_eq!(shim.code(), Some(0));
}

#[test]
fn serves_more_clients_than_it_has_seats() {
    let (folder, socket) = folder();
    let _gate = FakeGate::start(&socket);
    let mut shim = Shim::start(folder, "echo ready; until [ -e done ]; do sleep 0.02; done");
    assert_eq!(shim.line(), "ready");
    let mut clients: Vec<TcpStream> = (0..200).map(|_| TcpStream::connect(shim.address).unwrap()).collect();
    for client in &mut clients {
        client.write_all(b"x").unwrap();
    }
    // Those that sit are served; closing them lets the others in.
    for mut client in clients {
        client.shutdown(Shutdown::Write).unwrap();
        let mut text = String::new();
        client.read_to_string(&mut text).unwrap();
        assert_eq!(text, "x|1");
    }
    std::fs::write(shim.folder.path().join("done"), "").unwrap();
    assert_eq!(shim.code(), Some(0));
}

#[test]
fn a_gate_that_restarts_ends_nothing_and_a_kill_does() {
    let (folder, socket) = folder();
    let mut gate = FakeGate::start(&socket);
    let mut shim = Shim::start(folder, "trap '' TERM; echo $$; while :; do sleep 0.05; done");
    let program = shim.line();

    gate.state().hello = Some((503, error("starting", "not yet")));
    let before = gate.state().hellos;
    until("the shim has heard 503 twice", || gate.state().hellos >= before + 2);
    gate.stop();
    // A client that comes while the gate is away waits for it.
    let mut early = TcpStream::connect(shim.address).unwrap();
    early.write_all(b"early").unwrap();
    early.shutdown(Shutdown::Write).unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    gate.state().hello = None;
    gate.listen();
    let mut text = String::new();
    early.read_to_string(&mut text).unwrap();
    assert_eq!(text, "early|5");
    let before = gate.state().hellos;
    until("the shim has found the new gate", || gate.state().hellos > before);
    assert!(!is_dead(&program) && shim.child.try_wait().unwrap().is_none());

    gate.kill();
    assert_eq!(shim.code(), Some(72));
    until("the program is dead", || is_dead(&program));
}
