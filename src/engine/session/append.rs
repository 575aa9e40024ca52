//! Events that say nothing to us: a person, a script or a session notes in the journal what OpenTask's readers show.

use chrono::Utc;
use serde_json::{Map, Value, json};

use crate::registry::{Registry, RunLock, journal, to_json_line};
use crate::run::command::Command;
use crate::run::event::is_known;
use crate::run::id::{Digest, NodeId, RunId};
use crate::run::time::isoformat;

use super::super::error::Error;
use super::super::store::Store;

/// Adds a line of this name to the journal, without any of our keys, and a line of ours that names and covers it. The
/// line as it stands there.
///
/// # Errors
/// [`Error::Usage`] for a name that only the command it belongs to may write; [`Error::Refused`] for an unknown node;
/// storage errors.
pub fn append_event(
    registry: &Registry,
    run: &RunId,
    name: &str,
    node: Option<&NodeId>,
    message: Option<&str>,
    payload: &Map<String, Value>,
) -> Result<Map<String, Value>, Error> {
    let name = name.trim();
    if name.is_empty() || name.len() > 128 || name.chars().any(char::is_control) {
        return Err(Error::Usage("an event's name is 1 to 128 characters on one line".to_owned()));
    }
    if is_known(name) {
        return Err(Error::Usage(format!(
            "event `{name}` is written by the command that does it, and by nothing else"
        )));
    }
    let store = Store::open(registry, run)?;
    if let Some(node) = node
        && store.load()?.node(node).is_none()
    {
        let refusal = crate::run::refusal::Refusal::NoNode(node.clone());
        return Err(Error::Refused { run: run.clone(), refusal });
    }
    // Before the clock is read: two at once are written in the order of their times.
    let lock = RunLock::acquire(registry, run, crate::registry::lock::WAIT)?;
    // OpenTask's service writes its events in this order, and leaves out what is absent.
    let mut line = Map::new();
    line.insert("event".to_owned(), json!(name));
    line.insert("runId".to_owned(), json!(run));
    line.insert("timestamp".to_owned(), json!(isoformat(Utc::now())));
    if let Some(node) = node {
        line.insert("nodeId".to_owned(), json!(node));
    }
    if let Some(message) = message.map(str::trim).filter(|message| !message.is_empty()) {
        line.insert("message".to_owned(), json!(message));
    }
    line.insert("payload".to_owned(), json!(payload));
    let mut text = to_json_line(&line).map_err(Error::Json)?;
    text.push('\n');
    let digest = Digest::of(text.as_bytes());
    journal::append_foreign(&lock, text.as_bytes())?;
    drop(lock);
    store.commit(&super::super::operator(), Command::Appended { name: name.to_owned(), line: digest })?;
    Ok(line)
}
