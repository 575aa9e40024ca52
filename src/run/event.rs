//! What happened to a run. An [`Event`] is the only thing that changes a [`State`](super::state::State); its name and
//! fields are the journal's format, so a field is added with a default and never renamed.

mod message;
mod parts;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use thiserror::Error;

use super::adoption::Adoption;
use super::capability::Capability;
use super::definition::{Artifact, Created, NodeDefinition, Sessions};
use super::deployment::{self, Launch, Proposal};
use super::id::{Digest, NodeId, RequestId, RoleName, RunId};
use super::outgoing::Outgoing;
use super::record::{Draft, Record};
use super::share::Share;
use super::timetable::Timetable;

pub use parts::{
    AttemptEnd, AttemptPlan, ChildRun, DecisionRecord, FailureCode, Outcome, Presented, ReadyReason, Relocked, Report,
    Resolution, Settled, SkipReason, TrafficHead, WaitingOn,
};

/// One event, by its name in the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "event", content = "data")]
pub enum Event {
    #[serde(rename = "run.created")]
    RunCreated(Box<Created>),
    #[serde(rename = "run.paused")]
    RunPaused { reason: String },
    #[serde(rename = "run.resumed")]
    RunResumed {},
    #[serde(rename = "run.cancelled")]
    RunCancelled { reason: String },
    #[serde(rename = "run.completed")]
    RunCompleted {},
    #[serde(rename = "run.failed")]
    RunFailed { failed: Vec<NodeId> },
    /// A person reopened a finished run.
    #[serde(rename = "run.reopened")]
    RunReopened {},
    #[serde(rename = "run.progress")]
    RunProgress { node: Option<NodeId>, message: String, inbox: Option<String> },
    /// A run works for a node of this one.
    #[serde(rename = "child.started")]
    ChildStarted { id: RequestId, node: NodeId, attempt: u32, role: RoleName, run: RunId, share: Share },
    /// A person says what became of an action whose outcome was unclear.
    #[serde(rename = "action.settled")]
    ActionSettled { node: NodeId, settled: Settled },
    /// A person was told what waits; the ids are not told again.
    #[serde(rename = "run.notified")]
    RunNotified { ids: Vec<RequestId> },
    /// Other OpenClaw sessions stand behind the run.
    #[serde(rename = "run.rebound")]
    RunRebound { sessions: Box<Sessions> },
    #[serde(rename = "run.cron_bound")]
    RunCronBound { node: Option<NodeId>, value: String },
    #[serde(rename = "run.driver_bound")]
    RunDriverBound { value: String },

    #[serde(rename = "node.ready")]
    NodeReady { node: NodeId, why: ReadyReason, not_before: Option<DateTime<Utc>> },
    /// A skipped dependent goes back to waiting for its needs, after one of them was retried.
    #[serde(rename = "node.reset")]
    NodeReset { node: NodeId },
    /// The intent to start a container, before anything is started.
    #[serde(rename = "node.dispatching")]
    NodeDispatching { node: NodeId, attempt: u32, plan: AttemptPlan },
    #[serde(rename = "node.started")]
    NodeStarted {
        node: NodeId,
        /// 0 when an OpenClaw session does the node, and not a container.
        #[serde(default, skip_serializing_if = "is_zero")]
        attempt: u32,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        container_id: String,
    },
    #[serde(rename = "attempt.ended")]
    AttemptEnded { node: NodeId, attempt: u32, end: AttemptEnd },
    #[serde(rename = "node.waiting")]
    NodeWaiting { node: NodeId, on: WaitingOn },
    #[serde(rename = "node.completed")]
    NodeCompleted { node: NodeId, artifacts: Vec<Artifact>, decision: Option<DecisionRecord> },
    #[serde(rename = "node.failed")]
    NodeFailed {
        node: NodeId,
        code: FailureCode,
        detail: String,
        /// The decision that denied an approval node.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        decision: Option<Box<DecisionRecord>>,
    },
    #[serde(rename = "node.skipped")]
    NodeSkipped { node: NodeId, why: SkipReason },
    /// The structured result an agent gave: through the gate (`inbox`), or a session with its `report`.
    #[serde(rename = "node.result")]
    NodeResult {
        node: NodeId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        inbox: Option<String>,
        result: Value,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        report: Option<Box<Report>>,
    },
    #[serde(rename = "node.session_bound")]
    NodeSessionBound { node: NodeId, value: String },
    #[serde(rename = "node.child_session_bound")]
    NodeChildSessionBound { node: NodeId, value: String },
    #[serde(rename = "node.run_bound")]
    NodeRunBound { node: NodeId, value: String },
    /// The workflow of this run gets a node more, before `before` or at its end.
    #[serde(rename = "node.added")]
    NodeAdded { node: NodeId, before: Option<NodeId>, definition: Box<NodeDefinition> },
    #[serde(rename = "node.rewired")]
    NodeRewired { node: NodeId, needs: Vec<NodeId> },

