//! A run without a workflow: one prompt, one file, one model.

use std::fs;

use serde_json::json;

use crate::model_server::{ModelServer, repository};
use crate::scene::{Scene, node};

const PROMPT: &str = "Analyse sales.csv";

#[test]
fn a_prompt_and_a_file_are_a_run() {
    let server = ModelServer::start(&[]);
    let scene = Scene::new();
    scene.talks_to(&server, "");
    let input = repository("examples/sales.csv").display().to_string();
    let arguments = ["run", "start", "--prompt", PROMPT, "--input", &input, "--model", "scripted", "--follow"];
    scene.tf(&arguments).ok().complains("Run prompt-1 started.");
    let shown = scene.show("prompt-1");
    assert_eq!((&shown["status"], &shown["title"]), (&json!("completed"), &json!(PROMPT)));
    assert_eq!(shown["nodes"].as_array().unwrap().len(), 1);
    assert_eq!(node(&shown, "task")["artifacts"][0]["path"], "nodes/task/report.md");
    assert!(
        scene
            .read("runs/prompt-1/nodes/task/report.md")
            .contains("3013 lines after the first, which names 8 columns: order_id,")
    );
    // What was made of the prompt is a workflow like any other.
    assert!(scene.read("runs/prompt-1/workflow.lock.md").starts_with("---\nworkflowId: prompt\n"));
    scene.is_sound("prompt-1");
}

#[test]
fn a_prompt_that_cannot_become_a_run_leaves_none() {
    let scene = Scene::new();
    scene.tf(&["run", "start", "--prompt", ""]).exits(2);
    scene.tf(&["run", "start", "--prompt", "x", "--input", "/nonexistent.csv"]).exits(3).complains("/nonexistent.csv");
    scene.tf(&["run", "start", "--prompt", "x", "--input", "/dev/zero"]).exits(2).complains("not a regular file");
    scene.tf(&["run", "start", "sales-report", "--prompt", "x"]).exits(2);
    scene.tf(&["run", "start", "--model", "m", "sales-report"]).exits(2);
    scene.tf(&["run", "start", "--prompt", "x", "--model", "not*a model"]).exits(2);
    assert_eq!(fs::read_dir(scene.path("runs")).unwrap().count(), 0);
}
