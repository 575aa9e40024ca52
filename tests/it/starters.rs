//! What `taskforge init` writes is ready to use: every starter is valid, and the ones do what they say.

use std::fs;
use std::path::Path;

use crate::model_server::repository;
use crate::scene::Scene;

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn every_starter_is_valid() {
    let scene = Scene::new();
    let written = names(&scene.path("workflows"));
    assert_eq!(written, names(&repository("workflows")), "`taskforge init` writes what workflows/ holds");
    let workflows: Vec<&str> = written.iter().filter_map(|name| name.strip_suffix(".task.md")).collect();
    assert_eq!(workflows, ["csv-check", "review", "sales-report"]);
    for name in workflows {
        scene.tf(&["workflow", "validate", name]).ok();
        scene.tf(&["run", "start", name, "--dry-run"]).ok();
    }
}

#[test]
fn a_command_without_a_model_does_its_work() {
    let scene = Scene::new();
    let input = repository("examples/sales.csv");
    scene.tf(&["run", "start", "csv-check", "--run-id", "check", "--input", input.to_str().unwrap(), "--detach"]).ok();
    scene.drive("check", 0);
    let report = scene.read("runs/check/nodes/check/report.md");
    assert!(report.starts_with("# sales.csv\n\n3013 rows, "), "{report}");
    assert!(report.contains("| units | 20 |"), "{report}");
    scene.is_sound("check");
}
