//! `apply`: how one event changes a run. Total over legal journals: an event that does not fit the state is an error
//! that names both, never a guess.

use chrono::{DateTime, Utc};
use thiserror::Error;

use super::adoption::Adoption;
use super::definition::FORMAT;
use super::event::{ChildRun, Event, EventError, WaitingOn};
use super::id::{Digest, NodeId, RequestId, RunId};
use super::record::Record;
use super::state::{Attempt, Edited, Node, RejectedDecision, Request, RequestStatus, State};
use super::status::{NodeStatus, RunStatus};

/// Why a journal does not fold.
#[derive(Debug, Error)]
pub enum ApplyError {
    #[error("the journal has no events of this program")]
    Empty,
    #[error("the journal begins with {0:?} instead of `run.created`")]
    NotCreated(String),
    #[error("`run.created` stands a second time, at seq {0}")]
    CreatedTwice(u64),
    #[error("the journal has format {found}; this version writes {FORMAT} and only reads newer ones")]
    Format { found: u32 },
    #[error(transparent)]
    Event(#[from] EventError),
    #[error("{event} names node {node}, which the run does not have")]
    NoNode { event: String, node: NodeId },
    #[error("{event} names request {id}, which the run does not have")]
    NoRequest { event: String, id: RequestId },
    #[error("node {node} cannot go from {from} to {to}")]
    Transition { node: NodeId, from: &'static str, to: &'static str },
    #[error("{event} does not fit the run: {why}")]
    Misfit { event: String, why: String },
    #[error("run id {0:?} in the journal is not a run id")]
    Run(String),
    #[error("timestamp {0:?} in the journal is not one")]
    Timestamp(String),
}

/// Folds the lines of a journal.
///
/// # Errors
/// [`ApplyError`] for the first line that does not fit.
pub fn fold<'a>(records: impl IntoIterator<Item = &'a Record>) -> Result<State, ApplyError> {
    let mut state: Option<State> = None;
    for record in records {
        let event = Event::from_record(record)?;
        let at = parse_time(&record.timestamp)?;
        match (&mut state, event) {
            (None, Event::RunCreated(created)) => {
                if created.format > FORMAT {
                    return Err(ApplyError::Format { found: created.format });
                }
                let run = RunId::parse(&record.run_id).map_err(|_| ApplyError::Run(record.run_id.clone()))?;
                state = Some(State::begin(run, *created, at));
            }
            (None, Event::RegistryAdopted(adoption)) if adoption.created.is_some() => {
                state = Some(begin_adopted(record, &adoption, at)?);
            }
            (None, other) => return Err(ApplyError::NotCreated(other.to_draft().event)),
            (Some(_), Event::RunCreated(_)) => return Err(ApplyError::CreatedTwice(record.seq)),
            (Some(state), event) => {
                state.apply(&event, at)?;
                state.last_event.clone_from(&record.event);
            }
        }
    }
    state.ok_or(ApplyError::Empty)
}

/// A run that another program made, from the first line of ours in its journal.
fn begin_adopted(record: &Record, adoption: &Adoption, at: DateTime<Utc>) -> Result<State, ApplyError> {
    let Some(created) = adoption.created.clone() else { return Err(ApplyError::Empty) };
    if created.format > FORMAT {
        return Err(ApplyError::Format { found: created.format });
    }
    let run = RunId::parse(&record.run_id).map_err(|_| ApplyError::Run(record.run_id.clone()))?;
    State::adopted(run, *created, adoption, at)
}

fn parse_time(text: &str) -> Result<DateTime<Utc>, ApplyError> {
    DateTime::parse_from_rfc3339(text)
        .map(|time| time.with_timezone(&Utc))
        .map_err(|_| ApplyError::Timestamp(text.chars().take(60).collect()))
}

