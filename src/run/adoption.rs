//! What another program changed in a run's `state.json` and `refs.json`, as far as it was taken over, and what was not
//! and why. The event `registry.adopted` holds one; the merge that makes it stands in the engine.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::apply::ApplyError;
use super::definition::{Created, NodeDefinition};
use super::event::{FailureCode, SkipReason, WaitingOn};
use super::id::NodeId;
use super::state::{Node, State};
use super::status::{NodeStatus, RunStatus};

/// One adoption. Everything in it is a change; what is absent stayed as it was.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct Adoption {
    /// The run itself, where another program made it: this is then the first line of ours in its journal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<Box<Created>>,
    /// When that program made the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<RunStatus>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<NodeDefinition>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rewired: Vec<Rewired>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<AdoptedNode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cron_job_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver_run_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counters: Option<Counters>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<(String, DateTime<Utc>)>,
    /// Controls that the other program applied.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub applied_controls: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<Refused>,
}

/// A node with other needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Rewired {
    pub node: NodeId,
    pub needs: Vec<NodeId>,
}

/// What changed of a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct AdoptedNode {
    pub node: NodeId,
    /// The new status, and the times that came with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<AdoptedStatus>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<Bound>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<Vec<String>>,
}

/// A status that another program gave a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct AdoptedStatus {
    pub to: NodeStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<DateTime<Utc>>,
}

/// The OpenClaw sessions and the run that do a node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Bound {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub child_session_key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
}

/// What OpenTask's service counts in `refs.json`; kept for it and never looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct Counters {
    pub driver_requested_event_count: u64,
    pub driver_requested_activity_count: u64,
    pub last_progress_event_count: u64,
}

/// A change that was not taken over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Refused {
    /// What it was about, such as `node gather` or `status`.
    pub what: String,
    pub why: String,
}

impl Adoption {
    /// Whether there is nothing in it at all, not even a refusal.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl State {
    /// Takes over what another program changed. The merge let through only what may be; here it is only carried out.
    pub(super) fn apply_adoption(&mut self, adoption: &Adoption) -> Result<(), ApplyError> {
        let missing = |node: &NodeId| ApplyError::NoNode { event: "registry.adopted".to_owned(), node: node.clone() };
        for definition in &adoption.added {
            self.created.nodes.push(definition.clone());
            self.nodes.push(Node::begin());
        }
        for rewired in &adoption.rewired {
            let index = self.index(&rewired.node).ok_or_else(|| missing(&rewired.node))?;
            self.created.nodes[index].needs.clone_from(&rewired.needs);
        }
        for change in &adoption.nodes {
            let index = self.index(&change.node).ok_or_else(|| missing(&change.node))?;
            let node = &mut self.nodes[index];
            if let Some(status) = &change.status {
                node.status = status.to;
                node.started_at = status.started_at;
                node.completed_at = status.completed_at;
                node.woken_at = None;
                node.waiting_on = (status.to == NodeStatus::Waiting).then_some(WaitingOn::Session);
                node.failure = None;
                node.skipped = None;
                match status.to {
                    NodeStatus::Failed => {
                        node.failure = Some((FailureCode::Session, String::new()));
                    }
                    NodeStatus::Skipped => node.skipped = Some(SkipReason::Session),
                    _ => {}
                }
            }
            if let Some(bound) = &change.bound {
                node.bound.clone_from(bound);
            }
            if let Some(notes) = &change.notes {
                node.notes.clone_from(notes);
            }
        }
        if let Some(status) = adoption.status {
            self.status = status;
            self.status_reason.clear();
        }
        self.cron_job_id = adoption.cron_job_id.clone().or_else(|| self.cron_job_id.take());
        self.driver_run_id = adoption.driver_run_id.clone().or_else(|| self.driver_run_id.take());
        self.counters = adoption.counters.unwrap_or(self.counters);
        if let Some(progress) = &adoption.progress {
            self.last_progress = Some(progress.clone());
        }
        for id in &adoption.applied_controls {
            if !self.applied_controls.contains(id) {
                self.applied_controls.push(id.clone());
            }
        }
        Ok(())
    }
}
