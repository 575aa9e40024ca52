//! The whole of a workflow.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Map, Value};

use super::error::SpecError;
use super::node::{Raw, text};
use super::prompts::{Brief, briefs};
use super::{cycle, frontmatter};
use crate::run::definition::NodeDefinition;
use crate::run::id::WorkflowId;
use crate::run::nearest::nearest;
use crate::workflow::NODE_LIMIT;

/// A workflow whose nodes sessions do.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    pub workflow_id: WorkflowId,
    pub title: String,
    /// Without cycles, and with every need among them. None has a container.
    pub nodes: Vec<NodeDefinition>,
}

/// Where a workflow comes from, as far as it makes a difference.
#[derive(Debug, Clone, Copy)]
pub(super) enum Origin<'a> {
    Frontmatter,
    /// JSON beside a file whose nodes have these prompts; `None` where the file is no workflow but a text.
    Json(Option<&'a BTreeMap<String, Brief>>),
}

/// Reads the frontmatter of a file; `label` is what complaints call it.
///
/// # Errors
/// [`SpecError`] says the first thing that is wrong, in the order in which the helper looks.
pub fn from_frontmatter(label: &str, text: &str) -> Result<Spec, SpecError> {
    read(&frontmatter::read(label, text)?, Origin::Frontmatter)
}

/// Reads JSON. What it does not say of a node's prompt, `workflow`, the text of the file beside it, has to say.
///
/// # Errors
/// As [`from_frontmatter`].
pub fn from_json(spec: &str, workflow: &str) -> Result<Spec, SpecError> {
    let spec: Value = serde_json::from_str(spec).map_err(|error| SpecError::Json(error.to_string()))?;
    read(&spec, Origin::Json(briefs(workflow).as_ref()))
}

fn read(spec: &Value, origin: Origin<'_>) -> Result<Spec, SpecError> {
    let empty = Map::new();
    let spec = match (spec, origin) {
        (Value::Object(spec), _) => spec,
        // A file without anything between its fences.
        (_, Origin::Frontmatter) => &empty,
        (_, Origin::Json(_)) => return Err(SpecError::NotAnObject),
    };
    let workflow_id = spec.get("workflowId").and_then(text).ok_or(SpecError::NoWorkflowId)?;
    let title = spec.get("title").and_then(text).ok_or(SpecError::NoTitle)?;
    let Some(Value::Array(items)) = spec.get("nodes") else { return Err(SpecError::NoNodes) };
    if items.is_empty() {
        return Err(SpecError::NoNodes);
    }
    if items.len() > NODE_LIMIT {
        return Err(SpecError::TooManyNodes(items.len()));
    }
    // First all that the helper looks at, in its order; then what it should have looked at.
    let mut raw: Vec<Raw<'_>> = Vec::with_capacity(items.len());
    let mut seen = HashSet::new();
    for (index, item) in items.iter().enumerate() {
        raw.push(Raw::read(item, index + 1, origin, &mut seen)?);
    }
    for node in &raw {
        let missing: Vec<&str> = node.needs.iter().map(String::as_str).filter(|need| !seen.contains(need)).collect();
        if !missing.is_empty() {
            return Err(SpecError::MissingNeeds { node: node.id.to_owned(), needs: missing.join(", ") });
        }
    }
    let workflow_id = WorkflowId::parse(workflow_id)?;
    known("the workflow", spec, &["params", "when"], &["workflowId", "title", "defaults", "driver", "nodes"])?;
    let nodes = raw.iter().map(|node| node.definition(origin)).collect::<Result<Vec<_>, _>>()?;
    let edges: Vec<(&str, &[String])> = raw.iter().map(|node| (node.id, node.needs.as_slice())).collect();
    match cycle::find(&edges) {
        Some(circle) => Err(SpecError::Cycle(circle)),
        None => Ok(Spec { workflow_id, title: title.to_owned(), nodes }),
    }
}

/// Refuses the keys of ours that would mean something here and do not, and those that are nearly a known one: what was
/// meant would silently be lost. Other keys are passed over, as the helper does.
pub(super) fn known(
    what: &str,
    object: &Map<String, Value>,
    refused: &[&'static str],
    known: &[&'static str],
) -> Result<(), SpecError> {
    const OURS: [&str; 6] = ["schedule", "concurrency", "retry", "timeout", "continueOn", "description"];
    for (key, value) in object {
        if let Some(key) = refused.iter().find(|refused| **refused == key).filter(|_| !value.is_null()) {
            return Err(SpecError::NotOfSessions { what: what.to_owned(), key });
        }
        if known.contains(&key.as_str()) || OURS.contains(&key.as_str()) || refused.contains(&key.as_str()) {
            continue;
        }
        // A key that is there itself was not meant by another: beside `nodes`, `notes` are notes.
        let absent = known.iter().copied().filter(|known| !object.contains_key(*known));
        if let Some(near) = nearest(key, absent) {
            return Err(SpecError::Misspelt { what: what.to_owned(), key: key.clone(), near });
        }
    }
    Ok(())
}
