//! A reviewer on another machine: decides in a clone, commits, pushes; what is pulled counts by its signature.

use super::*;

fn git(folder: &Path, arguments: &[&str]) -> String {
    let mut git = std::process::Command::new("git");
    git.args(["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"]);
    git.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null").current_dir(folder).args(arguments);
    must(git.output().expect("`git` is missing: `apt-get install git`"))
}

/// The registry as it is now, in a clone of it.
fn cloned(scene: &Scene) -> PathBuf {
    let root = scene.root();
    git(&root, &["init", "-q"]);
    git(&root, &["add", "-A"]);
    git(&root, &["commit", "-qm", "A question"]);
    let hub = scene.outside("hub.git");
    let (hub, clone) = (hub.to_str().unwrap(), scene.outside("clone"));
    git(&root, &["clone", "-q", "--bare", ".", hub]);
    git(&root, &["remote", "add", "origin", hub]);
    git(scene.outside("").as_path(), &["clone", "-q", hub, clone.to_str().unwrap()]);
    clone
}

fn push(clone: &Path) {
    git(clone, &["add", "-A"]);
    git(clone, &["commit", "-qm", "Go on"]);
    git(clone, &["push", "-q"]);
}

fn pull(scene: &Scene) {
    git(&scene.root(), &["pull", "-q", "--no-rebase", "origin", "HEAD"]);
}

#[test]
fn a_decision_that_comes_through_git_counts_by_its_signature() {
    let scene = signed();
    let grace = make_key(&scene.outside("grace/.ssh/id_ed25519"), "ed25519", &[]);
    let ada = public(&scene.outside("home/.ssh/id_ed25519"));
    allow(&scene, &format!("ada {ada}\ngrace@example.org {}", public(&grace)));
    let decision = asked(&scene, "r");
    let (id, digest) = (decision["request"].as_str().unwrap(), decision["digest"].as_str().unwrap());
    let clone = cloned(&scene);
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
    push(&clone);

    pull(&scene);
    assert_eq!(status(&scene, "r"), "waiting", "nothing has looked yet");
    scene.tf(&["tick", "r"]).ok();
    let record = decision_of(&scene, "r");
    assert_eq!(record["by"], "operator:grace@example.org");
    assert_eq!((&record["proven"], &record["comment"]), (&true.into(), &"as we said".into()));
    ssh_keygen_verifies(&scene, "grace@example.org", DECISION, &scene.path(&path_of(&decision)));
    scene.is_sound("r");
}

#[test]
fn what_a_prompt_is_filled_in_with_is_a_part_of_what_is_signed() {
    let scene = signed();
    let pay = "---\nworkflowId: pay\ntitle: Pay\nparams:\n  sum: {type: string}\nnodes:\n  - id: pay\n    title: Pay?\n    kind: approval\n    prompt: 'Pay {{ params.sum }}.'\n---\n";
    scene.write("workflows/pay.task.md", pay);
    scene.tf(&["run", "start", "pay", "--run-id", "r", "--param", "sum=9000", "--detach"]).ok();
    let (id, digest) = scene.the_one("r");
    let clone = cloned(&scene);
    let there = |arguments: &[&str]| scene.tf(arguments).cwd(&clone);
    there(&["approve", &id, "--show"]).ok().says("Pay 9000.").says(&digest);
    // Somebody who may write there makes it look like less.
    let file = clone.join("runs/r/events.jsonl");
    let less = |line: &str| line.replace("\"9000\"", "\"9\"");
    let journal = rewritten::rechained("r", &fs::read_to_string(&file).unwrap(), &less);
    fs::write(&file, journal).unwrap();
    let shown = there(&["approve", &id, "--show", "--json"]).ok().json();
    assert_eq!(shown["prompt"], "Pay 9.");
    let other = shown["digest"].as_str().unwrap();
    assert_ne!(other, digest);
    there(&["approve", &id, "--digest", other, "--write-only"]).ok();
    git(&clone, &["add", "decisions"]);
    git(&clone, &["commit", "-qm", "Pay"]);
    git(&clone, &["push", "-q"]);
    pull(&scene);
    scene.tf(&["tick", "r"]).ok();
    assert_eq!(status(&scene, "r"), "waiting", "nobody has signed that much");
    let refused = scene.events("r", "input.rejected");
    assert!(refused[0]["data"]["reason"].as_str().unwrap().contains("stands there now"), "{refused:#?}");
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

#[test]
fn all_decisions_of_one_pull_count_and_what_a_list_would_be_changes_no_journal() {
    let scene = signed();
    crate::words::hosts(&scene, 4);
    scene.start("hosts", "r");
    let clone = cloned(&scene);
    let there = |arguments: &[&str]| scene.tf(arguments).cwd(&clone);
    let waiting = scene.waiting("r");
    assert_eq!(waiting.len(), 4);
    let journal = std::fs::read(clone.join("runs/r/events.jsonl")).unwrap();
    // Another list is resolved where the run is driven.
    let id = waiting[0]["id"].as_str().unwrap();
    let other = ["approve", id, "--only", "net:a.example:443"];
    there(&[&other[..], &["--write-only"]].concat()).exits(2).complains("where the run is driven");
    there(&other).ok().says("Edited    net:a.example:443");
    there(&[&other[..], &["--digest", &"0".repeat(64)]].concat()).exits(6);
    for item in &waiting[..3] {
        let (id, digest) = (item["id"].as_str().unwrap(), item["digest"].as_str().unwrap());
        there(&["approve", id, "--digest", digest, "--write-only"]).ok();
    }
    assert_eq!(std::fs::read(clone.join("runs/r/events.jsonl")).unwrap(), journal);
    push(&clone);
    pull(&scene);
    let ticked = scene.tf(&["tick", "r"]).ok();
    assert!(!ticked.stderr.contains("does not count"), "{}", ticked.stderr);
    assert_eq!(scene.events("r", "input.rejected"), Vec::<Value>::new());
    assert_eq!(scene.events("r", "capability.approved").len(), 3);
    assert_eq!(scene.waiting("r").len(), 1, "nobody said anything of the last");
    scene.tf(&["audit", "verify", "r"]).ok().says("3 signed decisions");
    scene.is_sound_so_far("r");
}
