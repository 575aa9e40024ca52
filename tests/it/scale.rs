//! Many runs: lists with filters, pages and short names, from an index that may be missing, stale or garbage.

use std::fs;

use serde_json::{Value, json};

use crate::scene::Scene;

const INDEX: &str = ".taskforge/index/runs.jsonl";

fn scene() -> Scene {
    let scene = Scene::new();
    let text = "---\nworkflowId: WORD\ntitle: The WORD\nnodes:\n  - {id: a, title: A, kind: session_turn, prompt: do, outputs: {mode: notify}}\n---\n";
    for word in ["alpha", "beta"] {
        scene.write(&format!("workflows/{word}.task.md"), text.replace("WORD", word));
        for number in 1..=3 {
            let run = format!("{word}-run-{number}");
            scene.tf(&["run", "create", "--workflow-path", word, "--run-id", &run]).ok();
        }
    }
    scene.tf(&["control", "skip", "alpha-run-1", "a"]).ok();
    scene.tf(&["control", "pause", "beta-run-2"]).ok();
    scene
}

fn names(scene: &Scene, arguments: &[&str]) -> Vec<String> {
    let listed = scene.tf(&[&["--json", "run", "list"], arguments].concat()).ok().json();
    listed.as_array().unwrap().iter().map(|run| run["run"].as_str().unwrap().to_owned()).collect()
}

fn all(scene: &Scene) -> Value {
    scene.tf(&["--json", "run", "list", "--sort", "id"]).ok().json()
}

#[test]
fn a_list_is_filtered_sorted_and_paged() {
    let scene = scene();
    assert_eq!(names(&scene, &[])[..2], ["beta-run-2", "alpha-run-1"], "the last changed first");
    assert_eq!(names(&scene, &["--status", "completed"]), ["alpha-run-1"]);
    assert_eq!(names(&scene, &["--status", "completed,paused", "--sort", "id"]), ["alpha-run-1", "beta-run-2"]);
    assert_eq!(names(&scene, &["--workflow", "beta", "--sort", "id"]), ["beta-run-1", "beta-run-2", "beta-run-3"]);
    assert_eq!(names(&scene, &["--match", "THE BETA", "--sort", "id", "--reverse"])[0], "beta-run-3");
    assert_eq!(names(&scene, &["--match", "run-3", "--sort", "created"]), ["beta-run-3", "alpha-run-3"]);
    assert_eq!(names(&scene, &["--since", "2999-01-01"]), Vec::<String>::new());
    assert_eq!(names(&scene, &["--until", "2999-01-01T00:00:00Z"]).len(), 6);
    assert_eq!(names(&scene, &["--waiting"]), Vec::<String>::new());
    assert_eq!(names(&scene, &["--sort", "id", "--limit", "2", "--offset", "4"]), ["beta-run-2", "beta-run-3"]);
    let page = scene.tf(&["run", "list", "--limit", "4"]).ok();
    page.complains("2 more: add `--offset 4`, or `--limit 0` for all");
    assert_eq!(page.stdout.lines().count(), 5);
    scene.tf(&["run", "list", "--limit", "0"]).ok();
    scene.tf(&["run", "list", "--status", "done"]).exits(2).complains("no status");
    scene.tf(&["run", "list", "--since", "yesterday"]).exits(2);
}

#[test]
fn whatever_becomes_of_the_index_the_list_is_right() {
    let scene = scene();
    let right = all(&scene);
    let index = scene.read(INDEX);
    let swapped =
        index.replace("alpha-run-1", "ALPHA").replace("beta-run-1", "alpha-run-1").replace("ALPHA", "beta-run-1");
    for text in [
        "",
        "garbage",
        "[\"taskforge-index-v9\",0]\n",
        &index[..index.len() / 2],
        &swapped,
        &index.replace("running", "failed"),
    ] {
        scene.write(INDEX, text);
        if text.contains("failed") {
            // Its files are those that it was made from, and it lies: that is what deleting it is for.
            fs::remove_file(scene.path(INDEX)).unwrap();
        }
        assert_eq!(all(&scene), right);
        assert_eq!(scene.tf(&["tick"]).ok().stdout, "");
    }
    fs::remove_dir_all(scene.path(".taskforge/index")).unwrap();
    assert_eq!(all(&scene), right);
    scene.tf(&["control", "resume", "beta-run-2"]).ok();
    assert!(scene.path(INDEX).exists(), "the next commit begins it anew");
    // Another program's doing, which tells the index nothing.
    let state = scene.read("runs/alpha-run-2/state.json").replace("\"status\": \"ready\"", "\"status\": \"skipped\"");
    scene.write("runs/alpha-run-2/state.json", state);
    scene.tf(&["tick"]).ok();
    let listed = all(&scene);
    let of = |run: &str| listed.as_array().unwrap().iter().find(|listed| listed["run"] == run).unwrap().clone();
    assert_eq!((&of("beta-run-2")["status"], &of("alpha-run-2")["status"]), (&json!("running"), &json!("completed")));
}

#[test]
fn a_run_that_cannot_be_read_is_shown_as_that_and_hides_no_other() {
    let scene = scene();
    scene.write("runs/alpha-run-3/events.jsonl", "{\"seq\": 1}\n");
    fs::remove_file(scene.path("runs/alpha-run-3/taskforge.json")).unwrap();
    let listed = scene.tf(&["--json", "run", "list", "--status", "paused"]).ok().json();
    assert_eq!((&listed[0]["run"], &listed[1]["status"]), (&json!("beta-run-2"), &json!("unreadable")));
    scene.tf(&["run", "list"]).ok().says("unreadable").complains("alpha-run-3");
}

#[test]
fn the_start_of_an_id_is_enough_where_it_fits_one_run() {
    let scene = scene();
    for arguments in [
        &["run", "show", "beta-run-1"][..],
        &["run", "show", "alpha-run-2"],
        &["control", "pause", "alpha-run-2"],
        &["audit", "verify", "alpha-run-2"],
        &["audit", "log", "alpha-run-2"],
        &["run", "report", "alpha-run-2", "--md"],
        &["event", "append", "alpha-run-2", "note.made"],
        &["node", "result", "alpha-run-2", "a", "running"],
        &["tick", "alpha-run-2"],
        &["inbox", "--run", "alpha-run-2"],
        &["run", "artifacts", "alpha-run-2"],
        &["run", "cancel", "alpha-run-2"],
    ] {
        scene.tf(arguments).ok();
    }
    scene.tf(&["run", "create", "--workflow-path", "beta", "--run-id", "gamma-1"]).ok();
    scene.tf(&["run", "show", "gam"]).ok().says("gamma-1");
    scene.tf(&["control", "pause", "g"]).ok().says("gamma-1: pause applied");
    let several = scene.tf(&["run", "show", "beta-run"]).exits(2);
    several.complains("beta-run-1, beta-run-2, beta-run-3").complains("type more");
    scene.tf(&["run", "show", "nobody"]).exits(3);
    // An id that is there wins over those that begin with it.
    scene.tf(&["run", "create", "--workflow-path", "beta", "--run-id", "gamma"]).ok();
    assert_eq!(scene.show("gamma")["run"], "gamma");
}
