//! A neighbour on the same machine, with something to lose.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cage::wait_for;
use crate::product::{BASE, docker};

pub struct Victim {
    pub id: String,
    pub secret: String,
    pub out: PathBuf,
    pub pid: u32,
}

impl Victim {
    /// Of the agent's own user: nothing but the box keeps the two apart.
    pub fn new(folder: &Path, label: &str, user: (u32, u32)) -> Self {
        let number = ulid::Ulid::generate().to_string();
        let out = folder.join("victims").join(&number);
        fs::create_dir_all(&out).unwrap();
        std::os::unix::fs::chown(&out, Some(user.0), Some(user.1)).unwrap();
        let secret = format!("secret-{number}");
        let volume = format!("{}:/out", out.display());
        let code = folder.join("victim.py");
        fs::write(&code, include_str!("victim.py")).unwrap();
        let code = format!("{}:/victim.py:ro", code.display());
        let (user, env) = (format!("{}:{}", user.0, user.1), format!("VICTIM_SECRET={secret}"));
        let id = docker(&[
            "run",
            "-d",
            "--network",
            "none",
            "--label",
            label,
            "--ipc",
            "shareable",
            "--user",
            &user,
            "-e",
            &env,
            "-v",
            &volume,
            "-v",
            &code,
            BASE,
            "python3",
            "/victim.py",
        ]);
        wait_for(&out.join("victim.json"));
        let pid = docker(&["inspect", "-f", "{{.State.Pid}}", &id]).parse().unwrap();
        Self { id, secret, out, pid }
    }

    /// Where its secrets are, in its own words.
    pub fn told(&self) -> String {
        fs::read_to_string(self.out.join("victim.json")).unwrap()
    }

    /// What it noted of `what`.
    pub fn noted(&self, what: &str) -> Option<String> {
        fs::read(self.out.join(what)).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rm", "-f", &self.id]).output();
    }
}