impl State {
    /// The state after `run.created` alone.
    #[must_use]
    pub fn begin(run: RunId, created: super::definition::Created, at: DateTime<Utc>) -> Self {
        let nodes = created.nodes.iter().map(|_| Node::begin()).collect();
        Self {
            run,
            created,
            status: RunStatus::Running,
            status_reason: String::new(),
            nodes,
            requests: Vec::new(),
            children: Vec::new(),
            settled: Vec::new(),
            approved: Vec::new(),
            deployments: Vec::new(),
            ingested: std::collections::BTreeSet::new(),
            rejected: Vec::new(),
            applied_controls: Vec::new(),
            notified: std::collections::BTreeSet::new(),
            outgoing: Vec::new(),
            cron_job_id: None,
            driver_run_id: None,
            counters: super::adoption::Counters::default(),
            gate_up: false,
            images_built: 0,
            building: std::collections::BTreeMap::new(),
            created_at: at,
            updated_at: at,
            last_event: "run.created".to_owned(),
            last_progress: None,
        }
    }

    /// The state of a run that another program made, as it was taken over `at`.
    ///
    /// # Errors
    /// [`ApplyError`] if the adoption names nodes that it does not have.
    pub fn adopted(
        run: RunId,
        created: super::definition::Created,
        adoption: &Adoption,
        at: DateTime<Utc>,
    ) -> Result<Self, ApplyError> {
        let mut state = Self::begin(run, created, adoption.created_at.unwrap_or(at));
        state.updated_at = at;
        "registry.adopted".clone_into(&mut state.last_event);
        state.apply_adoption(adoption)?;
        Ok(state)
    }

