//! `run report`: where the page goes, what it may replace, and that making it changes nothing.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use serde_json::json;

use crate::scene::Scene;

const NOTES: &str = "---
workflowId: notes
title: \"Notes <script>alert(1)</script> @everyone\"
nodes:
  - {id: collect, title: Collect, kind: session_turn, prompt: Look.}
  - {id: hold, title: Freeze, kind: wait, waitFor: {type: manual}}
  - {id: ask, title: May they go out?, kind: approval, needs: [hold]}
  - {id: publish, title: Publish, kind: summary, needs: [collect, ask]}
---
";

/// A run that sessions do and a person decides in: no container, no gate.
fn scene() -> Scene {
    let scene = Scene::new();
    scene.write("workflows/notes.task.md", NOTES);
    scene.tf(&["run", "start", "notes", "--run-id", "n", "--detach"]).ok();
    scene.tf(&["tick", "n"]).ok();
    scene
}

#[test]
fn a_page_says_who_is_waited_for_and_what_was_decided() {
    let scene = scene();
    let page = scene.tf(&["run", "report", "n", "--html"]).ok().stdout;
    assert!(page.starts_with("<!doctype html>") && page.contains("taskforge control approve n hold"), "{page}");
    assert!(page.contains("Notes &lt;script&gt;") && !page.contains("<script"));
    scene.tf(&["control", "approve", "n", "hold"]).ok();
    scene.tf(&["tick", "n"]).ok();
    let (id, digest) = scene.the_one("n");
    assert!(scene.tf(&["run", "report", "n"]).ok().stdout.contains(&format!("`taskforge approve {id}`")));
    scene.tf(&["approve", &id, "--digest", &digest, "--comment", "looks |right| <b>"]).ok();
    let page = scene.tf(&["run", "report", "n", "--html"]).ok().stdout;
    assert!(page.contains("operator:ada") && page.contains("looks |right| &lt;b&gt;") && page.contains(&digest));
    let markdown = scene.tf(&["run", "report", "n", "--md"]).ok().stdout;
    assert!(markdown.contains("`looks \\|right\\| <b>`") && markdown.contains(&digest[..12]), "{markdown}");
    // The same run gives the same page, and without a word of format it is Markdown.
    assert_eq!(scene.tf(&["run", "report", "n"]).ok().stdout, markdown);
    assert_eq!(scene.tf(&["run", "report", "n", "--html"]).ok().stdout, page);
}

#[test]
fn a_file_is_replaced_only_by_a_newer_report_of_the_same_run() {
    let scene = scene();
    scene.tf(&["run", "report", "n", "-o", "page.html"]).ok().says("Wrote page.html");
    assert!(scene.read("page.html").contains("<svg"));
    assert_eq!(fs::metadata(scene.path("page.html")).unwrap().permissions().mode() & 0o600, 0o600);
    scene.tf(&["run", "report", "n", "-o", "page.html"]).ok();
    let written = scene.tf(&["--json", "run", "report", "n", "-o", "page.md"]).ok().json();
    assert_eq!((&written["format"], &written["path"]), (&json!("markdown"), &json!("page.md")));
    assert!(scene.read("page.md").starts_with("<!-- taskforge run report: n -->"));

    scene.tf(&["run", "start", "notes", "--run-id", "n2", "--detach"]).ok();
    scene.tf(&["run", "report", "n2", "-o", "page.html"]).exits(7).complains("no report of run `n2`");
    scene.write("mine.html", "<p>mine</p>");
    scene.tf(&["run", "report", "n", "-o", "mine.html"]).exits(7).complains("--force");
    assert_eq!(scene.read("mine.html"), "<p>mine</p>");
    scene.tf(&["run", "report", "n", "-o", "mine.html", "--force"]).ok();
    assert!(scene.read("mine.html").starts_with("<!doctype html>"));

    // A link is not followed: what it leads to stays.
    let target = scene.outside("target.html");
    fs::copy(scene.path("page.html"), &target).unwrap();
    let before = fs::read(&target).unwrap();
    symlink(&target, scene.path("link.html")).unwrap();
    scene.tf(&["run", "report", "n2", "-o", "link.html"]).exits(7);
    scene.tf(&["run", "report", "n2", "-o", "link.html", "--force"]).ok();
    assert_eq!(fs::read(&target).unwrap(), before);
    assert!(fs::symlink_metadata(scene.path("link.html")).unwrap().is_file());

    scene.tf(&["run", "report", "n", "-o", "nowhere/page.html"]).exits(1).complains("nowhere/page.html");
    scene.tf(&["run", "report", "n", "--html", "--md"]).exits(2);
    scene.tf(&["run", "report", "nobody"]).exits(3);
    let left = fs::read_dir(scene.root())
        .unwrap()
        .flatten()
        .filter(|e| e.file_name().to_string_lossy().starts_with(".report"));
    assert_eq!(left.count(), 0, "a half-written report was left");
}

