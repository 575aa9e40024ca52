//! Decisions that have to be signed, with the real `ssh-keygen` and the real `ssh-agent`.

mod allowed;
mod bad;
mod clone;
mod keys;
mod made;
mod rewritten;
mod ruled;
mod security_key;
mod unlock;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::scene::Scene;

pub const DECISION: &str = "taskforge-decision";
const ASK: &str = "---\nworkflowId: ask\ntitle: Ask\nnodes:\n  - id: ask\n    title: Go on?\n    kind: approval\n    prompt: Look.\n---\n";

/// A registry with one workflow, which is one question.
pub fn scene() -> Scene {
    let scene = Scene::new();
    scene.write("workflows/ask.task.md", ASK);
    scene
}

/// One in which ada decides, with an Ed25519 key where OpenSSH keeps it.
pub fn signed() -> Scene {
    let scene = scene();
    let key = scene.outside("home/.ssh/id_ed25519");
    make_key(&key, "ed25519", &[]);
    allow(&scene, &format!("ada {}", public(&key)));
    scene
}

/// An OpenSSH tool, and what has to be installed if there is none.
pub fn openssh(tool: &str) -> Command {
    let mut command = Command::new(tool);
    command.env_remove("SSH_AUTH_SOCK").env_remove("SSH_ASKPASS").stdin(Stdio::null());
    let there = Command::new("sh").args(["-c", &format!("command -v {tool}")]).output().unwrap().status.success();
    assert!(there, "`{tool}` is missing: `apt-get install openssh-client`");
    command
}

pub fn must(output: Output) -> String {
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    said
}

/// Makes a key pair with the real tool.
pub fn make_key(path: &Path, kind: &str, more: &[&str]) -> PathBuf {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut make = openssh("ssh-keygen");
    make.args(["-q", "-t", kind, "-C", "", "-f"]).arg(path).args(more);
    if !more.contains(&"-N") {
        make.args(["-N", ""]);
    }
    must(make.output().unwrap());
    path.to_owned()
}

/// `type base64` of a pair.
pub fn public(key: &Path) -> String {
    fs::read_to_string(key.with_extension("pub")).unwrap().trim().to_owned()
}

pub fn allow(scene: &Scene, lines: &str) {
    scene.write("allowed_signers", format!("# who decides\n{lines}\n"));
}

/// `ssh-keygen -Y sign`; the signature's bytes.
pub fn sign(key: &Path, namespace: &str, message: &[u8]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("message");
    fs::write(&file, message).unwrap();
    let mut sign = openssh("ssh-keygen");
    sign.args(["-q", "-Y", "sign", "-n", namespace, "-f"]).arg(key).arg(&file);
    must(sign.output().unwrap());
    fs::read(folder.path().join("message.sig")).unwrap()
}

/// `ssh-keygen -Y verify`, by the registry's own file.
pub fn ssh_keygen_verifies(scene: &Scene, name: &str, namespace: &str, file: &Path) {
    let mut signature = file.as_os_str().to_owned();
    signature.push(".sig");
    let mut verify = openssh("ssh-keygen");
    verify.args(["-Y", "verify", "-n", namespace, "-I", name, "-f"]).arg(scene.path("allowed_signers"));
    verify.arg("-s").arg(signature).stdin(fs::File::open(file).unwrap());
    assert!(must(verify.output().unwrap()).contains("Good"));
}

/// The id and the digest of what waits first in a run.
pub fn first(scene: &Scene, run: &str) -> (String, String) {
    let waiting = scene.waiting(run);
    let of = |field: &str| waiting[0][field].as_str().unwrap().to_owned();
    (of("id"), of("digest"))
}

/// Starts a run that waits for a decision, and what a person would write by hand to approve it.
pub fn asked(scene: &Scene, run: &str) -> Value {
    scene.start("ask", run);
    let (id, digest) = scene.the_one(run);
    json!({
        "format": 2, "registry": scene.id(), "request": id, "run": run, "verdict": "approve", "digest": digest,
        "comment": "", "by": "operator:ada", "at": now(),
    })
}

pub fn now() -> String {
    chrono::Utc::now().to_rfc3339()
}

pub fn bytes(decision: &Value) -> Vec<u8> {
    format!("{}\n", serde_json::to_string_pretty(decision).unwrap()).into_bytes()
}

pub fn path_of(decision: &Value) -> String {
    format!("decisions/{}.json", decision["request"].as_str().unwrap())
}

/// Puts a decision into place as git would, and its signature if there is one.
pub fn put(scene: &Scene, decision: &Value, signature: Option<&[u8]>) {
    if let Some(signature) = signature {
        scene.write(&format!("{}.sig", path_of(decision)), signature);
    }
    scene.write(&path_of(decision), bytes(decision));
}

pub fn status(scene: &Scene, run: &str) -> String {
    scene.show(run)["nodes"][0]["status"].as_str().unwrap().to_owned()
}

/// The record of the decision that completed the run's one node.
pub fn decision_of(scene: &Scene, run: &str) -> Value {
    let completed = scene.events(run, "node.completed");
    assert_eq!(completed.len(), 1, "{completed:#?}");
    completed[0]["data"]["decision"].clone()
}

/// An ssh-agent of its own, which ends with the test.
pub struct Agent {
    process: std::process::Child,
    pub socket: PathBuf,
}

impl Agent {
    pub fn start(folder: &Path) -> Self {
        let socket = folder.join("agent.sock");
        let process = openssh("ssh-agent").arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn().unwrap();
        let agent = Self { process, socket };
        while std::os::unix::net::UnixStream::connect(&agent.socket).is_err() {
            std::thread::yield_now();
        }
        agent
    }

    /// `ssh-add`, with the passphrase of the key if it has one.
    pub fn add(&self, key: &Path, passphrase: &str) {
        let mut add = self.asks(&key.with_extension("ask"), passphrase);
        must(add.arg("-q").arg(key).output().unwrap());
    }

    /// `ssh-add -x`: it holds its keys, and shows and uses none.
    pub fn lock(&self, ask: &Path) {
        must(self.asks(ask, "a word").arg("-x").output().unwrap());
    }

    /// An `ssh-add` that is told `answer` whatever it asks.
    fn asks(&self, ask: &Path, answer: &str) -> Command {
        fs::write(ask, format!("#!/bin/sh\necho '{answer}'\n")).unwrap();
        fs::set_permissions(ask, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let mut add = openssh("ssh-add");
        add.env("SSH_AUTH_SOCK", &self.socket).env("SSH_ASKPASS", ask).env("SSH_ASKPASS_REQUIRE", "force");
        add
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
