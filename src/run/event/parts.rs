//! What events are made of: why and how something happened, and what was decided on.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::super::capability::Capability;
use super::super::deployment::Proposed;
use super::super::folder::{Folder, GrantedMount};
use super::super::id::{Digest, NodeId, RequestId, RoleName, RunId};
use super::super::ruling::Ruling;
use super::super::share::Share;
use super::super::status::NodeStatus;
use super::super::terms::{Scope, Terms};
use super::super::timetable::Scheduled;

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
        self.by.strip_prefix(super::super::ruling::STANDING)
    }

    /// The bounds of what was granted.
    #[must_use]
    pub fn terms(&self) -> Terms {
        Terms { until: self.until, scope: self.scope.clone() }
    }
}