    /// Applies one event that happened `at`.
    ///
    /// # Errors
    /// [`ApplyError`] if the event does not fit; the state is then not to be used any more.
    pub fn apply(&mut self, event: &Event, at: DateTime<Utc>) -> Result<(), ApplyError> {
        self.updated_at = at;
        match event {
            Event::RunCreated(_) => return Err(self.misfit(event, "the run exists")),
            Event::RunPaused { reason } => {
                self.set_status(event, RunStatus::Paused)?;
                self.status_reason.clone_from(reason);
            }
            Event::RunResumed {} => self.set_status(event, RunStatus::Running)?,
            Event::RunCancelled { reason } => {
                self.set_status(event, RunStatus::Cancelled)?;
                self.status_reason.clone_from(reason);
            }
            Event::RunCompleted {} => self.set_status(event, RunStatus::Completed)?,
            Event::RunFailed { .. } => self.set_status(event, RunStatus::Failed)?,
            Event::RunReopened {} => {
                if !self.status.is_terminal() {
                    return Err(self.misfit(event, "it is not finished"));
                }
                self.status = RunStatus::Running;
                self.status_reason.clear();
            }
            Event::RunProgress { message, inbox, .. } => {
                self.last_progress = Some((message.clone(), at));
                self.ingested.extend(inbox.clone());
            }
            Event::ChildStarted { id, node, attempt, role, run, share } => {
                self.ingested.insert(id.to_string());
                let (id, node, role, run) = (id.clone(), node.clone(), role.clone(), run.clone());
                self.children.push(ChildRun { id, node, attempt: *attempt, role, run, share: *share });
            }
            Event::ActionSettled { settled, .. } => {
                self.settled.retain(|before| before.record != settled.record);
                self.settled.push(settled.clone());
            }
            Event::RunNotified { ids } => self.notified.extend(ids.iter().cloned()),
            Event::NodeResult { node, inbox, result, report } => {
                self.ingested.extend(inbox.clone());
                let node = self.find(event, node)?;
                node.result = Some(result.clone());
                node.report = report.as_deref().cloned();
            }
            Event::RunRebound { sessions } => self.created.sessions.clone_from(sessions),
            Event::RunCronBound { value, .. } => self.cron_job_id = Some(value.clone()),
            Event::RunDriverBound { value } => self.driver_run_id = Some(value.clone()),
            Event::NodeSessionBound { node, value } => {
                self.find(event, node)?.bound.session_key = Some(value.clone());
            }
            Event::NodeChildSessionBound { node, value } => {
                self.find(event, node)?.bound.child_session_key = Some(value.clone());
            }
            Event::NodeRunBound { node, value } => self.find(event, node)?.bound.run_id = Some(value.clone()),
            Event::NodeAdded { .. } | Event::NodeRewired { .. } => self.apply_mutation(event)?,
            Event::RegistryAdopted(adoption) if adoption.created.is_none() => self.apply_adoption(adoption)?,
            Event::RegistryAdopted(_) => return Err(self.misfit(event, "the run exists")),
            Event::OpenclawRequested { .. } | Event::OpenclawDelivered { .. } | Event::OpenclawFailed { .. } => {
                self.apply_outgoing(event, at)?;
            }
            Event::EventAppended { .. } => {}
            Event::GateStopped { .. } => self.gate_up = false,
            Event::ControlApplied { id, .. } | Event::ControlRejected { id, .. } => {
                self.applied_controls.push(id.clone());
            }
            Event::InputRejected { input, reason, request } => {
                self.ingested.insert(input.clone());
                if let Some(request) = request.clone() {
                    if self.rejected.len() >= Self::REJECTED {
                        self.rejected.remove(0);
                    }
                    let (file, reason) = (input.clone(), reason.clone());
                    self.rejected.push(RejectedDecision { request, file, reason, at });
                }
            }
            Event::ImageBuilding { recipe } => {
                self.images_built += 1;
                self.building.insert(recipe.clone(), at);
            }
            Event::DeploymentPlaced { .. }
            | Event::DeploymentStarting { .. }
            | Event::DeploymentStarted { .. }
            | Event::DeploymentEnded { .. }
            | Event::DeploymentStopped { .. }
            | Event::DeploymentResumed { .. } => self.apply_deployment(event, at)?,
            Event::JournalVoided {} => {}
            Event::NodeReady { .. }
            | Event::NodeReset { .. }
            | Event::NodeDispatching { .. }
            | Event::NodeStarted { .. }
            | Event::AttemptEnded { .. }
            | Event::NodeWaiting { .. }
            | Event::NodeCompleted { .. }
            | Event::NodeFailed { .. }
            | Event::NodeSkipped { .. } => self.apply_node(event, at)?,
            Event::CapabilityRequested { .. }
            | Event::CapabilityJoined { .. }
            | Event::CapabilityResolved { .. }
            | Event::CapabilityPresented { .. }
            | Event::CapabilityUnresolvable { .. }
            | Event::CapabilityApproved { .. }
            | Event::CapabilityDenied { .. }
            | Event::CapabilitySuperseded { .. }
            | Event::CapabilityApplied { .. }
            | Event::CapabilityFailed { .. }
            | Event::CapabilityRevoked { .. }
            | Event::CapabilityEdited { .. }
            | Event::CapabilityExpired { .. }
            | Event::CapabilityRelocked { .. } => self.apply_capability(event, at)?,
        }
        Ok(())
    }

    /// A build of `recipe` has come to something.
    fn no_longer_builds(&mut self, recipe: Option<Digest>) {
        if let Some(recipe) = recipe {
            self.building.remove(&recipe);
        }
    }

