//! The room as a whole: files in, workflows or located messages out.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

mod good;
mod hostile;
mod mistakes;
mod one_node;

/// Parses what must be sound.
fn sound(text: &str) -> Workflow {
    Workflow::parse("test.task.md", text).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The messages of a text, with their places.
fn messages(text: &str) -> Vec<String> {
    match Workflow::parse("test.task.md", text) {
        Ok(workflow) => panic!("parsed: {workflow:?}"),
        Err(problems) => problems.iter().map(|p| format!("{}:{} {}", p.line, p.column, p.message)).collect(),
    }
}

/// A workflow of one node with these further lines, each indented by four.
fn node(lines: &str) -> String {
    let lines: String = lines.lines().map(|line| format!("    {line}\n")).collect();
    format!("---\nworkflowId: w\ntitle: W\nnodes:\n  - id: a\n    title: A\n{lines}---\n")
}
