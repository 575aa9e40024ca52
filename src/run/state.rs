//! A run as it stands: the fold of its events, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::adoption::{Bound, Counters};
use super::capability::{Capability, Mount, MountMode};
use super::definition::{Artifact, Created, NodeDefinition};
use super::deployment::{Deployment, Proposal};
use super::event::{
    AttemptEnd, AttemptPlan, ChildRun, DecisionRecord, FailureCode, Presented, ReadyReason, Relocked, Report,
    Resolution, Settled, SkipReason, WaitingOn,
};
use super::folder::GrantedMount;
use super::id::{Digest, NodeId, RequestId, RunId};
use super::outgoing;
use super::ruling::Ruling;
use super::status::{NodeStatus, RunStatus};
use super::timetable::Timetable;

/// A run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct State {
    pub run: RunId,
    pub created: Created,
    pub status: RunStatus,
    /// Why it is paused or cancelled, if it is.
    #[serde(default)]
    pub status_reason: String,
    pub nodes: Vec<Node>,
    pub requests: Vec<Request>,
    /// Runs that work for this one, in the order in which they were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<ChildRun>,
    /// What people said of actions whose outcome was unclear, the last of each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settled: Vec<Settled>,
    /// Requests in the order in which they were approved.
    pub approved: Vec<RequestId>,
    /// What was deployed, in the order in which it was given its ports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deployments: Vec<Deployment>,
    /// Inbox files that are journaled; a crash may leave such a file lying for the next tick.
    pub ingested: BTreeSet<String>,
    /// Decisions that lay there and could not count, the newest last; no more than [`State::REJECTED`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<RejectedDecision>,
    pub applied_controls: Vec<String>,
    pub notified: BTreeSet<RequestId>,
    /// What was asked of OpenClaw, in order.
    #[serde(default)]
    pub outgoing: Vec<outgoing::Request>,
    /// The OpenClaw cron job that drives the run.
    #[serde(default)]
    pub cron_job_id: Option<String>,
    /// The driver's turn in flight, as OpenTask's service names it.
    #[serde(default)]
    pub driver_run_id: Option<String>,
    #[serde(default)]
    pub counters: Counters,
    /// A gate container may exist: true from the first intent to start an agent until the gate is gone.
    pub gate_up: bool,
    /// Builds that this run started; none where the images it needs were there.
    #[serde(default)]
    pub images_built: u32,
    /// Since when images are being built that nothing was started in yet: what failed before says nothing of them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub building: BTreeMap<Digest, DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub last_event: String,
    #[serde(default)]
    pub last_progress: Option<(String, DateTime<Utc>)>,
}

/// A node as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Node {
    pub status: NodeStatus,
    #[serde(default)]
    pub ready: Option<ReadyReason>,
    /// The next attempt starts no earlier.
    #[serde(default)]
    pub not_before: Option<DateTime<Utc>>,
    #[serde(default)]
    pub waiting_on: Option<WaitingOn>,
    pub attempts: Vec<Attempt>,
    /// Attempts since a person last retried the node; bounds count from here.
    #[serde(default)]
    pub counted_from: usize,
    #[serde(default)]
    pub artifacts: Vec<Artifact>,
    #[serde(default)]
    pub decision: Option<DecisionRecord>,
    #[serde(default)]
    pub failure: Option<(FailureCode, String)>,
    #[serde(default)]
    pub skipped: Option<SkipReason>,
    #[serde(default)]
    pub result: Option<Value>,
    /// What the session that did the node said of it beside the result.
    #[serde(default)]
    pub report: Option<Report>,
    /// The sessions that do the node.
    #[serde(default)]
    pub bound: Bound,
    /// Remarks of OpenTask's service.
    #[serde(default)]
    pub notes: Vec<String>,
    /// When a session was last asked to do the node, since it became ready.
    #[serde(default)]
    pub woken_at: Option<DateTime<Utc>>,
    /// How often the node entered approval; part of the approval's id.
    #[serde(default)]
    pub approvals: u32,
    #[serde(default)]
    pub started_at: Option<DateTime<Utc>>,
    #[serde(default)]
    pub completed_at: Option<DateTime<Utc>>,
}

