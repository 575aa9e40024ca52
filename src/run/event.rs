//! What happened to a run. An [`Event`] is the only thing that changes a [`State`](super::state::State); its name and
//! fields are the journal's format, so a field is added with a default and never renamed.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use thiserror::Error;

use super::adoption::Adoption;
use super::capability::Capability;
use super::definition::{Artifact, Created, NodeDefinition, Sessions};
use super::deployment::{self, Launch, Proposal, Proposed};
use super::folder::{Folder, GrantedMount};
use super::id::{Digest, NodeId, RequestId, RoleName, RunId};
use super::outgoing::Outgoing;
use super::record::{Draft, Record};
use super::ruling::Ruling;
use super::share::Share;
use super::status::NodeStatus;
use super::terms::{Scope, Terms};
use super::timetable::{Scheduled, Timetable};

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

/// Why a node may run now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ReadyReason {
    NeedsMet,
    /// Every request it waited for has an answer.
    Answered,
    /// The last attempt failed and the retry rule allows another.
    Retry,
    /// The container vanished without an end that we saw.
    Lost,
    /// A folder that the attempt had was taken back.
    Revoked,
    /// The kill switch ended the attempt.
    Killed,
    /// A person said so.
    Operator,
    /// The OpenClaw session that does the run said so.
    Session,
}

/// What a container attempt is going to be: enough to make the same container again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct AttemptPlan {
    /// The container's name, the same for ever.
    pub container: String,
    /// The digest of everything the container is made with.
    pub spec: Digest,
    /// The image's id, so that a moved tag changes nothing.
    pub image: String,
    /// The folder of its socket under `gate/sockets/`.
    pub socket: String,
    pub deadline: DateTime<Utc>,
    /// Folders of the host that it has been granted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<GrantedMount>,
}

/// How an attempt ended, as observed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct AttemptEnd {
    pub outcome: Outcome,
    #[serde(default)]
    pub exit_code: Option<i64>,
    /// What is wrong, for a person; empty when nothing is.
    #[serde(default)]
    pub detail: String,
    /// The records of the gate up to this point.
    #[serde(default)]
    pub traffic: Option<TrafficHead>,
}

/// What a person says of an action of which the gate could not tell whether it was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Settled {
    /// The gate's record of the intent.
    pub record: u64,
    pub done: bool,
    pub by: String,
    pub comment: String,
}

/// A run that an agent asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ChildRun {
    /// Of the message that asked for it.
    pub id: RequestId,
    pub node: NodeId,
    pub attempt: u32,
    pub role: RoleName,
    pub run: RunId,
    /// What it was given of the node's.
    pub share: Share,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Succeeded,
    Suspended,
    Failed,
    Timeout,
    Oom,
    /// Its workspace held more than it may.
    OverDisk,
    /// The container is gone or was cut off by the Engine.
    Lost,
    Killed,
    /// A folder that it had was taken back.
    Revoked,
    /// The agent that did it was offboarded.
    Offboarded,
    Cancelled,
    /// Exit 0 without the files that were asked for.
    OutputsMissing,
    /// It was never started.
    NotStarted,
}

impl Outcome {
    /// How an attempt ended, to follow its name.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Suspended => "was suspended",
            Self::Failed => "failed",
            Self::Timeout => "ran out of time",
            Self::Oom => "ran out of memory",
            Self::OverDisk => "outgrew its disk",
            Self::Lost => "was lost",
            Self::Killed => "was killed",
            Self::Revoked => "was ended",
            Self::Offboarded => "was ended with its agent",
            Self::Cancelled => "was cancelled",
            Self::OutputsMissing => "ended without its files",
            Self::NotStarted => "could not be started",
        }
    }
}

/// The position of the gate's records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TrafficHead {
    /// Bytes.
    pub at: u64,
    pub digest: Digest,
}

/// What a waiting node waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum WaitingOn {
    Requests(Vec<RequestId>),
    Approval(RequestId),
    Condition,
    Session,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum FailureCode {
    Exit,
    Timeout,
    Oom,
    OverDisk,
    Lost,
    OutputsMissing,
    NotStarted,
    /// Exit 75 without a request, or a bound on suspensions or attempts.
    Suspended,
    /// What was approved could not be built.
    Build,
    Denied,
    Cancelled,
    Operator,
    /// The OpenClaw session that did the node said so.
    Session,
    /// The agent that did the node was offboarded.
    Offboarded,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    NeedFailed(NodeId),
    Operator,
    /// The OpenClaw session that does the run said so.
    Session,
}

