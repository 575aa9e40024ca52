//! A registry that is put back as it was before each trial, at the same place.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::replay::{Disk, ROOT};

pub const WORKFLOW: &str = "---
workflowId: w
title: W
nodes:
  - {id: a, title: A, kind: session_turn, prompt: do a, outputs: {mode: report}}
  - {id: b, title: B, kind: subagent, needs: [a], prompt: do b, outputs: {mode: notify}}
  - {id: gate, title: Gate, kind: approval, needs: [a], outputs: {mode: notify}}
  - {id: pause, title: Pause, kind: wait, waitFor: {type: manual}, outputs: {mode: notify}}
---
";

pub struct World {
    folder: tempfile::TempDir,
}

/// What a command said.
pub struct Said {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl World {
    /// In memory where there is room: what these trials sync is a matter of the recorded calls, not of a disk.
    pub fn new() -> Self {
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        fs::create_dir(folder.path().join("registry")).unwrap();
        fs::create_dir(folder.path().join("home")).unwrap();
        Self { folder }
    }

    pub fn root(&self) -> PathBuf {
        self.folder.path().join("registry")
    }

    /// Where the user's own files are. A case that strikes them, too, has a folder for them in the registry.
    fn home(&self) -> PathBuf {
        let inside = self.root().join("home");
        if inside.is_dir() { inside } else { self.folder.path().join("home") }
    }

    pub fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub fn read(&self, path: &str) -> Option<Vec<u8>> {
        fs::read(self.root().join(path)).ok()
    }

    pub fn command(&self, arguments: &[String]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_taskforge"));
        command.env_clear().current_dir(self.root()).args(arguments);
        command.env("HOME", self.home()).env("PATH", "/usr/bin:/bin");
        command.env("TASKFORGE_OPERATOR", "ada").env("DOCKER_HOST", "unix:///nonexistent/docker.sock");
        command
    }

    pub fn run(&self, arguments: &[String]) -> Said {
        let output = self.command(arguments).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Said { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    pub fn tf(&self, arguments: &[&str]) -> Said {
        self.run(&arguments.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    /// Runs what has to go well.
    pub fn ok(&self, arguments: &[&str]) -> String {
        let said = self.tf(arguments);
        assert_eq!(said.code, Some(0), "{arguments:?}: {}{}", said.stdout, said.stderr);
        said.stdout
    }

    pub fn snapshot(&self) -> Disk {
        Disk::of(&self.root())
    }

    /// The registry as `disk` has it.
    pub fn restore(&self, disk: &Disk) {
        clear(&self.root());
        disk.store(ROOT, &self.root());
        // A recorded disk knows no modes; these are looked at.
        for private in ["home", ".taskforge/vault"] {
            for_owner(&self.root().join(private));
        }
    }
}

pub fn for_owner(path: &Path) {
    let Ok(meta) = path.symlink_metadata() else { return };
    let mode = if meta.is_dir() { 0o700 } else { 0o600 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    if meta.is_dir() {
        fs::read_dir(path).unwrap().flatten().for_each(|entry| for_owner(&entry.path()));
    }
}

fn clear(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        if entry.file_type().unwrap().is_dir() {
            fs::remove_dir_all(entry.path()).unwrap();
        } else {
            fs::remove_file(entry.path()).unwrap();
        }
    }
}
