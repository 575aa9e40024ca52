//! What `taskforge init` writes is ready to use: every starter is valid, and the one that needs no model runs.

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::Value;

use crate::model_server::repository;

/// A registry of its own; whatever of it still runs when the test ends, in whatever way, is removed.
struct Registry {
    folder: tempfile::TempDir,
}

impl Registry {
    fn init() -> Self {
        let registry = Self { folder: tempfile::tempdir().unwrap() };
        Command::cargo_bin("taskforge").unwrap().arg("init").arg(registry.root()).assert().success();
        registry
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("registry")
    }

    fn taskforge(&self, arguments: &[&str]) -> Command {
        let mut command = Command::cargo_bin("taskforge").unwrap();
        command.arg("--registry").arg(self.root()).args(arguments);
        command
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let done = self.taskforge(arguments).arg("--json").assert().success();
        serde_json::from_slice(&done.get_output().stdout).unwrap()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.taskforge(&["kill", "--reason", "the test is over"]).ok();
    }
}

#[test]
fn every_starter_is_valid() {
    let registry = Registry::init();
    let mut names: Vec<String> = std::fs::read_dir(repository("workflows"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let mut written: Vec<String> = std::fs::read_dir(registry.root().join("workflows"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    written.sort();
    assert_eq!(written, names, "`taskforge init` writes what workflows/ holds");
    for name in names.iter().filter_map(|name| name.strip_suffix(".task.md")) {
        registry.taskforge(&["workflow", "validate", name]).assert().success();
        registry.taskforge(&["run", "start", name, "--dry-run"]).assert().success();
    }
    let listed = registry.json(&["workflow", "list"]);
    assert_eq!(listed["problems"].as_array().map_or(0, Vec::len), 0, "{listed}");
}

#[test]
fn a_command_without_a_model_does_its_work() {
    let registry = Registry::init();
    let input = Path::new("examples/sales.csv");
    let input = repository(&input.display().to_string());
    let started = ["run", "start", "csv-check", "--run-id", "check", "--input", input.to_str().unwrap(), "--detach"];
    registry.taskforge(&started).assert().success();
    registry.taskforge(&["run", "watch", "check", "--drive"]).assert().success();
    let report = std::fs::read_to_string(registry.root().join("runs/check/nodes/check/report.md")).unwrap();
    assert!(report.starts_with("# sales.csv\n\n3013 rows, "), "{report}");
    assert!(report.contains("| units | 20 |"), "{report}");
    registry.taskforge(&["audit", "verify", "check"]).assert().success();
}