/// One container execution of a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// From 1.
    pub number: u32,
    pub plan: AttemptPlan,
    #[serde(default)]
    pub container_id: Option<String>,
    #[serde(default)]
    pub started_at: Option<DateTime<Utc>>,
    #[serde(default)]
    pub end: Option<AttemptEnd>,
    #[serde(default)]
    pub ended_at: Option<DateTime<Utc>>,
}

/// Something an agent, or the workflow, asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Request {
    pub id: RequestId,
    pub node: NodeId,
    /// 0 when the workflow itself asks.
    pub attempt: u32,
    pub capability: Capability,
    pub reason: String,
    /// The gate asked, since a budget is spent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_gate: bool,
    /// What is to be deployed on a `port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deploy: Option<Proposal>,
    /// When a `schedule` does what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Timetable>,
    /// Every attempt that asked for it, the first included.
    pub askers: Vec<(NodeId, u32)>,
    pub at: DateTime<Utc>,
    pub status: RequestStatus,
    #[serde(default)]
    pub resolution: Option<Resolution>,
    /// What a set of packages is since others beneath it have ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relocked: Option<Box<Relocked>>,
    /// What was shown of a request that needs no image.
    #[serde(default)]
    pub presented: Option<Presented>,
    /// The list that a person made of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited: Option<Edited>,
    #[serde(default)]
    pub decision: Option<DecisionRecord>,
    /// Why it could not be resolved or applied, or was revoked.
    #[serde(default)]
    pub problem: String,
    /// The image in which it is in force.
    #[serde(default)]
    pub image: Option<String>,
}

/// The file of a decision that could not count, and stands aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RejectedDecision {
    pub request: RequestId,
    /// Its name in `decisions/` now.
    pub file: String,
    pub reason: String,
    pub at: DateTime<Utc>,
}

/// What a person made of a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Edited {
    pub by: String,
    /// What it stood for.
    pub asked: Vec<Capability>,
    /// What would be granted instead.
    pub list: Vec<Capability>,
}

impl Edited {
    /// What was asked for and is not on the list, whatever the version.
    pub fn withheld(&self) -> impl Iterator<Item = &Capability> {
        self.asked.iter().filter(|asked| !self.list.iter().any(|listed| listed.is_for_the_same(asked)))
    }
}

/// Where a request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum RequestStatus {
    /// Not resolved yet, or to be resolved again since the set it builds upon has changed.
    Requested,
    /// Resolved: a person can decide.
    Pending,
    Unresolvable,
    Approved,
    Denied,
    /// A person named what may be asked for instead.
    Superseded,
    Applied,
    Failed,
    /// Granted once, and taken back.
    Revoked,
    /// Nobody decided in time, or it was granted for a time that is over.
    Expired,
}

impl RequestStatus {
    pub const ALL: [Self; 10] = [
        Self::Requested,
        Self::Pending,
        Self::Unresolvable,
        Self::Approved,
        Self::Denied,
        Self::Superseded,
        Self::Applied,
        Self::Failed,
        Self::Revoked,
        Self::Expired,
    ];

    /// Whether the asking agent has its answer.
    #[must_use]
    pub const fn is_answered(self) -> bool {
        matches!(
            self,
            Self::Unresolvable
                | Self::Denied
                | Self::Superseded
                | Self::Applied
                | Self::Failed
                | Self::Revoked
                | Self::Expired
        )
    }

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Pending => "pending",
            Self::Unresolvable => "unresolvable",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Superseded => "superseded",
            Self::Applied => "applied",
            Self::Failed => "failed",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
        }
    }

    /// Whether it was approved, and not taken back.
    #[must_use]
    pub const fn is_granted(self) -> bool {
        matches!(self, Self::Approved | Self::Applied)
    }
}

impl Request {
    /// The digest of what a person is shown; none before there is something to show.
    #[must_use]
    pub fn review(&self) -> Option<&Digest> {
        let resolved = self.resolution.as_ref().map(|resolution| &resolution.review);
        resolved.or_else(|| self.presented.as_ref().map(|presented| &presented.review))
    }

