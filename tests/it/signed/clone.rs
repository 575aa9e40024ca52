//! A reviewer on another machine: decides in a clone, commits, pushes; what is pulled counts by its signature.

use super::*;

fn git(folder: &Path, arguments: &[&str]) -> String {
    let mut git = std::process::Command::new("git");
    git.args(["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"]);
    git.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null").current_dir(folder).args(arguments);
    must(git.output().expect("`git` is missing: `apt-get install git`"))
}

#[test]
fn a_decision_that_comes_through_git_counts_by_its_signature() {
    let scene = signed();
    let grace = make_key(&scene.outside("grace/.ssh/id_ed25519"), "ed25519", &[]);
    let ada = public(&scene.outside("home/.ssh/id_ed25519"));
    allow(&scene, &format!("ada {ada}\ngrace@example.org {}", public(&grace)));
    let decision = asked(&scene, "r");
    let (id, digest) = (decision["request"].as_str().unwrap(), decision["digest"].as_str().unwrap());
    let root = scene.root();
    git(&root, &["init", "-q"]);
    git(&root, &["add", "-A"]);
    git(&root, &["commit", "-qm", "A question"]);
    let hub = scene.outside("hub.git");
    let (hub, clone) = (hub.to_str().unwrap(), scene.outside("clone"));
    git(&root, &["clone", "-q", "--bare", ".", hub]);
    git(&root, &["remote", "add", "origin", hub]);
    git(scene.outside("").as_path(), &["clone", "-q", hub, clone.to_str().unwrap()]);

    // The clone reads the run, and its journal stays what it was.
    let there = |arguments: &[&str]| {
        let home = scene.outside("grace");
        scene.tf(arguments).cwd(&clone).env("HOME", home.to_str().unwrap()).env("TASKFORGE_OPERATOR", "grace")
    };
    there(&["inbox"]).ok().says(id);
    let shown = there(&["approve", id, "--show", "--json"]).ok().json();
    assert_eq!(shown["digest"], digest);
    let before = std::fs::read(clone.join("runs/r/events.jsonl")).unwrap();
    there(&["approve", id, "--digest", digest, "--comment", "as we said", "--write-only"])
        .ok()
        .says("git add decisions");
    there(&["approve", id, "--digest", digest, "--write-only"]).exits(7);
    assert_eq!(std::fs::read(clone.join("runs/r/events.jsonl")).unwrap(), before);
    assert_eq!(git(&clone, &["status", "--porcelain"]).trim(), "?? decisions/");
    git(&clone, &["add", "-A"]);
    git(&clone, &["commit", "-qm", "Go on"]);
    git(&clone, &["push", "-q"]);

    git(&root, &["pull", "-q", "--no-rebase", "origin", "HEAD"]);
    assert_eq!(status(&scene, "r"), "waiting", "nothing has looked yet");
    scene.tf(&["tick", "r"]).ok();
    let record = decision_of(&scene, "r");
    assert_eq!(record["by"], "operator:grace@example.org");
    assert_eq!((&record["proven"], &record["comment"]), (&true.into(), &"as we said".into()));
    ssh_keygen_verifies(&scene, "grace@example.org", DECISION, &scene.path(&path_of(&decision)));
    scene.is_sound("r");
}

#[test]
fn without_a_signature_nothing_is_written_for_elsewhere() {
    let scene = scene();
    let decision = asked(&scene, "r");
    let (id, digest) = (decision["request"].as_str().unwrap(), decision["digest"].as_str().unwrap());
    let refused = scene.tf(&["approve", id, "--digest", digest, "--write-only"]).exits(2);
    refused.complains("no approvers are configured");
    assert!(!scene.path(&path_of(&decision)).exists());
}
