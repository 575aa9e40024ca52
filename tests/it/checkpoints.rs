//! Sealing, verifying by what was kept elsewhere, and an archive that is verified without the program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::scene::{Scene, text};

/// A run of one wait that ends by the operator's word: no container, no model.
const WORKFLOW: &str = "---\nworkflowId: small\ntitle: Small\nnodes:\n  - id: pause\n    title: Pause\n    kind: wait\n    \
                        waitFor:\n      type: manual\n---\n";

fn ended(run: &str) -> Scene {
    let scene = Scene::new();
    fs::write(scene.path("workflows/small.task.md"), WORKFLOW).unwrap();
    scene.tf(&["run", "start", "small", "--run-id", run]).ok();
    scene.tf(&["run", "cancel", run, "--reason", "enough"]).ok();
    scene
}

fn checkpoints(scene: &Scene, run: &str) -> Vec<PathBuf> {
    let folder = scene.path(&format!("runs/{run}/checkpoints"));
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// The archive, unpacked: the run's folder in it.
fn unpacked(scene: &Scene, run: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.tar");
    scene.tf(&["audit", "export", run, "-o", file.to_str().unwrap()]).ok();
    tar::Archive::new(fs::File::open(&file).unwrap()).unpack(folder.path()).unwrap();
    let run = folder.path().join(run);
    (folder, run)
}

fn script(folder: &Path, more: &[&str]) -> Output {
    Command::new("python3").arg(folder.join("verify.py")).arg(folder).args(more).output().unwrap()
}

fn says(output: &Output, code: i32, words: &str) {
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.code() == Some(code) && said.contains(words), "{words}: {output:?}");
}

#[test]
fn an_ended_run_is_sealed_and_once() {
    let scene = ended("r");
    assert_eq!(checkpoints(&scene, "r").len(), 1);
    let printed = scene.tf(&["audit", "checkpoint", "r"]).ok().stdout;
    assert!(printed.starts_with(&format!("taskforge/{}/r\n", scene.id())), "{printed}");
    assert_eq!(fs::read_to_string(&checkpoints(&scene, "r")[0]).unwrap(), printed);
    let again = scene.tf(&["audit", "seal", "r", "--json"]).ok().json();
    assert_eq!((again["new"].as_bool(), text(&again["note"])), (Some(false), printed));
    assert_eq!(checkpoints(&scene, "r").len(), 1);
    scene.tf(&["audit", "verify", "r"]).ok().says("1 checkpoint;");
    let key = fs::metadata(scene.path(".taskforge/keys/checkpoint.key")).unwrap();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&key.permissions()) & 0o777, 0o600);
}

#[test]
fn a_key_that_is_made_anew_leaves_the_old_checkpoints_true() {
    let scene = ended("r");
    fs::remove_file(scene.path(".taskforge/keys/checkpoint.key")).unwrap();
    scene.tf(&["event", "append", "r", "note.more"]).ok();
    assert_eq!(scene.read("checkpoint.pub").lines().count(), 2);
    assert!(checkpoints(&scene, "r").len() > 1);
    scene.tf(&["audit", "verify", "r"]).ok();
    let all = scene.tf(&["audit", "checkpoint", "r", "--all", "--json"]).ok().json();
    assert_eq!(all["checkpoints"].as_array().map(Vec::len), Some(checkpoints(&scene, "r").len()));
    // By the first key alone, the first checkpoint counts and the others do not.
    let first = scene.read("checkpoint.pub").lines().next().unwrap().to_owned() + "\n";
    fs::write(scene.path("first.pub"), first).unwrap();
    let keys = scene.path("first.pub");
    let report = scene.tf(&["audit", "verify", "r", "--json", "--keys", keys.to_str().unwrap()]).ok().json();
    assert_eq!(report[0]["checkpoints"], Value::from(1));
}

#[test]
fn what_a_checkpoint_from_elsewhere_finds() {
    let scene = ended("r");
    let kept = scene.path("kept.txt");
    fs::rename(&checkpoints(&scene, "r")[0], &kept).unwrap();
    let kept = kept.to_str().unwrap();
    scene.tf(&["audit", "verify", "r", "--checkpoint", kept]).ok().says("1 checkpoint;");
    scene.tf(&["audit", "verify", "--checkpoint", kept]).ok().says("1 checkpoint;");
    // Older than the journal is what a checkpoint becomes.
    scene.tf(&["event", "append", "r", "note.more"]).ok();
    scene.tf(&["audit", "verify", "r", "--checkpoint", kept]).ok();
    // Cut behind the first batch, with this machine's head and the checkpoints in the registry, which would tell.
    let path = scene.path("runs/r/events.jsonl");
    let whole = fs::read(&path).unwrap();
    let ends = |record: &Value| record["batch"][0] == record["batch"][1];
    let first = scene.journal("r").iter().position(ends).unwrap() + 1;
    let lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
    fs::write(&path, lines[..first].concat()).unwrap();
    fs::remove_dir_all(scene.path("runs/r/checkpoints")).unwrap();
    fs::remove_file(scene.path(".taskforge/heads/r")).unwrap();
    let said = scene.tf(&["audit", "verify", "r", "--checkpoint", kept]);
    said.exits(8).says("was cut: a checkpoint's head is at");
    // Nothing in the registry itself tells.
    scene.tf(&["audit", "verify", "r"]).ok();
    // Another history, sound in itself.
    let other = ended("r");
    fs::copy(other.path("runs/r/events.jsonl"), &path).unwrap();
    let said = scene.tf(&["audit", "verify", "r", "--checkpoint", kept]);
    said.exits(8).says("than a checkpoint's head says");
}

