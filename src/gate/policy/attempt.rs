//! One attempt: what it may do, what it is told, and what became of what it asked for.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{AllowedAction, Ceilings};
use crate::gate::memory::MemoryUse;
use crate::run::capability::Capability;
use crate::run::deployment::Proposal;
use crate::run::id::{NodeId, RequestId, RoleName, RunId};
use crate::run::timetable::Timetable;

/// One attempt: the socket it speaks through and what it may do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Attempt {
    /// The name of its folder under `gate/sockets/`: 1 to 32 lower-case letters and digits.
    pub socket: String,
    pub node: NodeId,
    /// From 1.
    pub attempt: u32,
    /// As what its node works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<RoleName>,
    /// The roles above that, the nearest first: its node works for theirs, and what it takes of models is theirs too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub under: Vec<RoleName>,
    /// The memory that it reaches; none where no hired agent does the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryUse>,
    /// Whom it may give work to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegation: Option<DelegationUse>,
    /// The runs that work for its node.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<ChildView>,
    /// When the socket closes.
    pub deadline: DateTime<Utc>,
    /// Globs of the models it may use.
    #[serde(default)]
    pub models: Vec<String>,
    /// What it was granted beyond that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<Grant>,
    /// What is done for it, by these rules; any of them is enough.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<AllowedAction>,
    #[serde(default)]
    pub limits: Limits,
    /// What the node may take of models, over all its attempts.
    #[serde(default, skip_serializing_if = "Ceilings::is_empty")]
    pub ceilings: Ceilings,
    /// What of that was given to children of the node; as for the run.
    #[serde(default, skip_serializing_if = "Ceilings::is_empty")]
    pub given: Ceilings,
    #[serde(default)]
    pub brief: Brief,
    /// All capability requests of the node, with their present status.
    #[serde(default)]
    pub requests: Vec<CapabilityRequest>,
    /// The port of 127.0.0.1 on which the gate offers what it listens on, by its one grant, a `port:`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish: Option<u16>,
}

/// Whom an attempt may give a part of its work to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DelegationUse {
    pub roles: Vec<RoleName>,
    /// The most children of the node.
    pub children: u32,
}

/// A run that works for a node, as its agent sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ChildView {
    pub id: RequestId,
    pub role: RoleName,
    pub run: RunId,
    /// Of the run: `running`, `completed`, `failed`, `cancelled`, `paused`.
    pub status: String,
    /// What it was given of the node's requests to models.
    pub requests: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<serde_json::Value>,
}

/// A way out, or models, that somebody approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// The request that it was approved upon.
    pub request: RequestId,
    /// What a gate gives; `port:` where that is published.
    pub capability: Capability,
    /// When it is over, if not with the attempt. The gate keeps the time by itself, to the second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
}

impl Grant {
    /// Whether its time is over at `now`.
    #[must_use]
    pub fn is_over(&self, now: DateTime<Utc>) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

/// What an attempt may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Limits {
    /// LLM requests, over all attempts of the node.
    pub llm_requests: u64,
    /// The largest body of one LLM request, in bytes.
    pub body_bytes: u64,
    /// Capability requests, over all attempts of the node.
    pub capability_requests: u64,
    /// Kept by the host: the gate does not see the workspace.
    pub workspace_bytes: u64,
    /// LLM requests that the attempt has under way at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrent: Option<u32>,
    /// LLM requests of the node within any second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_second: Option<u32>,
    /// LLM requests of the node within any minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_minute: Option<u32>,
    /// Bytes of records from which connections to what is published are counted together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress_bytes: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            llm_requests: 30,
            body_bytes: 8 << 20,
            capability_requests: 20,
            workspace_bytes: 1 << 30,
            concurrent: None,
            per_second: None,
            per_minute: None,
            ingress_bytes: None,
        }
    }
}

