//! Starting a deployment: intent journaled, its files compared with what was approved, its gate, its container, start
//! journaled. A crash between any two of these leaves something that the next tick finds and goes on with.

use crate::container::{ContainerSpec, DeploymentContainer, ImageRef, deployment_name};
use crate::engine::actor::TICK;
use crate::engine::binary;
use crate::engine::dispatch::{START_PATIENCE, hosts_file, keep_spec, limits, make_folder};
use crate::engine::docker::Docker;
use crate::engine::error::Error;
use crate::engine::store::Store;
use crate::image;
use crate::registry::{StartPermit, fileset, kill};
use crate::run::command::{Command, DeploymentCommand};
use crate::run::deployment::{Deployment, End, Launch, Live, Outcome, Proposed};
use crate::run::id::{Digest, RequestId};
use crate::run::state::State;

use super::{gate, over};

/// The repository of the names by which images of deployments are kept.
pub(crate) const KEPT_AS: &str = "taskforge/deployed";

/// The tag under [`KEPT_AS`] for the deployment `id` of `registry`.
pub(crate) fn kept_tag(registry: &str, id: &RequestId) -> String {
    format!("{registry}-{id}")
}

/// The files of how many starts are kept.
const KEPT: u32 = 10;

/// Begins a start of the deployment `id`.
pub(crate) fn deploy(store: &Store<'_>, docker: &Docker, state: &State, id: &RequestId) -> Result<(), Error> {
    let Some((deployment, proposed)) = parts(state, id) else { return Ok(()) };
    let number = deployment.starts + 1;
    let mut launch = Launch { number, container: String::new(), spec: Digest::of(b"") };
    // The socket is called after the container, so that the name comes first.
    launch.container = deployment_name(&state.created.registry, store.run(), id, number, &deployment.node);
    launch.spec = spec(store, state, deployment, proposed, &launch)?.digest();
    forget_old(store, id, number)?;
    let begin = DeploymentCommand::Begin { id: id.clone(), launch };
    let state = store.commit(TICK, Command::Deployment(begin))?;
    go_on(store, docker, &state, id)
}

/// Goes on with a start whose intent is journaled, or brings back the gate of one that runs.
pub(crate) fn go_on(store: &Store<'_>, docker: &Docker, state: &State, id: &RequestId) -> Result<(), Error> {
    let Some((deployment, proposed)) = parts(state, id) else { return Ok(()) };
    let Some(Live { launch, .. }) = &deployment.live else { return Ok(()) };
    match try_start(store, docker, state, deployment, proposed, launch) {
        Ok(container_id) => {
            let started = DeploymentCommand::Started { id: id.clone(), number: launch.number, container_id };
            store.commit(TICK, Command::Deployment(started)).map(drop)
        }
        Err(error) => {
            kill::refuse_if_killed(store.registry().layout())?;
            if !error.is_of_the_node() {
                return Err(error);
            }
            over::remove(store, docker, state, id, launch)?;
            let traffic = gate::traffic_head(store, id);
            let end = End { outcome: Outcome::NotStarted, exit_code: None, detail: error.to_string(), traffic };
            let end = DeploymentCommand::End { id: id.clone(), number: launch.number, end };
            store.commit(TICK, Command::Deployment(end)).map(drop)
        }
    }
}

fn parts<'a>(state: &'a State, id: &RequestId) -> Option<(&'a Deployment, &'a Proposed)> {
    Some((state.deployment(id)?, state.approved_deployment(id)?.1))
}

fn try_start(
    store: &Store<'_>,
    docker: &Docker,
    state: &State,
    deployment: &Deployment,
    proposed: &Proposed,
    launch: &Launch,
) -> Result<String, Error> {
    let id = &deployment.id;
    let spec = spec(store, state, deployment, proposed, launch)?;
    if spec.digest() != launch.spec {
        return Err(Error::SpecChanged { node: deployment.node.clone(), attempt: launch.number });
    }
    confirm(store, id, proposed)?;
    gate::prepare_folders(store, state, id, launch)?;
    let folder = store.layout().deployment_start(id, launch.number);
    make_folder(&folder, 0o755, None)?;
    keep_spec(store, &folder, &spec, &launch.spec)?;
    gate::publish(store, state, deployment, proposed, launch, true)?;
    // From here until the Engine has started it, `kill` waits for us, or has come first and is seen here.
    let permit = StartPermit::acquire(store.registry(), START_PATIENCE)?;
    gate::ensure(store, docker, state, id, &permit)?;
    let started = docker.wait(|engine| engine.ensure_started(&spec, &permit))?;
    // It pins the image's id, which no recipe brings back: the name keeps it for the starts to come.
    let tag = kept_tag(&state.created.registry, id);
    let engine = docker.engine()?;
    docker.wait(|_| image::give_name(engine.docker(), &proposed.image, KEPT_AS, &tag))?;
    kill::refuse_if_killed(store.registry().layout())?;
    drop(permit);
    Ok(started.id)
}

/// Looks whether the copy is, file by file, what was approved.
fn confirm(store: &Store<'_>, id: &RequestId, proposed: &Proposed) -> Result<(), Error> {
    let copy = store.layout().deployed_files(id);
    let what = match fileset::look(&copy, ".")? {
        Ok(files) if files == proposed.files => return Ok(()),
        Ok(files) => {
            let other = proposed.files.iter().find(|file| !files.contains(file));
            let other = other.or_else(|| files.iter().find(|file| !proposed.files.contains(file)));
            format!("{} is not as it was approved", other.map_or("a file", |file| file.path.as_str()))
        }
        Err(unfit) => unfit.to_string(),
    };
    Err(Error::DeploymentChanged { id: id.clone(), what })
}

/// Everything the container is made with: the same journal gives the same spec, byte for byte.
fn spec(
    store: &Store<'_>,
    state: &State,
    deployment: &Deployment,
    proposed: &Proposed,
    launch: &Launch,
) -> Result<ContainerSpec, Error> {
    let registry = store.registry();
    let users = binary::users(state)?;
    let Some(container) = state.node(&deployment.node).and_then(|(definition, _)| definition.container.as_ref()) else {
        return Err(Error::NoContainer(deployment.node.clone()));
    };
    let argv = ["/taskforge/bin/taskforge", "agent", "init", "--"].map(str::to_owned).into_iter();
    Ok(DeploymentContainer {
        registry: state.created.registry.clone(),
        registry_root: registry.root().to_owned(),
        run: store.run().clone(),
        node: deployment.node.clone(),
        id: deployment.id.clone(),
        number: launch.number,
        image: ImageRef::parse(&proposed.image).map_err(Error::ImageRef)?,
        argv: argv.chain(proposed.command.clone()).collect(),
        port: proposed.port,
        user: users.agent_inside(),
        resources: limits(container.resources),
        runtime: registry.config()?.containers.runtime.clone(),
        files: store.layout().deployed_files(&deployment.id),
        target: proposed.proposal().target(),
        binary: binary::of(registry, state)?,
        socket_folder: gate::socket_folder(store, &deployment.id, launch),
        hosts: hosts_file(registry)?,
    }
    .spec())
}

/// What a deployment that fails and fails leaves behind is bounded.
fn forget_old(store: &Store<'_>, id: &RequestId, number: u32) -> Result<(), Error> {
    if let Some(old) = number.checked_sub(KEPT).filter(|old| *old > 0) {
        fileset::remove(&store.layout().deployment_start(id, old))?;
    }
    Ok(())
}
