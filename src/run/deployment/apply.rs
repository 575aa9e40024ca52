//! How an event changes a deployment.

use chrono::{DateTime, Utc};

use super::{Deployment, Down, Ended, Live, plan};
use crate::run::apply::ApplyError;
use crate::run::event::Event;
use crate::run::id::RequestId;
use crate::run::state::State;

impl State {
    pub(in crate::run) fn apply_deployment(&mut self, event: &Event, at: DateTime<Utc>) -> Result<(), ApplyError> {
        match event {
            Event::DeploymentPlaced { id, port } => {
                let granted = self.request(id).filter(|request| request.status.is_granted());
                let Some(node) = granted.map(|request| request.node.clone()) else {
                    return Err(self.misfit(event, "no granted request has this id"));
                };
                if self.deployment(id).is_some() {
                    return Err(self.misfit(event, "the deployment has a port"));
                }
                self.deployments.push(Deployment {
                    id: id.clone(),
                    node,
                    port: *port,
                    down: None,
                    starts: 0,
                    live: None,
                    last: None,
                    failures: 0,
                    not_before: None,
                });
            }
            Event::DeploymentStarting { id, launch } => {
                let found = self.deployed(event, id)?;
                if found.live.is_some() || launch.number != found.starts + 1 {
                    return Err(self.misfit(event, "it runs, or its starts are not numbered without gaps"));
                }
                found.starts = launch.number;
                found.live = Some(Live { launch: launch.clone(), container_id: None, started_at: None });
            }
            Event::DeploymentStarted { id, number, container_id } => {
                let found = self.deployed(event, id)?;
                match found.live.as_mut().filter(|live| live.launch.number == *number) {
                    Some(live) => {
                        live.container_id = Some(container_id.clone());
                        live.started_at = Some(at);
                    }
                    None => return Err(self.misfit(event, "no such start lives")),
                }
            }
            Event::DeploymentEnded { id, number, end } => {
                let found = self.deployed(event, id)?;
                let Some(live) = found.live.take_if(|live| live.launch.number == *number) else {
                    return Err(self.misfit(event, "no such start lives"));
                };
                (found.failures, found.not_before) = plan::pause(found.failures, &live, end.outcome, at);
                found.last = Some(Ended { number: *number, at, end: end.clone() });
            }
            Event::DeploymentStopped { id, by, reason } => {
                let down = Down { by: by.clone(), reason: reason.clone(), at };
                self.deployed(event, id)?.down = Some(down);
            }
            Event::DeploymentResumed { id, .. } => {
                let found = self.deployed(event, id)?;
                (found.down, found.failures, found.not_before) = (None, 0, None);
            }
            _ => {}
        }
        Ok(())
    }

    fn deployed(&mut self, event: &Event, id: &RequestId) -> Result<&mut Deployment, ApplyError> {
        let place = self.deployments.iter().position(|deployment| deployment.id == *id);
        match place {
            Some(place) => Ok(&mut self.deployments[place]),
            None => Err(ApplyError::NoRequest { event: event.to_draft().event, id: id.clone() }),
        }
    }
}