    /// Whether it was granted and is not any more: taken back, or its time is over.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        match self.status {
            RequestStatus::Revoked => true,
            RequestStatus::Expired => self.decision.is_some(),
            _ => false,
        }
    }

    /// Whether it waits for an answer that nobody has given.
    #[must_use]
    pub const fn is_undecided(&self) -> bool {
        matches!(self.status, RequestStatus::Requested | RequestStatus::Pending)
    }

    /// Whether it is granted for a time that is over at `now`.
    #[must_use]
    pub fn is_over(&self, now: DateTime<Utc>) -> bool {
        self.status.is_granted() && self.decision.as_ref().is_some_and(|decision| decision.terms().are_over(now))
    }

    /// What is given if it is granted and needs no image: what was asked for, or what a person made of it.
    #[must_use]
    pub fn meant(&self) -> &Capability {
        self.edited.as_ref().and_then(|edited| edited.list.first()).unwrap_or(&self.capability)
    }

    /// What the policies said of it when it was shown.
    #[must_use]
    pub fn ruling(&self) -> Option<&Ruling> {
        match (&self.resolution, &self.presented) {
            (Some(resolution), _) => resolution.policy.as_ref(),
            (None, Some(presented)) => presented.policy.as_ref(),
            (None, None) => None,
        }
    }
}

impl State {
    /// The most rejected decisions that are kept in mind; the journal has all of them.
    pub const REJECTED: usize = 256;

    /// The decisions on `id` that could not count.
    pub fn rejected_of(&self, id: &RequestId) -> impl Iterator<Item = &RejectedDecision> {
        self.rejected.iter().filter(move |rejected| rejected.request == *id)
    }

    /// The rejected decisions on what still waits for one: somebody may think that they decided it.
    pub fn rejected_and_open(&self) -> impl Iterator<Item = &RejectedDecision> {
        let waiting = self.waiting_for_a_person();
        self.rejected.iter().filter(move |rejected| {
            let undecided = self.request(&rejected.request).is_some_and(Request::is_undecided);
            undecided || waiting.contains(&rejected.request)
        })
    }

