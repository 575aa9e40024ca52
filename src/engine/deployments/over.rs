//! The end of a start: seen, or brought about. Logs first, then the container and its gate, and only then the journal, so
//! that a crash anywhere here means doing it again.

use crate::engine::actor::TICK;
use crate::engine::collect;
use crate::engine::docker::Docker;
use crate::engine::error::Error;
use crate::engine::store::Store;
use crate::run::command::{Command, DeploymentCommand};
use crate::run::deployment::{End, Launch, Live, Outcome};
use crate::run::id::RequestId;
use crate::run::plan::DeploymentEnd;
use crate::run::state::State;

use super::gate;

/// Takes in a start that has ended by itself.
pub(crate) fn end(
    store: &Store<'_>,
    docker: &Docker,
    state: &State,
    id: &RequestId,
    how: DeploymentEnd,
) -> Result<(), Error> {
    let Some(launch) = launch_of(state, id) else { return Ok(()) };
    let folder = store.layout().deployment_start(id, launch.number);
    if !matches!(how, DeploymentEnd::Lost) {
        collect::copy_logs_to(docker, &folder, &launch.container)?;
    }
    let said = || collect::last_words(&folder.join("stderr.log")).unwrap_or_default();
    let (outcome, exit_code, detail) = match how {
        DeploymentEnd::Lost => (Outcome::Lost, None, String::new()),
        DeploymentEnd::Exited { code, oom: true } => (Outcome::Oom, Some(code), String::new()),
        DeploymentEnd::Exited { code, .. } => {
            let said = said();
            let detail =
                if said.is_empty() { format!("exit code {code}") } else { format!("exit code {code}: {said}") };
            (Outcome::Exited, Some(code), detail)
        }
    };
    remove(store, docker, state, id, launch)?;
    journal(store, id, launch, outcome, exit_code, detail)
}

/// Ends a start that may not go on. Its gate cuts what is open and says so in its records; then both containers go.
pub(crate) fn take_down(store: &Store<'_>, docker: &Docker, state: &State, id: &RequestId) -> Result<(), Error> {
    let Some(launch) = launch_of(state, id) else { return Ok(()) };
    let Some(deployment) = state.deployment(id) else { return Ok(()) };
    let gate_name = gate::name(store, state, id);
    let gate_runs = docker.wait(|engine| engine.inspect(&gate_name))?.is_some();
    if let (true, Some((_, proposed))) = (gate_runs, state.approved_deployment(id)) {
        gate::publish(store, state, deployment, proposed, launch, false)?;
        // One that does not answer is removed as it is, which cuts everything as well.
        let _ = gate::await_in_force(store, id);
    }
    let folder = store.layout().deployment_start(id, launch.number);
    if docker.wait(|engine| engine.inspect(&launch.container))?.is_some() {
        collect::copy_logs_to(docker, &folder, &launch.container)?;
    }
    remove(store, docker, state, id, launch)?;
    let (outcome, detail) = match &deployment.down {
        _ if !state.keeps_its_port(deployment) => (Outcome::Revoked, String::new()),
        Some(down) => (Outcome::Stopped, down.reason.clone()),
        None => (Outcome::Stopped, "the run was cancelled".to_owned()),
    };
    journal(store, id, launch, outcome, None, detail)
}

/// Removes the container of a start, and the gate.
pub(super) fn remove(
    store: &Store<'_>,
    docker: &Docker,
    state: &State,
    id: &RequestId,
    launch: &Launch,
) -> Result<(), Error> {
    docker.wait(|engine| engine.remove(&launch.container))?;
    let gate = gate::name(store, state, id);
    docker.wait(|engine| engine.remove(&gate)).map(drop)
}

fn journal(
    store: &Store<'_>,
    id: &RequestId,
    launch: &Launch,
    outcome: Outcome,
    exit_code: Option<i64>,
    detail: String,
) -> Result<(), Error> {
    let end = End { outcome, exit_code, detail, traffic: gate::traffic_head(store, id) };
    let command = DeploymentCommand::End { id: id.clone(), number: launch.number, end };
    store.commit(TICK, Command::Deployment(command)).map(drop)
}

fn launch_of<'a>(state: &'a State, id: &RequestId) -> Option<&'a Launch> {
    state.deployment(id)?.live.as_ref().map(|live| &live.launch)
}

/// Copies what deployments that run have printed. A convenience: it is copied again, and has to be, at their end.
pub(crate) fn copy_running_logs(store: &Store<'_>, docker: &Docker, state: &State) {
    for deployment in &state.deployments {
        let Some(Live { launch, container_id: Some(_), .. }) = &deployment.live else { continue };
        let folder = store.layout().deployment_start(&deployment.id, launch.number);
        if collect::copy_logs_to(docker, &folder, &launch.container).is_err() {
            return;
        }
    }
}
