//! `taskforge helper result`.

use std::fs::File;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::engine::Store;
use crate::engine::session;
use crate::registry::{Registry, RunLayout, beneath};
use crate::run::event::Report;
use crate::run::projection::result_json;
use crate::run::status::NodeStatus;
use crate::workflow::RelativePath;

use super::answer::{Answer, event};
use super::argv::Call;
use super::sentence::Sentence;
use super::{node_id, run_id, transition, value};

pub(super) fn run(call: &Call, registry: &Registry) -> Result<Answer, Sentence> {
    let run = run_id(call)?;
    let store = Store::open(registry, &run)?;
    let id = node_id(call.positional("node_id"))?;
    let payload = value::object("--payload-json", call.get("--payload-json"))?;
    let state = store.load()?;
    let Some((definition, node)) = state.node(&id) else {
        return Err(Sentence::new(format!("node not found: {id}")));
    };
    let status = call.some("--status").map_or(Ok(NodeStatus::Completed), transition::status)?;
    let layout = store.layout();
    let given: Vec<&str> = call.all("--artifact").collect();
    let artifacts = if given.is_empty() {
        definition.artifact_paths.iter().filter(|path| is_file(&layout, path)).cloned().collect()
    } else {
        given.iter().map(|path| artifact(&layout, path)).collect::<Result<_, _>>()?
    };
    let text = |flag: &str| call.some(flag).map(str::to_owned);
    let report = Report {
        status,
        summary: text("--summary"),
        artifacts,
        session_key: text("--session-key").or_else(|| node.bound.session_key.clone()),
        child_session_key: text("--child-session-key").or_else(|| node.bound.child_session_key.clone()),
        working_memory: working_memory(call)?,
    };
    let told = session::result(registry, &run, &id, report, payload)?;
    let state = &told.state;
    let result = state.node(&id).and_then(|(definition, node)| result_json(state, definition, node));
    let path = format!("nodes/{id}/result.json");
    Ok(json!({"ok": true, "event": told.events.first().map(event), "path": path, "result": result}).into())
}

/// A file that the node left: it lies in the run's folder, and it is there.
fn artifact(layout: &RunLayout, given: &str) -> Result<String, Sentence> {
    let path = RelativePath::parse(given).map_err(|error| Sentence::new(format!("--artifact {given:?} {error}")))?;
    if !is_file(layout, path.as_str()) {
        return Err(Sentence::new(format!("artifact not found: {path} is no file below {}", layout.root().display())));
    }
    Ok(path.as_str().to_owned())
}

fn is_file(layout: &RunLayout, path: &str) -> bool {
    let file = File::open(layout.root()).ok().and_then(|folder| beneath::open(folder, Path::new(path)).ok());
    file.and_then(|file| file.metadata().ok()).is_some_and(|metadata| metadata.is_file())
}

fn working_memory(call: &Call) -> Result<Option<Map<String, Value>>, Sentence> {
    const NAMES: [&str; 4] = ["plan", "findings", "progress", "handoff"];
    let mut memory = Map::new();
    for given in call.all("--working-memory") {
        let wrong =
            || Sentence::new(format!("--working-memory {given:?} is not one of {} with =PATH", NAMES.join(", ")));
        let (name, path) = given.split_once('=').ok_or_else(wrong)?;
        if !NAMES.contains(&name) {
            return Err(wrong());
        }
        let path =
            RelativePath::parse(path).map_err(|error| Sentence::new(format!("--working-memory {given:?} {error}")))?;
        memory.insert(name.to_owned(), json!(path));
    }
    Ok(Some(memory).filter(|memory| !memory.is_empty()))
}