    /// Whether the run belongs to a registry without `taskforge.toml`: OpenTask's own, with its rules.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        self.created.registry.is_empty()
    }

    /// Whether approval nodes take a person's decision; in OpenTask's own registry without approvers whoever drives the run
    /// passes them.
    #[must_use]
    pub fn needs_decisions(&self) -> bool {
        !self.is_bare() || self.created.signed
    }

    /// The definition and the state of node `id`.
    #[must_use]
    pub fn node(&self, id: &NodeId) -> Option<(&NodeDefinition, &Node)> {
        let index = self.index(id)?;
        Some((&self.created.nodes[index], &self.nodes[index]))
    }

    /// The nodes, in the workflow's order.
    pub fn pairs(&self) -> impl Iterator<Item = (&NodeDefinition, &Node)> {
        self.created.nodes.iter().zip(&self.nodes)
    }

    pub(crate) fn index(&self, id: &NodeId) -> Option<usize> {
        self.created.nodes.iter().position(|node| node.id == *id)
    }

    #[must_use]
    pub fn request(&self, id: &RequestId) -> Option<&Request> {
        self.requests.iter().find(|request| request.id == *id)
    }

    pub(crate) fn request_mut(&mut self, id: &RequestId) -> Option<&mut Request> {
        self.requests.iter_mut().find(|request| request.id == *id)
    }

    /// The request whose lock is the set granted for containers of `base`: the newest that is approved or applied.
    /// Each lock holds all that was granted before it, so that the newest says everything.
    #[must_use]
    pub fn granted(&self, base: &str) -> Option<&Request> {
        self.approved
            .iter()
            .rev()
            .filter_map(|id| self.request(id))
            .filter(|r| matches!(r.status, RequestStatus::Approved | RequestStatus::Applied))
            .find(|r| r.resolution.as_ref().is_some_and(|resolution| resolution.base == base))
    }

    /// Whether what is shown of `request` is still what a grant would lead to.
    #[must_use]
    pub fn is_shown_as_it_stands(&self, request: &Request) -> bool {
        match (&request.resolution, &request.presented) {
            (Some(resolution), _) => {
                resolution.upon.as_ref() == self.granted(&resolution.base).map(|granted| &granted.id)
                    && self.ended_beneath(request).is_empty()
            }
            (None, Some(presented)) => presented.grants == self.given_with(request),
            (None, None) => false,
        }
    }

    /// The recipe that containers of `base` need; none when nothing is granted beyond the base image.
    #[must_use]
    pub fn recipe_for(&self, base: &str) -> Option<&Digest> {
        self.granted(base)?.recipe()
    }

    /// What is given to this run without another image, sorted. It is given to the nodes that asked.
    #[must_use]
    pub fn given(&self) -> Vec<Capability> {
        let granted = self.requests.iter().filter(|r| r.status.is_granted() && r.capability.kind().is_given());
        let mut all: Vec<Capability> = granted.map(|request| request.meant().clone()).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// What would be given to this run if `request` were granted, sorted.
    #[must_use]
    pub fn given_with(&self, request: &Request) -> Vec<Capability> {
        let mut all = self.given();
        all.push(request.meant().clone());
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The folders that the next attempt of `node` has: those it asked for and was granted. Of a folder that it may read
    /// and may write, it has the latter.
    #[must_use]
    pub fn mounts_of(&self, node: &NodeId) -> Vec<GrantedMount> {
        let granted = self.requests.iter().filter(|request| request.status.is_granted());
        let own = granted.filter(|request| request.askers.iter().any(|(asker, _)| asker == node));
        let mut mounts: Vec<GrantedMount> = own
            .filter_map(|request| {
                let Capability::Mount(mount) = request.meant() else { return None };
                let folder = request.presented.as_ref()?.folder.clone()?;
                let read_only = mount.mode() == MountMode::ReadOnly;
                Some(GrantedMount { request: request.id.clone(), folder, target: mount.target(), read_only })
            })
            .collect();
        mounts.sort_by(|a, b| (&a.target, a.read_only).cmp(&(&b.target, b.read_only)));
        mounts.dedup_by(|later, first| later.target == first.target);
        mounts
    }

    /// The first folder of `attempt` that has been taken back since.
    #[must_use]
    pub fn taken_from<'a>(&self, attempt: &'a Attempt) -> Option<&'a GrantedMount> {
        let granted = |id| self.request(id).is_some_and(|request| request.status.is_granted());
        attempt.plan.mounts.iter().find(|mount| !granted(&mount.request))
    }

    /// The role that a node works as; none for one without, or that is not there.
    #[must_use]
    pub fn role_of(&self, node: &NodeId) -> Option<&super::id::RoleName> {
        self.node(node)?.0.role()
    }

    /// Attempts whose end is not journaled: at most one a node.
    pub fn live_attempts(&self) -> impl Iterator<Item = (&NodeDefinition, &Attempt)> {
        self.pairs().filter_map(|(definition, node)| node.live().map(|attempt| (definition, attempt)))
    }

    /// Whether containers of this run may exist, so that looking at the Engine is worth a call.
    #[must_use]
    pub fn may_have_containers(&self) -> bool {
        self.is_at_work() || self.looks_after_deployments()
    }

    /// Whether agents of this run, or the gate between them and the world, may exist: what goes on when these are gone are
    /// its deployments.
    #[must_use]
    pub fn is_at_work(&self) -> bool {
        self.gate_up || self.live_attempts().next().is_some()
    }
}

impl Attempt {
    /// Whether its container has what `mount` asks for.
    #[must_use]
    pub fn has(&self, mount: &Mount) -> bool {
        let target = mount.target();
        let fits = |read_only: bool| !read_only || mount.mode() == MountMode::ReadOnly;
        self.plan.mounts.iter().any(|granted| granted.target == target && fits(granted.read_only))
    }
}

impl Node {
    /// The attempt that has not ended.
    #[must_use]
    pub fn live(&self) -> Option<&Attempt> {
        self.attempts.last().filter(|attempt| attempt.end.is_none())
    }

    /// Attempts that count towards a bound, with their ends.
    pub(crate) fn counted(&self) -> impl Iterator<Item = &AttemptEnd> {
        self.attempts.iter().skip(self.counted_from).filter_map(|attempt| attempt.end.as_ref())
    }
}
