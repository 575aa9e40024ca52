//! Reading a run's files to see whether they agree. Nothing is locked and nothing is written; what changes while it is
//! read is read again.

use std::fs::File;
use std::path::Path;

use serde_json::{Map, Value};

use crate::registry::{Journal, Registry, RunLayout, beneath, project::read_file};
use crate::run::consistency::{self, Files};
use crate::run::id::RunId;

use super::super::error::Error;

/// The largest file but the journal that is read, in bytes.
const LARGEST: u64 = 64 << 20;

/// What `validate` found.
#[derive(Debug, Clone, PartialEq)]
pub struct Validation {
    /// What is wrong, in the order in which it was looked for; nothing if nothing is.
    pub issues: Vec<String>,
    /// None where the files could not be read far enough to say.
    pub run: Option<Seen>,
}

/// What the files show of the run.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    pub run_id: Value,
    pub run_status: Value,
    pub status_counts: Map<String, Value>,
    pub event_count: usize,
}

/// The five files as they lay there at one moment, or nearly: the events last, so that they are never behind the state.
#[derive(PartialEq)]
struct Bytes {
    workflow: bool,
    control: Option<Vec<u8>>,
    state: Option<Vec<u8>>,
    refs: Option<Vec<u8>>,
    events: Option<Vec<u8>>,
}

/// Looks whether the files of `run` agree.
///
/// # Errors
/// [`Error::NoRun`], and when a file cannot be read for a reason of the disk's. What is wrong inside a file is an issue.
pub fn validate(registry: &Registry, run: &RunId) -> Result<Validation, Error> {
    let layout = registry.layout().run(run);
    if !layout.root().is_dir() {
        return Err(Error::NoRun(run.clone()));
    }
    let mut bytes = read(&layout)?;
    let mut found = check(&layout, run, &bytes)?;
    // A command that commits writes one file after the other: what it has not come to yet is not wrong.
    for _ in 0..5 {
        if found.issues.is_empty() {
            break;
        }
        let again = read(&layout)?;
        if again == bytes {
            break;
        }
        bytes = again;
        found = check(&layout, run, &bytes)?;
    }
    Ok(found)
}

fn read(layout: &RunLayout) -> Result<Bytes, Error> {
    let file = |path: &Path| read_file(path, LARGEST);
    let journal = |path: &Path| read_file(path, crate::registry::journal::LARGEST);
    Ok(Bytes {
        workflow: layout.workflow().exists(),
        control: file(&layout.controls())?,
        state: file(&layout.state())?,
        refs: file(&layout.refs())?,
        events: journal(&layout.journal())?,
    })
}

fn check(layout: &RunLayout, run: &RunId, bytes: &Bytes) -> Result<Validation, Error> {
    let there = [
        ("workflow.lock.md", bytes.workflow),
        ("state.json", bytes.state.is_some()),
        ("refs.json", bytes.refs.is_some()),
        ("events.jsonl", bytes.events.is_some()),
        ("control.jsonl", bytes.control.is_some()),
    ];
    let missing = there.iter().filter(|(_, there)| !there).map(|(name, _)| format!("missing required file: {name}"));
    let mut issues: Vec<String> = missing.collect();
    if !issues.is_empty() {
        return Ok(Validation { issues, run: None });
    }
    let state = object("state.json", bytes.state.as_deref(), &mut issues);
    let refs = object("refs.json", bytes.refs.as_deref(), &mut issues);
    let events = lines("events.jsonl", bytes.events.as_deref(), &mut issues);
    let (Some(state), Some(refs)) = (state, refs) else { return Ok(Validation { issues, run: None }) };
    let _ = lines("control.jsonl", bytes.control.as_deref(), &mut issues);
    let folder = File::open(layout.root()).ok();
    let exists = |path: &str| {
        let clean = crate::workflow::opentask::relative_path(path).unwrap_or_default();
        folder.as_ref().is_some_and(|folder| beneath::open(folder, Path::new(&clean)).is_ok())
    };
    issues.extend(consistency::issues(Files { state: &state, refs: &refs, events: &events }, exists));
    issues.extend(journal(layout, run)?);
    let value = |key: &str| state.get(key).cloned().unwrap_or(Value::Null);
    Ok(Validation {
        issues,
        run: Some(Seen {
            run_id: value("runId"),
            run_status: value("status"),
            status_counts: consistency::status_counts(&state),
            event_count: events.len(),
        }),
    })
}

fn object(name: &str, bytes: Option<&[u8]>, issues: &mut Vec<String>) -> Option<Map<String, Value>> {
    match serde_json::from_slice(bytes.unwrap_or_default()) {
        Ok(Value::Object(object)) => return Some(object),
        Ok(_) => issues.push(format!("{name} is not a JSON object")),
        Err(error) => issues.push(format!("{name} contains invalid JSON: {error}")),
    }
    None
}

/// The objects of a `.jsonl` file; a line that is none is an issue.
fn lines(name: &str, bytes: Option<&[u8]>, issues: &mut Vec<String>) -> Vec<Map<String, Value>> {
    let mut objects = Vec::new();
    for (index, line) in bytes.unwrap_or_default().split(|byte| *byte == b'\n').enumerate() {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        match serde_json::from_slice(line) {
            Ok(Value::Object(object)) => objects.push(object),
            Ok(_) => issues.push(format!("{name} contains invalid JSONL: line {} is not an object", index + 1)),
            Err(error) => issues.push(format!("{name} contains invalid JSONL: line {}: {error}", index + 1)),
        }
    }
    objects
}

/// What our own journal finds wrong with itself: lines that were changed, that are missing, or that belong elsewhere.
fn journal(layout: &RunLayout, run: &RunId) -> Result<Vec<String>, Error> {
    let scan = Journal::read(&layout.journal(), run)?;
    let grave = scan.findings.iter().filter(|finding| finding.what.is_grave());
    Ok(grave.map(|finding| format!("events.jsonl line {} {}", finding.place.line, finding.what)).collect())
}
