//! What the Engine shows of a run's deployments.

use std::collections::BTreeMap;

use crate::container::{self, Labels};
use crate::engine::docker::Docker;
use crate::engine::error::Error;
use crate::engine::observe::container_of;
use crate::engine::store::Store;
use crate::run::id::RequestId;
use crate::run::plan::DeploymentSeen;
use crate::run::state::State;

use super::gate;

/// Looks at every deployment that is not known to have ended: by name, two inspections each.
pub(crate) fn seen(
    store: &Store<'_>,
    docker: &Docker,
    state: &State,
) -> Result<BTreeMap<RequestId, DeploymentSeen>, Error> {
    let mut all = BTreeMap::new();
    for deployment in &state.deployments {
        let Some(live) = &deployment.live else { continue };
        let name = &live.launch.container;
        let found = docker.wait(|engine| engine.inspect(name))?;
        let ours = |owner: Labels| owner.registry == state.created.registry && owner.run == store.run().as_str();
        if found.as_ref().is_some_and(|found| !found.owner().is_some_and(ours)) {
            return Err(Error::ForeignContainer { name: name.clone() });
        }
        let gate = gate::name(store, state, &deployment.id);
        let gate = docker.wait(|engine| engine.inspect(&gate))?;
        let gate_runs = gate.is_some_and(|seen| matches!(seen.state, container::State::Running));
        all.insert(deployment.id.clone(), DeploymentSeen { container: found.and_then(container_of), gate_runs });
    }
    Ok(all)
}