    fn apply_node(&mut self, event: &Event, at: DateTime<Utc>) -> Result<(), ApplyError> {
        match event {
            Event::NodeReady { node, why, not_before } => {
                let node = self.step(event, node, NodeStatus::Ready, at)?;
                node.ready = Some(*why);
                node.not_before = *not_before;
                if *why == super::event::ReadyReason::Operator {
                    node.counted_from = node.attempts.len();
                    node.bound = super::adoption::Bound::default();
                }
            }
            Event::NodeReset { node } => {
                self.step(event, node, NodeStatus::Pending, at)?;
            }
            Event::NodeDispatching { node, attempt, plan } => {
                self.gate_up = true;
                let found = self.find(event, node)?;
                if found.status != NodeStatus::Ready || found.live().is_some() {
                    return Err(self.misfit(event, "the node is not ready, or an attempt of it lives"));
                }
                if *attempt as usize != found.attempts.len() + 1 {
                    return Err(self.misfit(event, "attempts are numbered without gaps"));
                }
                found.attempts.push(Attempt {
                    number: *attempt,
                    plan: plan.clone(),
                    container_id: None,
                    started_at: None,
                    end: None,
                    ended_at: None,
                });
                let container = self.node(node).and_then(|(definition, _)| definition.container.as_ref());
                let recipe = container.and_then(|container| self.recipe_for(&container.image)).cloned();
                self.no_longer_builds(recipe);
            }
            Event::NodeStarted { node, attempt: 0, .. } => {
                self.step(event, node, NodeStatus::Running, at)?;
            }
            Event::NodeStarted { node, attempt, container_id } => {
                if self.find(event, node)?.live().is_none_or(|live| live.number != *attempt) {
                    return Err(self.misfit(event, "no such attempt lives"));
                }
                let node = self.step(event, node, NodeStatus::Running, at)?;
                if let Some(live) = node.attempts.last_mut() {
                    live.container_id = Some(container_id.clone());
                    live.started_at = Some(at);
                }
            }
            Event::AttemptEnded { node, attempt, end } => {
                let found = self.find(event, node)?;
                match found.attempts.last_mut().filter(|last| last.end.is_none() && last.number == *attempt) {
                    Some(last) => {
                        last.end = Some(end.clone());
                        last.ended_at = Some(at);
                    }
                    None => return Err(self.misfit(event, "no such attempt lives")),
                }
            }
            Event::NodeWaiting { node, on } => {
                let node = self.step(event, node, NodeStatus::Waiting, at)?;
                if matches!(on, WaitingOn::Approval(_)) {
                    node.approvals += 1;
                    node.decision = None;
                }
                node.waiting_on = Some(on.clone());
            }
            Event::NodeCompleted { node, artifacts, decision } => {
                let node = self.step(event, node, NodeStatus::Completed, at)?;
                node.artifacts.clone_from(artifacts);
                node.decision.clone_from(decision);
            }
            Event::NodeFailed { node, code, detail, decision } => {
                let node = self.step(event, node, NodeStatus::Failed, at)?;
                node.failure = Some((*code, detail.clone()));
                node.decision = decision.as_deref().cloned();
            }
            Event::NodeSkipped { node, why } => {
                let node = self.step(event, node, NodeStatus::Skipped, at)?;
                node.skipped = Some(why.clone());
            }
            _ => {}
        }
        Ok(())
    }

    /// A node more, or other needs of one. That the graph stays one without cycles was checked when it was decided.
    fn apply_mutation(&mut self, event: &Event) -> Result<(), ApplyError> {
        match event {
            Event::NodeAdded { node, before, definition } => {
                if self.index(node).is_some() {
                    return Err(self.misfit(event, "the run has a node of this id"));
                }
                let place = before.as_ref().and_then(|before| self.index(before)).unwrap_or(self.nodes.len());
                self.created.nodes.insert(place, (**definition).clone());
                self.nodes.insert(place, Node::begin());
            }
            Event::NodeRewired { node, needs } => {
                let Some(index) = self.index(node) else {
                    return Err(ApplyError::NoNode { event: event.to_draft().event, node: node.clone() });
                };
                self.created.nodes[index].needs.clone_from(needs);
            }
            _ => {}
        }
        Ok(())
    }

