//! What somebody wants to happen to a run, or what was observed of it: the input of `decide`.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::capability::Capability;
use super::definition::Artifact;
use super::event::{AttemptPlan, DecisionRecord, Resolution, TrafficHead};
use super::id::{Digest, NodeId, RequestId};

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
    /// An agent asks (`attempt` from 1), or the workflow does (`attempt` 0).
    Request {
        id: RequestId,
        node: NodeId,
        attempt: u32,
        capability: Capability,
        reason: String,
    },
    Resolve {
        id: RequestId,
        resolution: Resolution,
    },
    CannotResolve {
        id: RequestId,
        reason: String,
    },
    /// A decision on a capability request or an approval node.
    Decide {
        id: RequestId,
        verdict: Verdict,
        decision: DecisionRecord,
    },
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
        inbox: String,
        node: NodeId,
        result: Value,
    },
    RejectInput {
        input: String,
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
    /// Nothing new: only what follows from the state as it is.
    Settle,
}

/// An operator's intent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    Pause { reason: String },
    Resume,
    Cancel { reason: String },
    Retry { node: NodeId },
    Skip { node: NodeId },
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
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Approve,
    Deny,
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
    pub at: DateTime<Utc>,
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
}

/// Exit code of an agent that waits for a decision.
pub const EXIT_SUSPENDED: i64 = 75;
/// Exit code of the shim when the gate refuses or is closed.
pub const EXIT_REFUSED: i64 = 72;
/// Exit code of the shim when the wall clock is over.
pub const EXIT_TIMEOUT: i64 = 124;
