//! Secrets from the command line to the gate, against Debian's `age` and real containers.

mod canary;
mod cli;
mod run;

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::scene::Scene;

/// A registry with a vault whose identity is behind no passphrase.
pub fn vault() -> Scene {
    let scene = Scene::new();
    scene.tf(&["secret", "init", "--no-passphrase"]).ok();
    scene
}

pub fn set(scene: &Scene, name: &str, value: &str) {
    scene.tf(&["secret", "set", name]).stdin(value).ok();
}

pub fn identity(scene: &Scene) -> PathBuf {
    scene.outside("home/.config/taskforge/vault").join(format!("{}.key", scene.id()))
}

/// What Debian's `age` makes of its arguments; standard output.
pub fn age(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut command = Command::new("age");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("`age` is missing: run `bash tests/setup.sh ensure_age`");
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "age {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// What a person at a terminal who types `answers` to the prompts sees, and the exit code.
pub fn at_a_terminal(scene: &Scene, arguments: &[&str], answers: &[&str]) -> (String, i32) {
    const SCRIPT: &str = r#"
import os, pty, select, sys
answers = [line.encode() + b"\n" for line in sys.argv[1].split("\x1f")] if sys.argv[1] else []
pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[2], sys.argv[2:])
seen, asked = b"", 0
while True:
    try:
        part = os.read(fd, 4096)
    except OSError:
        break
    if not part:
        break
    seen += part
    # A prompt ends with a colon and a blank, and waits.
    while answers and seen[asked:].rstrip(b" ").endswith(b":") and not select.select([fd], [], [], 0.2)[0]:
        asked = len(seen)
        os.write(fd, answers.pop(0))
sys.stdout.buffer.write(seen)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;
    let output = Command::new("python3")
        .args(["-c", SCRIPT, &answers.join("\u{1f}"), env!("CARGO_BIN_EXE_taskforge")])
        .args(arguments)
        .env_clear()
        .env("HOME", scene.outside("home"))
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("TASKFORGE_OPERATOR", "ada")
        .current_dir(scene.root())
        .output()
        .unwrap();
    let seen = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (seen, output.status.code().unwrap())
}
