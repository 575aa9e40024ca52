//! What the events say that a node went through, against where `state.json` says that it stands.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{id, status, text};

/// Who made the run: OpenTask's service does not journal that nodes without needs are ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Maker {
    Helper,
    Service,
}

impl Maker {
    pub(super) fn of(events: &[Map<String, Value>]) -> Self {
        let created = events.iter().find(|event| text(event, "event") == "run.created");
        let path = created.and_then(|event| event.get("payload")).and_then(|payload| payload.get("workflowPath"));
        if created.is_some() && path.is_none() { Self::Service } else { Self::Helper }
    }
}

/// The events of one node.
#[derive(Debug, Default)]
pub(super) struct Lifecycle<'a> {
    names: Vec<&'a str>,
    /// A status that was taken over from another program's files, without events of its own.
    adopted: bool,
}

/// The lifecycles of the nodes in `state.json`, by id.
pub(super) fn read<'a>(
    nodes: &[&'a Map<String, Value>],
    events: &'a [Map<String, Value>],
) -> BTreeMap<&'a str, Lifecycle<'a>> {
    let mut lives: BTreeMap<&str, Lifecycle<'_>> = nodes.iter().map(|node| (id(node), Lifecycle::default())).collect();
    for event in events {
        if let Some(life) = lives.get_mut(text(event, "nodeId")) {
            life.names.push(text(event, "event"));
        }
        // Only a line of ours takes anything over.
        if text(event, "event") == "registry.adopted" && event.contains_key("seq") {
            let adopted = event.get("data").and_then(|data| data.get("nodes")).and_then(Value::as_array);
            let moved = adopted.into_iter().flatten().filter(|node| node.get("status").is_some_and(|s| !s.is_null()));
            for node in moved.filter_map(Value::as_object) {
                if let Some(life) = lives.get_mut(text(node, "node")) {
                    life.adopted = true;
                }
            }
        }
    }
    lives
}

impl Lifecycle<'_> {
    fn has(&self, event: &str) -> bool {
        self.names.contains(&event)
    }

    pub(super) fn check(&self, node: &Map<String, Value>, maker: Maker, issues: &mut Vec<String>) {
        if self.adopted {
            return;
        }
        let (id, status) = (id(node), status(node));
        let needs = node.get("needs").and_then(Value::as_array).is_some_and(|needs| !needs.is_empty());
        // The one readiness that nobody journals.
        let silently_ready = maker == Maker::Service && !needs;
        if status == "ready" && !self.has("node.ready") && !silently_ready {
            issues.push(format!("node {id} is ready in state but missing node.ready"));
        }
        // A node that only waited, was skipped, or failed before its turn has never started, and the service completes
        // a summary at once.
        let summary = maker == Maker::Service && text(node, "kind") == "summary";
        let completed_unstarted = status == "completed" && !self.has("node.waiting") && !summary;
        if (status == "running" || completed_unstarted) && !self.has("node.started") {
            issues.push(format!("node {id} is {status} in state but missing node.started"));
        }
        for ended in ["completed", "failed", "waiting", "skipped"] {
            if status == ended && !self.has(&format!("node.{ended}")) {
                issues.push(format!("node {id} is {ended} in state but missing node.{ended}"));
            }
        }
        if self.has("node.started") && !self.has("node.ready") && !silently_ready {
            issues.push(format!("node {id} has node.started without node.ready"));
        }
        let started = self.has("node.started") || self.has("node.waiting") || summary;
        if self.has("node.completed") && !started {
            issues.push(format!("node {id} has node.completed without node.started"));
        }
    }
}
