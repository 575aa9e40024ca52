//! What runs is what was shown: files that change before the word, after it, and under a copy that is ours.

use std::fs;

use super::stage::{Ports, RUN, SITE, deployment, page, proposed, stage, until};
use crate::scene::text;

const INDEX: &str = "nodes/web/workspace/site/index.html";

#[test]
fn a_word_on_files_that_have_changed_does_not_count() {
    let _ports = Ports::take();
    let scene = stage(SITE);
    let (id, digest) = proposed(&scene);
    let index = scene.path(&format!("runs/{RUN}/{INDEX}"));
    fs::write(&index, "<p>something else</p>").unwrap();
    let refused = scene.tf(&["approve", &id, "--digest", &digest, "--json"]).exits(6).error();
    assert_eq!(refused["code"], "stale", "{refused:#}");
    assert!(scene.events(RUN, "capability.approved").is_empty());
    // It is shown anew, with what is there now, and that is what runs.
    let (_, again) = scene.the_one(RUN);
    assert_ne!(again, digest);
    scene.tf(&["approve", &id, "--digest", &digest]).exits(6);
    scene.tf(&["approve", &id, "--digest", &again]).ok();
    let row = until(&scene, "running");
    assert!(page(&row, "/").unwrap().contains("something else"));
    let presented = scene.events(RUN, "capability.presented");
    let last = &presented.last().unwrap()["data"]["presented"]["deployment"];
    assert_eq!(last["files"][0]["bytes"], 21, "{last:#}");
    assert_ne!(last["set"], presented[0]["data"]["presented"]["deployment"]["set"]);
}

#[test]
fn a_file_more_or_a_mode_changes_what_was_shown() {
    let _ports = Ports::take();
    let scene = stage(SITE);
    let (id, digest) = proposed(&scene);
    let folder = scene.path(&format!("runs/{RUN}/nodes/web/workspace/site"));
    fs::write(folder.join("more"), "").unwrap();
    scene.tf(&["approve", &id, "--digest", &digest]).exits(6);
    let (_, digest) = scene.the_one(RUN);
    fs::set_permissions(folder.join("more"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    scene.tf(&["approve", &id, "--digest", &digest]).exits(6);
    // With a symlink in it nothing can be deployed any more, and the request says so.
    std::os::unix::fs::symlink("/etc/passwd", folder.join("link")).unwrap();
    let now = text(&scene.waiting(RUN)[0]["digest"]);
    scene.tf(&["approve", &id, "--digest", &now]).exits(4).complains("unresolvable");
    let requests = scene.show(RUN)["requests"].clone();
    assert_eq!(requests[0]["status"], "unresolvable", "{requests:#}");
    assert!(text(&requests[0]["problem"]).contains("link is a symlink"), "{requests:#}");
}

#[test]
fn what_happens_to_the_workspace_afterwards_changes_nothing_and_a_copy_that_was_changed_is_not_run() {
    let _ports = Ports::take();
    let scene = stage(SITE);
    let (id, digest) = proposed(&scene);
    scene.tf(&["approve", &id, "--digest", &digest]).ok();
    until(&scene, "running");
    fs::write(scene.path(&format!("runs/{RUN}/{INDEX}")), "<p>later</p>").unwrap();
    scene.tf(&["deployment", "stop", &id, "--reason", "to see"]).ok();
    let row = scene.tf(&["deployment", "start", &id, "--json"]).ok().json();
    assert!(page(&row, "/").unwrap().contains("it works"));

    scene.tf(&["deployment", "stop", &id, "--reason", "to change it"]).ok();
    let copy = scene.path(&format!("runs/{RUN}/deployments/{id}/files/index.html"));
    fs::write(&copy, "<p>not this</p>").unwrap();
    scene.tf(&["audit", "verify", RUN]).exits(8).says("files/index.html");
    let failed = scene.tf(&["deployment", "start", &id]).exits(1);
    failed.complains("is failing").complains("index.html is not as it was approved");
    // A start that never printed anything, and one of which more was printed than is kept.
    scene.tf(&["deployment", "logs", &id]).ok().complains("the logs of start 3 are not there");
    let cursor = format!("runs/{RUN}/deployments/{id}/starts/2/logs.cursor.json");
    scene.write(&cursor, r#"{"stdout": {"nanos": 1, "count": 1, "bytes": 67108865}}"#);
    let cut = scene.tf(&["deployment", "logs", &id, "--start", "2"]).ok();
    cut.complains("stdout of start 2 is kept up to its first 64 MiB only");
    let row = deployment(&scene);
    assert_eq!((&row["status"], &row["last"]["end"]["outcome"]), (&"failing".into(), &"not_started".into()), "{row:#}");
    assert!(page(&row, "/").is_none());
    // What was approved runs again once it is there again.
    fs::write(&copy, "<p>it works</p>").unwrap();
    scene.tf(&["deployment", "start", &id]).ok().says("runs at");
    scene.tf(&["audit", "verify", RUN]).ok().says("sound");
}