/// What a session reports of a node, in OpenTask's words (`result.json`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub status: NodeStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Paths relative to the run folder.
    #[serde(default)]
    pub artifacts: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub child_session_key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_memory: Option<Map<String, Value>>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // the form that serde asks for
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// What a request came down to, before anyone is asked. The lock is opaque here; its room is `image`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Resolution {
    /// The base image's reference and what its layers were.
    pub base: String,
    pub base_layers: Vec<String>,
    /// The whole set's lock: what was granted before, and this.
    pub lock: Value,
    pub lock_digest: Digest,
    /// The packages that a `tool` stood for, with the versions that the lock gives them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Capability>,
    /// The recipe's identity: the image's name.
    pub recipe: Digest,
    /// The request whose lock this one builds upon; none if it is the first.
    pub upon: Option<RequestId>,
    /// The part of the lock that this request needs by itself; none where it is all that the lock adds to `upon`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own: Option<Value>,
    /// Requests beneath `upon` that had ended, and whose packages were in its set no more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<RequestId>,
    /// The lock that this one builds upon, where `upon` was resolved to another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What the policies said of it; none where none were asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Ruling>,
    /// The digest of what a person is shown.
    pub review: Digest,
}

/// What a granted set of packages is once others beneath it have ended: a part of what was shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Relocked {
    /// The requests beneath it that have ended, all of them.
    pub without: Vec<RequestId>,
    /// What every grant that stands needs by itself, together.
    pub lock: Value,
    pub lock_digest: Digest,
    /// The identity of the recipe that installs it.
    pub recipe: Digest,
}

/// What a person is shown of a request that needs no image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Presented {
    /// All that would be given to this run afterwards, by the gate and as folders, sorted.
    pub grants: Vec<Capability>,
    /// The folder that a `mount` means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<Folder>,
    /// What would be deployed on a `port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<Proposed>,
    /// What a `schedule` would do, and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Scheduled>,
    /// What the policies said of it; none where none were asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Ruling>,
    /// The digest of what a person is shown.
    pub review: Digest,
}

/// A decision as it took effect. A person's lies under `decisions/`; one by a rule is explained by the [`Ruling`] that
/// the request was resolved with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DecisionRecord {
    pub by: String,
    pub at: String,
    /// The digest of what was shown.
    pub digest: Digest,
    pub comment: String,
    /// What may be asked for instead, where that is what was decided.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub instead: Vec<Capability>,
    /// When the grant ends, if not with the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
    /// For whom the grant holds.
    #[serde(default, skip_serializing_if = "Scope::is_run")]
    pub scope: Scope,
    /// SHA-256 of the decision file; by a rule, of the policies that held it.
    pub file: Digest,
    /// Whether a signature proves it.
    #[serde(default)]
    pub proven: bool,
    /// The key that signed it, as `SHA256:…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// SHA-256 of the signature file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Digest>,
}

impl DecisionRecord {
    /// Whether a written rule decided, and no person: there is no file then.
    #[must_use]
    pub fn is_by_rule(&self) -> bool {
        self.by.starts_with("policy:") || self.standing().is_some()
    }

    /// The request of another run whose grant stands for this one too, where that decided.
    #[must_use]
    pub fn standing(&self) -> Option<&str> {
        self.by.strip_prefix(super::ruling::STANDING)
    }

    /// The bounds of what was granted.
    #[must_use]
    pub fn terms(&self) -> Terms {
        Terms { until: self.until, scope: self.scope.clone() }
    }
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

