//! Events in words.

use super::super::adoption::Adoption;
use super::super::id::{NodeId, RequestId};
use super::{Event, ReadyReason, SkipReason, WaitingOn};

impl Event {
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