    fn apply_capability(&mut self, event: &Event, at: DateTime<Utc>) -> Result<(), ApplyError> {
        match event {
            Event::CapabilityRequested { id, node, attempt, capability, reason, by_gate, deploy, schedule } => {
                self.find(event, node)?;
                if self.request(id).is_some() {
                    return Err(self.misfit(event, "the request exists"));
                }
                self.ingested.insert(id.to_string());
                self.requests.push(Request {
                    id: id.clone(),
                    node: node.clone(),
                    attempt: *attempt,
                    capability: capability.clone(),
                    reason: reason.clone(),
                    by_gate: *by_gate,
                    deploy: deploy.clone(),
                    schedule: schedule.clone(),
                    askers: vec![(node.clone(), *attempt)],
                    at,
                    status: RequestStatus::Requested,
                    resolution: None,
                    relocked: None,
                    presented: None,
                    edited: None,
                    decision: None,
                    problem: String::new(),
                    image: None,
                });
            }
            Event::CapabilityJoined { id, inbox, node, attempt } => {
                self.find(event, node)?;
                self.ingested.insert(inbox.clone());
                let asker = (node.clone(), *attempt);
                match self.request_mut(id) {
                    Some(request) if !request.askers.contains(&asker) => request.askers.push(asker),
                    Some(_) => {}
                    None => return Err(ApplyError::NoRequest { event: event.to_draft().event, id: id.clone() }),
                }
            }
            Event::CapabilityResolved { id, resolution } => {
                let request = self.request_step(event, id, RequestStatus::Pending)?;
                request.resolution = Some(resolution.clone());
            }
            Event::CapabilityPresented { id, presented } => {
                let request = self.request_step(event, id, RequestStatus::Pending)?;
                request.presented = Some(presented.clone());
            }
            Event::CapabilityUnresolvable { id, reason } => {
                self.request_step(event, id, RequestStatus::Unresolvable)?.problem.clone_from(reason);
            }
            Event::CapabilityApproved { id, decision } => {
                let request = self.request_step(event, id, RequestStatus::Approved)?;
                request.decision = Some(decision.clone());
                request.problem.clear();
                self.approved.push(id.clone());
            }
            Event::CapabilityDenied { id, decision } => {
                self.request_step(event, id, RequestStatus::Denied)?.decision = Some(decision.clone());
            }
            Event::CapabilitySuperseded { id, decision } => {
                self.request_step(event, id, RequestStatus::Superseded)?.decision = Some(decision.clone());
            }
            Event::CapabilityApplied { id, image } => {
                let image = Some(image.clone()).filter(|image| !image.is_empty());
                let request = self.request_step(event, id, RequestStatus::Applied)?;
                request.image = image;
                let recipe = request.recipe().cloned();
                self.no_longer_builds(recipe);
            }
            Event::CapabilityFailed { id, reason } => {
                let request = self.request_step(event, id, RequestStatus::Failed)?;
                request.problem.clone_from(reason);
                let recipe = request.recipe().cloned();
                self.no_longer_builds(recipe);
            }
            Event::CapabilityRevoked { id, reason, .. } => {
                self.request_step(event, id, RequestStatus::Revoked)?.problem.clone_from(reason);
            }
            Event::CapabilityEdited { id, by, asked, list, reason } => {
                let request = self.request_step(event, id, RequestStatus::Requested)?;
                request.edited = Some(Edited { by: by.clone(), asked: asked.clone(), list: list.clone() });
                (request.resolution, request.presented) = (None, None);
                request.problem.clone_from(reason);
            }
            Event::CapabilityExpired { id, reason } => {
                self.request_step(event, id, RequestStatus::Expired)?.problem.clone_from(reason);
            }
            Event::CapabilityRelocked { id, relocked } => {
                let Some(found) = self.request(id) else {
                    return Err(ApplyError::NoRequest { event: event.to_draft().event, id: id.clone() });
                };
                // Where nothing goes, since others need it as well, the image is the one that there is.
                let same = found.recipe() == Some(&relocked.recipe);
                let next = if same { found.status } else { RequestStatus::Approved };
                self.request_step(event, id, next)?.relocked = Some(relocked.clone());
            }
            _ => {}
        }
        Ok(())
    }