    /// One line for people.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::RunRebound { .. } => "The run's sessions were bound anew.".to_owned(),
            Self::RunCronBound { value, .. } => format!("Bound cron {value}."),
            Self::RunDriverBound { value } => format!("Bound driver run id {value}."),
            Self::NodeSessionBound { value, .. } => format!("Bound node session {value}."),
            Self::NodeChildSessionBound { value, .. } => format!("Bound child session {value}."),
            Self::NodeRunBound { value, .. } => format!("Bound node run id {value}."),
            Self::NodeAdded { node, .. } => format!("Node {node} was added."),
            Self::NodeRewired { node, needs } if needs.is_empty() => format!("Node {node} needs nothing now."),
            Self::NodeRewired { node, needs } => {
                let needs: Vec<&str> = needs.iter().map(NodeId::as_str).collect();
                format!("Node {node} needs {} now.", needs.join(", "))
            }
            Self::RegistryAdopted(adoption) => adopted(adoption),
            Self::OpenclawRequested { request, .. } => format!("OpenClaw is asked: {}.", request.kind()),
            Self::OpenclawDelivered { id } => format!("OpenClaw took request {id}."),
            Self::OpenclawFailed { id, reason } => format!("OpenClaw did not take request {id}: {reason}"),
            Self::EventAppended { name, .. } => format!("Event {name} was appended."),
            Self::RunCreated(created) => format!("Created run scaffold from {}.", created.workflow_path),
            Self::RunPaused { reason } => format!("Run is paused: {reason}."),
            Self::RunResumed {} => "Run goes on.".to_owned(),
            Self::RunCancelled { reason } => format!("Run is cancelled: {reason}."),
            Self::RunCompleted {} => "Run is completed.".to_owned(),
            Self::RunFailed { failed } => {
                format!("Run is failed: {}.", failed.iter().map(NodeId::as_str).collect::<Vec<_>>().join(", "))
            }
            Self::RunReopened {} => "Run was reopened.".to_owned(),
            Self::RunProgress { message, .. } => message.clone(),
            Self::ChildStarted { run, node, role, .. } => format!("Run {run} works for node {node} as {role}."),
            Self::ActionSettled { node, settled } => {
                let was = if settled.done { "was done" } else { "was not done" };
                format!("Action {} of node {node} {was}, as {} says.", settled.record, settled.by)
            }
            Self::RunNotified { ids } => format!("A person was told of {} waiting.", ids.len()),
            Self::NodeReady { node, why, .. } => match why {
                ReadyReason::NeedsMet => format!("Node {node} is ready for dispatch."),
                ReadyReason::Answered => format!("Node {node} goes on: its requests are answered."),
                ReadyReason::Retry => format!("Node {node} is tried again."),
                ReadyReason::Revoked => format!("Node {node} is tried again, without what was taken back."),
                ReadyReason::Lost => format!("Node {node} is tried again: its container was lost."),
                ReadyReason::Killed => format!("Node {node} was ended by the kill switch."),
                ReadyReason::Operator => format!("Node {node} is tried again on request."),
                ReadyReason::Session => format!("Node {node} is ready for dispatch."),
            },
            Self::NodeReset { node } => format!("Node {node} waits for its needs again."),
            Self::NodeDispatching { node, attempt, plan } => {
                format!("Node {node} attempt {attempt} goes to container {}.", plan.container)
            }
            Self::NodeStarted { node, attempt: 0, .. } => format!("Node {node} is being done by its session."),
            Self::NodeStarted { node, attempt, .. } => format!("Node {node} attempt {attempt} is running."),
            Self::AttemptEnded { node, attempt, end } => {
                let outcome = end.outcome.words();
                if end.detail.is_empty() {
                    format!("Node {node} attempt {attempt} {outcome}.")
                } else {
                    format!("Node {node} attempt {attempt} {outcome}: {}", end.detail)
                }
            }
            Self::NodeWaiting { node, on } => match on {
                WaitingOn::Requests(ids) => format!("Node {node} waits for {} decision(s).", ids.len()),
                WaitingOn::Approval(id) => format!("Node {node} waits for approval {id}."),
                WaitingOn::Condition => format!("Node {node} waits."),
                WaitingOn::Session => format!("Node {node} waits for its session."),
            },
            Self::NodeCompleted { node, decision, .. } => match decision {
                Some(decision) => format!("Node {node} was approved by {}.", decision.by),
                None => format!("Node {node} is completed."),
            },
            Self::NodeFailed { node, detail, .. } => format!("Node {node} failed: {detail}"),
            Self::NodeSkipped { node, why } => match why {
                SkipReason::NeedFailed(need) => format!("Node {node} is skipped: {need} did not complete."),
                SkipReason::Operator => format!("Node {node} is skipped on request."),
                SkipReason::Session => format!("Node {node} is skipped by its session."),
            },
            Self::NodeResult { node, .. } => format!("Node {node} gave its result."),
            Self::CapabilityRequested { node, capability, attempt, by_gate, .. } => {
                if *by_gate {
                    format!("The gate asks for {capability} for node {node}.")
                } else if *attempt == 0 {
                    format!("The workflow asks for {capability} for node {node}.")
                } else {
                    format!("Node {node} asks for {capability}.")
                }
            }
            Self::CapabilityJoined { id, node, .. } => format!("Node {node} asks for what request {id} asks for."),
            Self::CapabilityResolved { id, .. } => format!("Request {id} is resolved and can be decided."),
            Self::CapabilityPresented { id, .. } => format!("Request {id} can be decided."),
            Self::CapabilityUnresolvable { id, reason } => format!("Request {id} cannot be resolved: {reason}"),
            Self::CapabilityApproved { id, decision } => format!("Request {id} was approved by {}.", decision.by),
            Self::CapabilityDenied { id, decision } => format!("Request {id} was denied by {}.", decision.by),
            Self::CapabilitySuperseded { id, decision } => {
                let instead: Vec<String> = decision.instead.iter().map(ToString::to_string).collect();
                format!("For request {id}, {} suggests {} instead.", decision.by, instead.join(", "))
            }
            Self::CapabilityApplied { id, image } if image.is_empty() => format!("Request {id} is in force."),
            Self::CapabilityApplied { id, image } => format!("Request {id} is in force: image {image}."),
            Self::CapabilityFailed { id, reason } => format!("Request {id} could not be applied: {reason}"),
            Self::CapabilityRevoked { id, by, reason } => format!("Request {id} was revoked by {by}: {reason}"),
            Self::CapabilityEdited { id, reason, .. } if !reason.is_empty() => {
                format!("Of request {id}, a list was taken back that cannot be had: {reason}")
            }
            Self::CapabilityEdited { id, by, list, .. } => {
                let list: Vec<String> = list.iter().map(ToString::to_string).collect();
                format!("Of request {id}, {by} made: {}.", list.join(", "))
            }
            Self::CapabilityExpired { id, reason } => format!("Request {id} has expired: {reason}"),
            Self::CapabilityRelocked { id, relocked } => {
                let gone: Vec<&str> = relocked.without.iter().map(RequestId::as_str).collect();
                format!("The packages of request {id} are another set, without those of {}.", gone.join(", "))
            }
            Self::DeploymentPlaced { id, port } => format!("Deployment {id} has 127.0.0.1:{port}."),
            Self::DeploymentStarting { id, launch } => {
                format!("Deployment {id} start {} goes to container {}.", launch.number, launch.container)
            }
            Self::DeploymentStarted { id, number, .. } => format!("Deployment {id} start {number} is running."),
            Self::DeploymentEnded { id, number, end } if end.detail.is_empty() => {
                format!("Deployment {id} start {number} {}.", end.outcome.words())
            }
            Self::DeploymentEnded { id, number, end } => {
                format!("Deployment {id} start {number} {}: {}", end.outcome.words(), end.detail)
            }
            Self::DeploymentStopped { id, by, reason } => format!("Deployment {id} was stopped by {by}: {reason}"),
            Self::DeploymentResumed { id, by } => format!("Deployment {id} goes on, by {by}."),
            Self::ImageBuilding { recipe } => format!("Image {} is being built.", recipe.short()),
            Self::GateStopped { .. } => "The gate is stopped.".to_owned(),
            Self::ControlApplied { action, .. } => format!("Control {action} was applied."),
            Self::ControlRejected { id, reason } => format!("Control {id} was rejected: {reason}"),
            Self::InputRejected { input, reason, .. } => format!("{input} was rejected: {reason}"),
            Self::JournalVoided {} => "A torn tail was voided.".to_owned(),
        }
    }
}

/// An adoption on one line.
fn adopted(adoption: &Adoption) -> String {
    let what = if adoption.created.is_some() { "A run that another program made" } else { "Another program's changes" };
    let changes = adoption.nodes.len() + adoption.added.len() + adoption.rewired.len();
    match adoption.refused.len() {
        0 => format!("{what} taken over: {changes} node(s)."),
        refused => format!("{what} taken over: {changes} node(s); {refused} change(s) refused."),
    }
}