#[test]
fn a_note_that_is_none_is_named() {
    let scene = ended("r");
    let true_one = scene.tf(&["audit", "checkpoint", "r"]).ok().stdout;
    let path = scene.path("note.txt");
    let verify = |note: &str, code: u8, words: &str| {
        fs::write(&path, note).unwrap();
        let said = scene.tf(&["audit", "verify", "r", "--checkpoint", path.to_str().unwrap()]);
        let said = said.exits(i32::from(code));
        assert!(said.whole().contains(words), "{words}: {}", said.whole());
    };
    verify(&true_one, 0, "2 checkpoints;");
    verify("", 2, "no blank line");
    verify("hello\n", 2, "no blank line");
    verify(&"x".repeat(1 << 20), 2, "bytes");
    let signature = true_one.lines().last().unwrap();
    verify(&format!("{true_one}{}", format!("{signature}\n").repeat(100)), 2, "more than 64 signatures");
    verify(&true_one.replace("taskforge/", "other/"), 2, "first line");
    verify(&true_one.replacen("/r\n", "/s\n", 1), 2, "not of `r`");
    verify(&true_one.replacen(&scene.id(), "01JD2Z3V5Q8M4K7N9P1R2S3T4V", 1), 8, "did not make");
    verify(&true_one.replacen("seq ", "seq 1", 1), 8, "did not make");
    verify(&true_one.replace("=\n", "\n"), 2, "base64");
    let other = ended("r");
    verify(&other.tf(&["audit", "checkpoint", "r"]).ok().stdout, 8, "signed by no key that is known here");
    let missing = scene.tf(&["audit", "verify", "r", "--checkpoint", "nowhere.txt"]);
    missing.exits(3).complains("nowhere.txt");
}

#[test]
fn a_journal_that_was_changed_is_not_sealed_and_a_key_that_is_none_is_named() {
    let scene = ended("r");
    let path = scene.path("runs/r/events.jsonl");
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, whole.replacen("operator", "operatos", 1)).unwrap();
    scene.tf(&["audit", "seal", "r"]).exits(8).complains("not sealed");
    scene.tf(&["audit", "export", "r", "-o", scene.path("x.tar").to_str().unwrap()]).exits(8);
    assert!(!scene.path("x.tar").exists());
    fs::write(&path, whole).unwrap();
    fs::write(scene.path(".taskforge/keys/checkpoint.key"), "rubbish").unwrap();
    scene.tf(&["audit", "seal", "r"]).exits(8).complains("checkpoint.key is no Ed25519 key");
    // The command is done all the same.
    let said = scene.tf(&["event", "append", "r", "note.more"]).ok();
    assert!(said.stderr.contains("is not sealed"), "{}", said.stderr);
    assert_eq!(text(&scene.show("r")["status"]), "cancelled");
}

#[test]
fn an_archive_is_verified_by_the_script_alone() {
    let scene = ended("r");
    let (folder, run) = unpacked(&scene, "r");
    says(&script(&run, &[]), 0, "sound: run r");
    let signed = String::from_utf8(script(&run, &[]).stdout).unwrap();
    assert!(!signed.contains("NOT checked"), "this test needs openssl: {signed}");
    says(
        &Command::new("python3").arg(run.join("verify.py")).arg(folder.path().join("run.tar")).output().unwrap(),
        0,
        "sound",
    );
    let (again, _) = unpacked(&scene, "r");
    let bytes = |folder: &tempfile::TempDir| fs::read(folder.path().join("run.tar")).unwrap();
    assert_eq!(bytes(&folder), bytes(&again), "the archive is not the same twice");

    let journal = run.join("events.jsonl");
    let whole = fs::read(&journal).unwrap();
    for at in (0..whole.len()).step_by(whole.len() / 12) {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        fs::write(&journal, changed).unwrap();
        says(&script(&run, &[]), 1, "NOT SOUND");
    }
    // Cut behind a whole line: the chain alone says nothing of it.
    let first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    fs::write(&journal, &whole[..first]).unwrap();
    says(&script(&run, &[]), 1, "events.jsonl was cut");
    fs::write(&journal, &whole).unwrap();
    let lock = run.join("workflow.lock.md");
    let text = fs::read(&lock).unwrap();
    fs::write(&lock, b"other").unwrap();
    says(&script(&run, &[]), 1, "workflow.lock.md is not what the journal says");
    fs::write(&lock, text).unwrap();
    says(&script(&run, &[]), 0, "sound");
    let note = fs::read_dir(run.join("checkpoints")).unwrap().next().unwrap().unwrap().path();
    let kept = folder.path().join("kept.txt");
    fs::copy(&note, &kept).unwrap();
    fs::write(&note, fs::read_to_string(&note).unwrap().replacen("seq ", "seq 1", 1)).unwrap();
    says(&script(&run, &[]), 1, "has a signature that its key did not make");

    // Another run under the same name, whole and sealed by its own key.
    let (_other, rewritten) = unpacked(&ended("r"), "r");
    says(&script(&rewritten, &[]), 0, "sound");
    let keys = folder.path().join("kept.pub");
    fs::copy(run.join("checkpoint.pub"), &keys).unwrap();
    let more = ["--checkpoint", kept.to_str().unwrap(), "--keys", keys.to_str().unwrap()];
    says(&script(&rewritten, &more), 1, "events.jsonl has other first");
    fs::copy(rewritten.join("events.jsonl"), &journal).unwrap();
    says(&script(&run, &more), 1, "NOT SOUND");
}
