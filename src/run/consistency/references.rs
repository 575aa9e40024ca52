//! `refs.json` against `state.json`.

use serde_json::{Map, Value};

use super::id;

/// The maps of `refs.json`, the keys of a node that they stand for, and what a person calls them.
const MAPS: [(&str, &str, &str); 3] = [
    ("nodeSessions", "sessionKey", "node session"),
    ("childSessions", "childSessionKey", "child session"),
    ("nodeRunIds", "runId", "node run id"),
];

pub(super) fn check(refs: &Map<String, Value>, nodes: &[&Map<String, Value>], issues: &mut Vec<String>) {
    for (map, key, what) in MAPS {
        for (node_id, value) in refs.get(map).and_then(Value::as_object).into_iter().flatten() {
            // Of two nodes of one id the helper looks at the last.
            match nodes.iter().rev().find(|node| id(node) == node_id) {
                None => issues.push(format!("refs.{map} points to missing node {node_id}")),
                Some(node) if node.get(key).unwrap_or(&Value::Null) != value => {
                    issues.push(format!("state/refs mismatch for {what} {node_id}"));
                }
                Some(_) => {}
            }
        }
    }
}