    /// Moves a node, if it may move so, and sets what every move sets.
    fn step(
        &mut self,
        event: &Event,
        id: &NodeId,
        next: NodeStatus,
        at: DateTime<Utc>,
    ) -> Result<&mut Node, ApplyError> {
        let node = self.find(event, id)?;
        if !node.status.may_become(next) {
            let (from, to) = (node.status.as_str(), next.as_str());
            return Err(ApplyError::Transition { node: id.clone(), from, to });
        }
        if next.is_terminal() && node.live().is_some() {
            return Err(self.misfit(event, "an attempt of the node has not ended"));
        }
        let node = self.find(event, id)?;
        node.status = next;
        node.waiting_on = None;
        node.woken_at = None;
        match next {
            NodeStatus::Pending | NodeStatus::Ready => {
                node.started_at = None;
                node.completed_at = None;
                node.failure = None;
                node.skipped = None;
                node.ready = None;
                node.not_before = None;
            }
            NodeStatus::Running => {
                node.started_at = Some(at);
                node.completed_at = None;
            }
            NodeStatus::Waiting => {
                node.started_at.get_or_insert(at);
                node.completed_at = None;
            }
            NodeStatus::Completed => {
                node.started_at.get_or_insert(at);
                node.completed_at = Some(at);
            }
            NodeStatus::Failed | NodeStatus::Skipped => node.completed_at = Some(at),
        }
        Ok(node)
    }

    fn request_step(&mut self, event: &Event, id: &RequestId, next: RequestStatus) -> Result<&mut Request, ApplyError> {
        use RequestStatus::{
            Applied, Approved, Denied, Expired, Failed, Pending, Requested, Revoked, Superseded, Unresolvable,
        };
        let Some(from) = self.request(id).map(|request| request.status) else {
            return Err(ApplyError::NoRequest { event: event.to_draft().event, id: id.clone() });
        };
        let legal = match from {
            // Edited, it is resolved again.
            Requested | Pending if next == Requested => matches!(event, Event::CapabilityEdited { .. }),
            // Granted it stays, and waits for another image.
            Approved | Applied if matches!(event, Event::CapabilityRelocked { .. }) => true,
            Requested => matches!(next, Pending | Unresolvable | Denied | Superseded | Expired),
            // Resolved anew when the set it builds upon has changed.
            Pending => matches!(next, Pending | Unresolvable | Approved | Denied | Superseded | Expired),
            Approved => matches!(next, Applied | Failed | Revoked | Expired),
            Applied => matches!(next, Revoked | Expired),
            Unresolvable | Denied | Superseded | Failed | Revoked | Expired => false,
        };
        if !legal {
            let why = format!("request {id} cannot go from {} to {}", from.as_str(), next.as_str());
            return Err(self.misfit(event, &why));
        }
        match self.request_mut(id) {
            Some(request) => {
                request.status = next;
                Ok(request)
            }
            None => Err(ApplyError::NoRequest { event: event.to_draft().event, id: id.clone() }),
        }
    }

    fn set_status(&mut self, event: &Event, next: RunStatus) -> Result<(), ApplyError> {
        if self.status.is_terminal() {
            return Err(self.misfit(event, "the run is finished and was not reopened"));
        }
        self.status = next;
        self.status_reason.clear();
        Ok(())
    }

    pub(super) fn find(&mut self, event: &Event, id: &NodeId) -> Result<&mut Node, ApplyError> {
        match self.index(id) {
            Some(index) => Ok(&mut self.nodes[index]),
            None => Err(ApplyError::NoNode { event: event.to_draft().event, node: id.clone() }),
        }
    }

    pub(super) fn misfit(&self, event: &Event, why: &str) -> ApplyError {
        ApplyError::Misfit { event: event.to_draft().event, why: why.to_owned() }
    }
}

impl Node {
    pub(super) fn begin() -> Self {
        Self {
            status: NodeStatus::Pending,
            ready: None,
            not_before: None,
            waiting_on: None,
            attempts: Vec::new(),
            counted_from: 0,
            artifacts: Vec::new(),
            decision: None,
            failure: None,
            skipped: None,
            result: None,
            report: None,
            bound: super::adoption::Bound::default(),
            notes: Vec::new(),
            woken_at: None,
            approvals: 0,
            started_at: None,
            completed_at: None,
        }
    }
}