    #[serde(rename = "capability.requested")]
    CapabilityRequested {
        id: RequestId,
        node: NodeId,
        /// 0 when the workflow itself asks.
        attempt: u32,
        capability: Capability,
        reason: String,
        /// The gate asks, since a budget is spent.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        by_gate: bool,
        /// What is to be deployed on a `port`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deploy: Option<Proposal>,
        /// When a `schedule` does what.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        schedule: Option<Timetable>,
    },
    /// Another attempt asks for what the run has a request for already: equal requests are one.
    #[serde(rename = "capability.joined")]
    CapabilityJoined { id: RequestId, inbox: String, node: NodeId, attempt: u32 },
    #[serde(rename = "capability.resolved")]
    CapabilityResolved { id: RequestId, resolution: Resolution },
    /// A request that needs no image can be decided: what would be granted for the run afterwards, and what is shown.
    #[serde(rename = "capability.presented")]
    CapabilityPresented { id: RequestId, presented: Presented },
    #[serde(rename = "capability.unresolvable")]
    CapabilityUnresolvable { id: RequestId, reason: String },
    #[serde(rename = "capability.approved")]
    CapabilityApproved { id: RequestId, decision: DecisionRecord },
    #[serde(rename = "capability.denied")]
    CapabilityDenied { id: RequestId, decision: DecisionRecord },
    /// A person named what may be asked for instead.
    #[serde(rename = "capability.superseded")]
    CapabilitySuperseded { id: RequestId, decision: DecisionRecord },
    #[serde(rename = "capability.applied")]
    CapabilityApplied {
        id: RequestId,
        /// Empty when the gate gives it and no image.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        image: String,
    },
    #[serde(rename = "capability.failed")]
    CapabilityFailed { id: RequestId, reason: String },
    /// A person took back what the gate gives.
    #[serde(rename = "capability.revoked")]
    CapabilityRevoked { id: RequestId, by: String, reason: String },
    /// A person made another list of what is asked for; it is resolved and shown anew before anybody decides on it.
    #[serde(rename = "capability.edited")]
    CapabilityEdited {
        id: RequestId,
        by: String,
        /// What the request stood for.
        asked: Vec<Capability>,
        /// What would be granted instead.
        list: Vec<Capability>,
        /// Why the list before it cannot be had, if it is taken back for that.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        reason: String,
    },
    /// Nobody decided in time, or the time of a grant is over.
    #[serde(rename = "capability.expired")]
    CapabilityExpired { id: RequestId, reason: String },
    /// Packages beneath those of a grant that stands have ended: what is left makes another set.
    #[serde(rename = "capability.relocked")]
    CapabilityRelocked { id: RequestId, relocked: Box<Relocked> },

    /// An approved deployment has its port of the host.
    #[serde(rename = "deployment.placed")]
    DeploymentPlaced { id: RequestId, port: u16 },
    /// The intent to start its container, before anything is started.
    #[serde(rename = "deployment.starting")]
    DeploymentStarting { id: RequestId, launch: Launch },
    #[serde(rename = "deployment.started")]
    DeploymentStarted { id: RequestId, number: u32, container_id: String },
    #[serde(rename = "deployment.ended")]
    DeploymentEnded { id: RequestId, number: u32, end: deployment::End },
    /// Somebody took it down: it is not begun again until a person says so.
    #[serde(rename = "deployment.stopped")]
    DeploymentStopped { id: RequestId, by: String, reason: String },
    #[serde(rename = "deployment.resumed")]
    DeploymentResumed { id: RequestId, by: String },