#[test]
fn files_are_shown_as_the_journal_has_them() {
    let scene = Scene::new();
    let write = "command: [\"sh\", \"-c\", \"printf '# Left\\\\n\\\\na <script>x</script> **bold**\\\\n' > report.md; head -c 300000 /dev/zero > big.bin\"]";
    scene.commands("quick", &[("work", write, &["report.md", "big.bin"])]);
    scene.start("quick", "q");
    scene.drive("q", 0);
    let page = scene.tf(&["run", "report", "q", "--html"]).ok().stdout;
    assert!(page.contains("<strong>bold</strong>") && page.contains("&lt;script&gt;x&lt;/script&gt;"), "{page}");
    assert!(page.contains("too large to be shown here") && page.contains("attempt 1 succeeded"));
    scene.write("runs/q/nodes/work/report.md", "# Forged");
    let page = scene.tf(&["run", "report", "q", "--html"]).ok().stdout;
    assert!(page.contains("changed since the journal recorded it") && !page.contains("Forged"));
    fs::remove_file(scene.path("runs/q/nodes/work/report.md")).unwrap();
    symlink("/etc/passwd", scene.path("runs/q/nodes/work/report.md")).unwrap();
    let page = scene.tf(&["run", "report", "q", "--html"]).ok().stdout;
    assert!(page.contains("not there any more") && !page.contains("root:"));
}

#[test]
fn reading_changes_nothing_and_waits_for_nobody() {
    let scene = scene();
    let lock = fs::OpenOptions::new().create(true).append(true).open(scene.path("runs/n/.run.lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let before = tree(&scene);
    scene.tf(&["run", "report", "n", "--html"]).ok();
    scene.tf(&["run", "report", "n", "--md"]).ok();
    assert_eq!(tree(&scene), before);
}

fn tree(scene: &Scene) -> Vec<String> {
    let listed =
        std::process::Command::new("find").arg(scene.root()).args(["-printf", "%p %s %T@\n"]).output().unwrap();
    let mut lines: Vec<String> = String::from_utf8_lossy(&listed.stdout).lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// A run that OpenTask's programs did alone: none of its lines is ours.
#[test]
fn another_program_s_run_has_a_page_that_stays_the_same() {
    let scene = scene();
    let ours = ["at", "prev", "seq", "batch", "actor", "data"];
    let lines = scene.read("runs/n/events.jsonl").lines().fold(String::new(), |text, line| {
        let mut line: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).unwrap();
        line.retain(|key, _| !ours.contains(&key.as_str()));
        text + &json!(line).to_string() + "\n"
    });
    scene.write("runs/n/events.jsonl", lines);
    fs::remove_file(scene.path("runs/n/taskforge.json")).unwrap();
    for file in ["taskforge.toml", ".taskforge"] {
        let _ = fs::remove_file(scene.path(file)).or_else(|_| fs::remove_dir_all(scene.path(file)));
    }
    let page = scene.tf(&["run", "report", "n", "--html"]).ok().stdout;
    assert!(page.contains("another program") && page.contains("Collect"), "{page}");
    assert_eq!(scene.tf(&["run", "report", "n", "--html"]).ok().stdout, page);
}
