//! What somebody wants to happen to a run, or what was observed of it: the input of `decide`.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::adoption::Adoption;
use super::capability::Capability;
use super::definition::{Artifact, NodeDefinition, Sessions};
use super::deployment::{self, Launch, Proposal};
use super::event::{
    AttemptPlan, ChildRun, DecisionRecord, Presented, Relocked, Report, Resolution, Settled, TrafficHead,
};
use super::id::{Digest, NodeId, RequestId};
use super::outgoing::Outgoing;
use super::ruling::Ruling;
use super::status::NodeStatus;
use super::timetable::Timetable;

/// A command. Nothing in it has been checked against the run.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Say that a container is about to be started.
    Dispatch {
        node: NodeId,
        attempt: u32,
        plan: AttemptPlan,
    },
    /// The container was started, or found started.
    Started {
        node: NodeId,
        attempt: u32,
        container_id: String,
    },
    /// The attempt is over.
    End {
        node: NodeId,
        attempt: u32,
        seen: Seen,
    },
    /// The agent of a node that waits for its requests was offboarded.
    Dismiss {
        node: NodeId,
    },
    /// An agent asks (`attempt` from 1), or the workflow does (`attempt` 0).
    Request {
        id: RequestId,
        node: NodeId,
        attempt: u32,
        capability: Capability,
        reason: String,
        /// The gate asks, since a budget is spent.
        by_gate: bool,
        /// What is to be deployed on a `port`.
        deploy: Option<Proposal>,
        /// When a `schedule` does what.
        schedule: Option<Timetable>,
    },
    Resolve {
        id: RequestId,
        resolution: Resolution,
    },
    CannotResolve {
        id: RequestId,
        reason: String,
    },
    /// A request that needs no image can be decided.
    Present {
        id: RequestId,
        presented: Presented,
    },
    /// A rule denies it.
    Forbid {
        id: RequestId,
        ruling: Ruling,
        /// Of what a person would have been shown.
        digest: Digest,
    },
    /// The gate gives what was approved, or there is no agent to give it to.
    /// What was approved cannot be given any more.
    CannotGive {
        id: RequestId,
        reason: String,
    },
    /// A person says what became of an action of `node`.
    SettleAction {
        node: NodeId,
        settled: Settled,
    },
    Given {
        id: RequestId,
    },
    /// A person takes back what the gate gives.
    Revoke {
        id: RequestId,
        by: String,
        reason: String,
    },
    /// The time of a request is over: of what was granted, or `limit` after it was made while nobody decided.
    Expire {
        id: RequestId,
        limit: Option<chrono::Duration>,
    },
    /// What a granted set is without what has ended beneath it.
    Relock {
        id: RequestId,
        relocked: Box<Relocked>,
    },
    /// A decision on a capability request or an approval node.
    Decide {
        id: RequestId,
        verdict: Verdict,
        decision: DecisionRecord,
    },
    /// A person makes `list` of a request, which stood for `asked`.
    Edit {
        id: RequestId,
        by: String,
        asked: Vec<Capability>,
        list: Vec<Capability>,
    },
    /// Several decisions of one person at once, each on what was shown before any of them: all of them, or none.
    DecideAll(Vec<(RequestId, Verdict, DecisionRecord)>),
    /// The image of `recipe` is there, or building it failed.
    ImageReady {
        recipe: Digest,
        image: String,
    },
    /// Its build is about to be started.
    Building {
        recipe: Digest,
    },
    ImageFailed {
        recipe: Digest,
        reason: String,
    },
    Progress {
        inbox: Option<String>,
        node: Option<NodeId>,
        message: String,
    },
    Result {
        inbox: Option<String>,
        node: NodeId,
        result: Value,
        report: Option<Box<Report>>,
    },
    /// The OpenClaw session that does the run says where a node stands.
    Transition {
        node: NodeId,
        to: NodeStatus,
        /// What is wrong, if it failed.
        detail: String,
    },
    Bind(Binding),
    /// A node more in this run, before `before` or at the end.
    AddNode {
        before: Option<NodeId>,
        definition: Box<NodeDefinition>,
    },
    Rewire {
        node: NodeId,
        needs: Vec<NodeId>,
    },
    /// What another program did to the run's files, already merged.
    Adopt(Box<Adoption>),
    /// Ask OpenClaw for something, at a tick's next round.
    Ask {
        id: String,
        request: Outgoing,
    },
    /// What OpenClaw made of it.
    Answer {
        id: String,
        outcome: Result<(), String>,
    },
    /// A line that says nothing to us stands in the journal, by this name and digest.
    Appended {
        name: String,
        line: Digest,
    },
    RejectInput {
        input: String,
        reason: String,
    },
    /// A decision's file that cannot count, under the name by which it stands aside.
    RejectDecision {
        id: RequestId,
        file: String,
        reason: String,
    },
    Notified {
        ids: Vec<RequestId>,
    },
    /// A `wait` node's condition holds.
    ConditionMet {
        node: NodeId,
    },
    /// The gate's container is gone.
    GateStopped {
        traffic: Option<TrafficHead>,
    },
    Control {
        id: Option<String>,
        control: Control,
    },
    RejectControl {
        id: String,
        reason: String,
    },
    /// The kill switch ended what ran; the run stays paused until a person resumes it.
    Killed {
        reason: String,
        traffic: Option<TrafficHead>,
    },
    Deployment(DeploymentCommand),
    /// A run was made that works for a node of this one.
    Child(Box<ChildRun>),
    /// Nothing new: only what follows from the state as it is.
    Settle,
}