    /// A build was started for an approved set.
    #[serde(rename = "image.building")]
    ImageBuilding { recipe: Digest },
    /// The last container of the run is gone and its gate with it.
    #[serde(rename = "gate.stopped")]
    GateStopped { traffic: Option<TrafficHead> },
    #[serde(rename = "control.applied")]
    ControlApplied { id: String, action: String },
    #[serde(rename = "control.rejected")]
    ControlRejected { id: String, reason: String },
    /// What another program did to the run's files, as far as it was taken over.
    #[serde(rename = "registry.adopted")]
    RegistryAdopted(Box<Adoption>),
    /// Something is asked of OpenClaw, before it is.
    #[serde(rename = "openclaw.requested")]
    OpenclawRequested { id: String, request: Outgoing },
    #[serde(rename = "openclaw.delivered")]
    OpenclawDelivered { id: String },
    #[serde(rename = "openclaw.failed")]
    OpenclawFailed { id: String, reason: String },
    /// A line that a person or a session added to the journal by name; it says nothing to us.
    #[serde(rename = "event.appended")]
    EventAppended { name: String, line: Digest },
    /// An inbox file or a decision that could not be used; it stands aside under the name given.
    #[serde(rename = "input.rejected")]
    InputRejected {
        input: String,
        reason: String,
        /// What it would have decided on, of a decision.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request: Option<RequestId>,
    },
    /// A torn tail was made blank; written by the journal itself.
    #[serde(rename = "journal.voided")]
    JournalVoided {},
}

#[allow(clippy::trivially_copy_pass_by_ref)] // the form that serde asks for
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Why a record of ours is not an event this binary knows.
#[derive(Debug, Error)]
pub enum EventError {
    #[error("event {name:?} (seq {seq}) is not known to this version")]
    Unknown { name: String, seq: u64 },
    #[error("event {name:?} (seq {seq}) does not have its fields: {source}")]
    Fields { name: String, seq: u64, source: serde_json::Error },
}

/// The names that this binary knows; the journal asks before it writes behind them.
#[must_use]
pub fn is_known(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "run.created",
        "run.paused",
        "run.resumed",
        "run.cancelled",
        "run.completed",
        "run.failed",
        "run.reopened",
        "run.progress",
        "child.started",
        "action.settled",
        "run.notified",
        "node.ready",
        "node.reset",
        "node.dispatching",
        "node.started",
        "attempt.ended",
        "node.waiting",
        "node.completed",
        "node.failed",
        "node.skipped",
        "node.result",
        "capability.requested",
        "capability.joined",
        "capability.resolved",
        "capability.presented",
        "capability.unresolvable",
        "capability.approved",
        "capability.denied",
        "capability.superseded",
        "capability.applied",
        "capability.failed",
        "capability.revoked",
        "capability.expired",
        "capability.relocked",
        "capability.edited",
        "deployment.placed",
        "deployment.starting",
        "deployment.started",
        "deployment.ended",
        "deployment.stopped",
        "deployment.resumed",
        "image.building",
        "gate.stopped",
        "control.applied",
        "control.rejected",
        "input.rejected",
        "run.rebound",
        "run.cron_bound",
        "run.driver_bound",
        "node.session_bound",
        "node.child_session_bound",
        "node.run_bound",
        "node.added",
        "node.rewired",
        "registry.adopted",
        "openclaw.requested",
        "openclaw.delivered",
        "openclaw.failed",
        "event.appended",
        "journal.voided",
    ];
    NAMES.contains(&name)
}

impl Event {
    /// The event as a line to be written.
    #[must_use]
    pub fn to_draft(&self) -> Draft {
        let (event, mut data) = match serde_json::to_value(self) {
            Ok(Value::Object(mut parts)) => {
                let name = parts.remove("event").and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default();
                let data = match parts.remove("data") {
                    Some(Value::Object(map)) => map,
                    _ => Map::new(),
                };
                (name, data)
            }
            // An enum whose variants are all structs serialises to an object with the two keys above.
            _ => (String::new(), Map::new()),
        };
        let node_id = data.remove("node").and_then(|v| v.as_str().map(str::to_owned));
        data.retain(|_, value| !value.is_null());
        Draft { event, node_id, message: Some(self.message()), payload: self.payload(), data }
    }

