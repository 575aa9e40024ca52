//! What lies in a run's folder without the journal's having a say in it: leftovers, missing folders, unknown files.
//! Workspaces and attempts are not looked into: agents write there what they like.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::registry::RunLayout;
use crate::run::id::NodeId;
use crate::run::state::State;

use super::super::session::handoff_of;
use super::finding::{Finding, Kind};

/// How old a temporary file must be before it counts as left over.
const STALE: Duration = Duration::from_secs(3600);

/// The names in a run's folder that somebody has a use for.
const KNOWN: &[&str] = &[
    "workflow.lock.md",
    "state.json",
    "refs.json",
    "openclaw.json",
    "taskforge.json",
    "events.jsonl",
    "events.torn",
    "control.jsonl",
    "checkpoints",
    "seal",
    "capabilities",
    "nodes",
    "inputs",
    "gate",
    ".run.lock",
];

/// Files under temporary names that nobody has touched for an hour.
pub(super) fn temporary(layout: &RunLayout) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut folders = vec![String::new(), "capabilities/".to_owned(), "nodes/".to_owned(), "gate/".to_owned()];
    folders.extend(names(&layout.nodes()).into_iter().map(|node| format!("nodes/{node}/")));
    for folder in folders {
        let full = layout.root().join(folder.trim_end_matches('/'));
        for name in names(&full).into_iter().filter(|name| is_temporary(name)) {
            if !is_stale(&full.join(&name)) {
                continue;
            }
            let what = "was being written more than an hour ago, and nobody finished it";
            found.push(Finding::safe(Kind::Temporary, format!("{folder}{name}"), what, "it is moved aside"));
        }
    }
    found
}

pub(super) fn controls(layout: &RunLayout) -> Option<Finding> {
    let missing = layout.controls().symlink_metadata().is_err();
    missing.then(|| Finding::safe(Kind::Controls, "control.jsonl", "is missing", "it is made anew, empty"))
}

/// Folders and handoff files of the nodes of a run that we made.
pub(super) fn nodes(layout: &RunLayout, state: &State) -> Vec<Finding> {
    let mut found = Vec::new();
    for node in &state.created.nodes {
        let name = format!("nodes/{}", node.id);
        let gone = layout.node(&node.id).symlink_metadata().is_err();
        if gone {
            found.push(Finding::safe(Kind::Folder, &name, "is missing", "it is made anew"));
        }
        if let Some((path, _)) = handoff_of(node)
            && layout.root().join(&path).symlink_metadata().is_err()
        {
            let remedy = "it is made anew, as it was before anybody filled it in";
            found.push(Finding::safe(Kind::Handoff, path, "is missing", remedy));
        }
    }
    found
}

/// What nobody has a use for: told, and left alone.
pub(super) fn unknown(layout: &RunLayout, state: Option<&State>) -> Vec<Finding> {
    let remedy = "nothing reads it; it stays";
    let said = |file: String, what: &str| Finding::info(Kind::Unknown, file, what, remedy);
    let mut found: Vec<Finding> = names(layout.root())
        .into_iter()
        .filter(|name| !KNOWN.contains(&name.as_str()) && !is_temporary(name))
        .map(|name| said(name, "is no file of a run"))
        .collect();
    let Some(state) = state else { return found };
    for name in names(&layout.nodes()) {
        let node = NodeId::parse(&name).ok();
        if !is_temporary(&name) && !state.created.nodes.iter().any(|known| Some(&known.id) == node.as_ref()) {
            found.push(said(format!("nodes/{name}"), "belongs to no node"));
        }
    }
    for name in names(&layout.capabilities()) {
        let request = |known: &crate::run::state::Request| format!("{}.json", known.id) == name;
        if !is_temporary(&name) && !state.requests.iter().any(request) {
            found.push(said(format!("capabilities/{name}"), "belongs to no request"));
        }
    }
    found
}

/// Ours, and the fixed names of OpenTask's.
fn is_temporary(name: &str) -> bool {
    name.starts_with(".tmp-") || name.ends_with(".json.tmp")
}

fn is_stale(path: &Path) -> bool {
    let modified = fs::symlink_metadata(path).and_then(|found| found.modified());
    let age = modified.ok().and_then(|then| SystemTime::now().duration_since(then).ok());
    age.is_some_and(|age| age > STALE)
}

/// The names in a folder, sorted; none if it is not one.
fn names(folder: &Path) -> Vec<String> {
    if !fs::symlink_metadata(folder).is_ok_and(|found| found.is_dir()) {
        return Vec::new();
    }
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}
