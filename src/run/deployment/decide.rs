//! What a command about a deployment comes down to.

use serde_json::json;

use super::{Declared, Deployment, End, Outcome, Proposal};
use crate::run::canonical;
use crate::run::capability::{Capability, CapabilityKind};
use crate::run::command::DeploymentCommand;
use crate::run::definition::NodeDefinition;
use crate::run::event::Event;
use crate::run::id::RequestId;
use crate::run::refusal::Refusal;
use crate::run::state::{Request, RequestStatus, State};
use crate::run::status::RunStatus;

pub(in crate::run) fn decide(state: &State, command: DeploymentCommand) -> Result<Vec<Event>, Refusal> {
    use DeploymentCommand::{Begin, End as Over, NoPort, Place, Resume, Started, Stop};
    match command {
        Place { id, port } => {
            let request = state.request(&id).ok_or_else(|| Refusal::NoRequest(id.clone()))?;
            if request.status != RequestStatus::Approved {
                return Ok(Vec::new());
            }
            let applied = Event::CapabilityApplied { id: id.clone(), image: String::new() };
            Ok(vec![Event::DeploymentPlaced { id, port }, applied])
        }
        NoPort { id, reason } => {
            let request = state.request(&id).ok_or_else(|| Refusal::NoRequest(id.clone()))?;
            match request.status {
                RequestStatus::Approved => Ok(vec![Event::CapabilityFailed { id, reason }]),
                _ => Ok(Vec::new()),
            }
        }
        Begin { id, launch } => {
            let found = find(state, &id)?;
            if !state.is_wanted(found) || found.live.is_some() || launch.number != found.starts + 1 {
                return Err(Refusal::NotToBeStarted(id));
            }
            Ok(vec![Event::DeploymentStarting { id, launch }])
        }
        Started { id, number, container_id } => match &find(state, &id)?.live {
            Some(live) if live.launch.number == number && live.container_id.is_some() => Ok(Vec::new()),
            Some(live) if live.launch.number == number => {
                Ok(vec![Event::DeploymentStarted { id, number, container_id }])
            }
            _ => Err(Refusal::NotToBeStarted(id)),
        },
        Over { id, number, end } => match &find(state, &id)?.live {
            Some(live) if live.launch.number == number => Ok(vec![Event::DeploymentEnded { id, number, end }]),
            _ => Ok(Vec::new()),
        },
        Stop { id, by, reason } => {
            let found = find(state, &id)?;
            if !state.keeps_its_port(found) {
                return Err(Refusal::DeploymentRevoked(id));
            }
            if found.down.is_some() {
                return Ok(Vec::new());
            }
            Ok(vec![Event::DeploymentStopped { id, by, reason }])
        }
        Resume { id, by } => {
            let found = find(state, &id)?;
            if !state.keeps_its_port(found) {
                return Err(Refusal::DeploymentRevoked(id));
            }
            if state.status == RunStatus::Cancelled {
                return Err(Refusal::RunFinished(state.status.as_str()));
            }
            // One that fails is begun at once, without what is left of its pause.
            if found.down.is_none() && found.failures == 0 {
                return Ok(Vec::new());
            }
            Ok(vec![Event::DeploymentResumed { id, by }])
        }
    }
}

/// The request for what the workflow declares, of a node whose attempt `attempt` has succeeded; none if it declares nothing,
/// or the same was asked for and stands.
pub(in crate::run) fn declared(state: &State, definition: &NodeDefinition, attempt: u32) -> Option<Event> {
    let Declared { port, command, folder } = definition.container.as_ref()?.deploy.clone()?;
    let (capability, deploy) = (Capability::Port(port), Some(Proposal { command, folder }));
    let node = definition.id.clone();
    let stands = |request: &&Request| {
        let over = [RequestStatus::Unresolvable, RequestStatus::Failed, RequestStatus::Revoked];
        request.capability == capability && request.deploy == deploy && !over.contains(&request.status)
    };
    if state.requests.iter().any(|request| stands(&request)) {
        return None;
    }
    let of = json!([state.created.registry, state.run, node, attempt]);
    let digest = canonical::digest("taskforge-declared-deployment-v1", &of);
    // The first 32 digits are 128 bits, which is what such an id is.
    let number = u128::from_str_radix(digest.as_str().get(..32)?, 16).ok()?;
    let id = RequestId::parse(&ulid::Ulid::from(number).to_string()).ok()?;
    let reason = format!("the workflow declares it for node {node}");
    Some(Event::CapabilityRequested {
        id,
        node,
        attempt: 0,
        capability,
        reason,
        by_gate: false,
        deploy,
        schedule: None,
    })
}

/// Whether a deployment that the workflow declares waits for its answer: the run is not over before.
pub(in crate::run) fn is_awaited(state: &State) -> bool {
    let declared = |request: &&Request| request.attempt == 0 && request.capability.kind() == CapabilityKind::Port;
    state.requests.iter().any(|request| declared(&request) && !request.status.is_answered())
}

/// What the kill switch has ended: nothing begins again until a person says so of each.
pub(in crate::run) fn killed(state: &State, reason: &str) -> Vec<Event> {
    let mut events = Vec::new();
    for deployment in &state.deployments {
        let id = deployment.id.clone();
        if let Some(live) = &deployment.live {
            let end = End { outcome: Outcome::Killed, exit_code: None, detail: reason.to_owned(), traffic: None };
            events.push(Event::DeploymentEnded { id: id.clone(), number: live.launch.number, end });
        }
        if state.is_wanted(deployment) {
            let reason = format!("killed: {reason}");
            events.push(Event::DeploymentStopped { id, by: "kill".to_owned(), reason });
        }
    }
    events
}

fn find<'a>(state: &'a State, id: &RequestId) -> Result<&'a Deployment, Refusal> {
    state.deployment(id).ok_or_else(|| Refusal::NoDeployment(id.clone()))
}