    /// The event that a line of ours holds.
    ///
    /// # Errors
    /// [`EventError`] when the name or the fields are not this version's.
    pub fn from_record(record: &Record) -> Result<Self, EventError> {
        if !is_known(&record.event) {
            return Err(EventError::Unknown { name: record.event.clone(), seq: record.seq });
        }
        if record.event == "journal.voided" {
            return Ok(Self::JournalVoided {});
        }
        let mut data = record.data.clone();
        if let Some(node) = &record.node_id {
            data.insert("node".to_owned(), json!(node));
        }
        serde_json::from_value(json!({"event": record.event, "data": data})).map_err(|source| EventError::Fields {
            name: record.event.clone(),
            seq: record.seq,
            source,
        })
    }

    /// The node this event is about.
    #[must_use]
    pub fn node(&self) -> Option<&NodeId> {
        match self {
            Self::NodeReady { node, .. }
            | Self::NodeReset { node }
            | Self::NodeDispatching { node, .. }
            | Self::NodeStarted { node, .. }
            | Self::AttemptEnded { node, .. }
            | Self::NodeWaiting { node, .. }
            | Self::NodeCompleted { node, .. }
            | Self::NodeFailed { node, .. }
            | Self::NodeSkipped { node, .. }
            | Self::NodeResult { node, .. }
            | Self::NodeSessionBound { node, .. }
            | Self::NodeChildSessionBound { node, .. }
            | Self::NodeRunBound { node, .. }
            | Self::NodeAdded { node, .. }
            | Self::NodeRewired { node, .. }
            | Self::ChildStarted { node, .. }
            | Self::ActionSettled { node, .. }
            | Self::CapabilityRequested { node, .. }
            | Self::CapabilityJoined { node, .. } => Some(node),
            Self::RunProgress { node, .. } | Self::RunCronBound { node, .. } => node.as_ref(),
            _ => None,
        }
    }

    /// The capability request that it is about.
    #[must_use]
    pub const fn request(&self) -> Option<&RequestId> {
        match self {
            Self::CapabilityRequested { id, .. }
            | Self::CapabilityJoined { id, .. }
            | Self::CapabilityResolved { id, .. }
            | Self::CapabilityPresented { id, .. }
            | Self::CapabilityUnresolvable { id, .. }
            | Self::CapabilityApproved { id, .. }
            | Self::CapabilityDenied { id, .. }
            | Self::CapabilitySuperseded { id, .. }
            | Self::CapabilityApplied { id, .. }
            | Self::CapabilityFailed { id, .. }
            | Self::CapabilityRevoked { id, .. }
            | Self::CapabilityEdited { id, .. }
            | Self::CapabilityExpired { id, .. }
            | Self::CapabilityRelocked { id, .. } => Some(id),
            Self::InputRejected { request, .. } => request.as_ref(),
            _ => None,
        }
    }

    /// The decision on a capability request that it is.
    #[must_use]
    pub const fn decision(&self) -> Option<&DecisionRecord> {
        match self {
            Self::CapabilityApproved { decision, .. }
            | Self::CapabilityDenied { decision, .. }
            | Self::CapabilitySuperseded { decision, .. } => Some(decision),
            _ => None,
        }
    }

    /// What OpenTask would write as the payload.
    fn payload(&self) -> Map<String, Value> {
        let mut payload = Map::new();
        if let Self::RunCreated(created) = self {
            payload.insert("workflowPath".to_owned(), json!(created.workflow_path));
        }
        payload
    }

    /// The event of run `run` as a line to be written, in OpenTask's words where it has some that name the run.
    #[must_use]
    pub fn to_draft_of(&self, run: &RunId) -> Draft {
        let message = match self {
            Self::RunCompleted {} => Some(format!("Run {run} is completed.")),
            Self::RunFailed { .. } => Some(format!("Run {run} is failed.")),
            _ => None,
        };
        let draft = self.to_draft();
        Draft { message: message.or(draft.message), ..draft }
    }
}