/// What the built-in agent is told.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Brief {
    pub system: String,
    pub prompt: String,
    pub model: String,
    pub iterations: u32,
    /// Files it has to leave, relative to `/workspace`.
    pub outputs: Vec<String>,
    /// Files and folders it finds, absolute.
    pub inputs: Vec<String>,
    /// Whether it has a memory to work with.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub memory: bool,
    /// Whether there is somebody to give work to.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub delegates: bool,
    /// What it was told it has and has no more, a sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<String>,
}

/// A capability request as the host knows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CapabilityRequest {
    pub id: RequestId,
    /// In canonical form.
    pub capability: String,
    /// What is to be deployed on a `port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deploy: Option<Proposal>,
    /// When a `schedule` does what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Timetable>,
    pub status: RequestStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answer>,
}

impl CapabilityRequest {
    /// Whether it was granted for the next attempt: this one waits for it in vain.
    #[must_use]
    pub fn is_for_the_next(&self) -> bool {
        self.status == RequestStatus::Pending && self.answer.is_some()
    }

    /// Whether the gate alone gives what it is about.
    #[must_use]
    pub fn is_of_gate(&self) -> bool {
        Capability::parse(&self.capability).is_ok_and(|capability| capability.kind().is_of_gate())
    }
}

impl Attempt {
    /// Whether it has what `request` asks for, if the gate gives that.
    #[must_use]
    pub fn gives(&self, request: &CapabilityRequest) -> bool {
        // A ceiling of the run, or of the day, is everybody's.
        let budget = request.capability.strip_prefix("budget:");
        if budget.is_some_and(|budget| !budget.starts_with("agent,")) {
            return request.status.is_granted();
        }
        self.grants.iter().any(|grant| grant.request == request.id)
    }

    /// What is left of it at `now`: without the grants whose time is over.
    pub(crate) fn at(&self, now: DateTime<Utc>) -> std::borrow::Cow<'_, Self> {
        if !self.grants.iter().any(|grant| grant.is_over(now)) {
            return std::borrow::Cow::Borrowed(self);
        }
        let mut left = self.clone();
        left.grants.retain(|grant| !grant.is_over(now));
        std::borrow::Cow::Owned(left)
    }

    /// What may be done for it at `now`: what a role allows, and what a grant does that stands here and is not over.
    pub(crate) fn actions_at(&self, now: DateTime<Utc>) -> impl Iterator<Item = &AllowedAction> {
        self.actions.iter().filter(move |action| {
            let Some(id) = action.by.strip_prefix("request ") else { return true };
            self.grants.iter().any(|grant| grant.request.as_str() == id && !grant.is_over(now))
        })
    }

    /// Globs of the models it may use: its own, and those granted.
    pub(crate) fn model_globs(&self) -> impl Iterator<Item = &str> {
        let granted = self.grants.iter().filter_map(|grant| match &grant.capability {
            Capability::Llm(models) => Some(models.glob().as_str()),
            _ => None,
        });
        self.models.iter().map(String::as_str).chain(granted)
    }
}

/// How far a request has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum RequestStatus {
    Pending,
    Approved,
    Applied,
    Denied,
    /// A person named what may be asked for instead.
    Superseded,
    Failed,
    Unresolvable,
    Revoked,
    /// Nobody decided in time.
    Expired,
}

impl RequestStatus {
    /// Whether the answer is a no that stands. What was taken back can be asked for again.
    #[must_use]
    pub const fn is_refused(self) -> bool {
        matches!(self, Self::Denied | Self::Superseded | Self::Failed | Self::Unresolvable | Self::Expired)
    }

    /// Whether it was approved, and not taken back.
    #[must_use]
    pub const fn is_granted(self) -> bool {
        matches!(self, Self::Approved | Self::Applied)
    }
}

/// What was decided, in the words that the agent reads.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Answer {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Who decided: `operator:ada`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// What is granted, with exact versions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub granted: Vec<String>,
    /// What was asked for and is not among it: a person granted another list.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub withheld: Vec<String>,
    /// What may be asked for instead.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alternative: Vec<String>,
    /// Where what was deployed is offered on the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub published: Option<String>,
}