/// What is wanted of a deployment, or was seen of it. A run that is over keeps its deployments.
#[derive(Debug, Clone, PartialEq)]
pub enum DeploymentCommand {
    /// It has a port of the host, and comes into force with it.
    Place {
        id: RequestId,
        port: u16,
    },
    /// There is none.
    NoPort {
        id: RequestId,
        reason: String,
    },
    /// Its container is about to be started.
    Begin {
        id: RequestId,
        launch: Launch,
    },
    Started {
        id: RequestId,
        number: u32,
        container_id: String,
    },
    End {
        id: RequestId,
        number: u32,
        end: deployment::End,
    },
    Stop {
        id: RequestId,
        by: String,
        reason: String,
    },
    Resume {
        id: RequestId,
        by: String,
    },
}

/// What is bound to a run or to one of its nodes.
#[derive(Debug, Clone, PartialEq)]
pub enum Binding {
    /// The OpenClaw sessions behind the run.
    Sessions(Box<Sessions>),
    /// The cron job that drives the run, as of a node if one is named.
    Cron {
        node: Option<NodeId>,
        value: String,
    },
    DriverRun(String),
    NodeSession {
        node: NodeId,
        value: String,
    },
    ChildSession {
        node: NodeId,
        value: String,
    },
    NodeRun {
        node: NodeId,
        value: String,
    },
}

/// An operator's intent.
#[derive(Debug, Clone, PartialEq)]
pub enum Control {
    /// Completes a wait; an approval only in OpenTask's own registry, which has no decisions.
    Approve {
        node: NodeId,
    },
    /// Say `text` in the session of `node`, or in the one that drives the run.
    SendMessage {
        node: Option<NodeId>,
        text: String,
    },
    PatchCron {
        patch: serde_json::Map<String, Value>,
    },
    Pause {
        reason: String,
    },
    Resume,
    Cancel {
        reason: String,
    },
    Retry {
        node: NodeId,
    },
    Skip {
        node: NodeId,
    },
}

impl Control {
    /// The name in `control.jsonl`.
    #[must_use]
    pub const fn action(&self) -> &'static str {
        match self {
            Self::Pause { .. } => "pause",
            Self::Resume => "resume",
            Self::Cancel { .. } => "cancel",
            Self::Retry { .. } => "retry",
            Self::Skip { .. } => "skip",
            Self::Approve { .. } => "approve",
            Self::SendMessage { .. } => "send_message",
            Self::PatchCron { .. } => "patch_cron",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Approve,
    Deny,
    /// Ask for what the decision names instead.
    Suggest,
}

/// What was seen of an attempt's end.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    pub how: How,
    /// Declared outputs that were copied.
    pub artifacts: Vec<Artifact>,
    /// Declared outputs that were not, each with its reason.
    pub missing: Vec<String>,
    /// What its standard error ends with, on one line, made safe to show; empty if there is nothing.
    pub said: String,
    pub traffic: Option<TrafficHead>,
    /// The budget that the gate said was spent, if it let the attempt ask no model since; what would be enough.
    pub spent: Option<Capability>,
    pub at: DateTime<Utc>,
}

impl Seen {
    /// What was seen of an attempt that left nothing: how it ended, and when.
    #[must_use]
    pub fn of(how: How, at: DateTime<Utc>) -> Self {
        Self { how, artifacts: Vec::new(), missing: Vec::new(), said: String::new(), traffic: None, spent: None, at }
    }
}

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    Exited {
        code: i64,
        oom: bool,
        timed_out: bool,
    },
    /// The Engine does not know it any more, or lost it in a restart.
    Gone,
    /// Its workspace held more than it may; it was ended for that, or ended by itself.
    OverDisk {
        limit: u64,
    },
    /// It could not be created or started.
    NotStarted {
        reason: String,
    },
    Cancelled,
    /// It was ended because a folder that it had was taken back.
    Revoked,
    /// It was ended because the agent that did it was offboarded.
    Offboarded,
}

/// Exit code of an agent that waits for a decision.
pub const EXIT_SUSPENDED: i64 = 75;
/// Exit code of the shim when the gate refuses or is closed.
pub const EXIT_REFUSED: i64 = 72;
/// Exit code of the shim when the wall clock is over.
pub const EXIT_TIMEOUT: i64 = 124;
