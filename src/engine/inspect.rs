//! The settings in force for an attempt, as the Engine reports them, with their grade.

use serde::Serialize;

use crate::container::{Engine, Graded, ImageRef, Promised};
use crate::registry::{Registry, StartPermit};
use crate::run::definition::NodeDefinition;
use crate::run::deployment::Deployment;
use crate::run::id::{NodeId, RunId};
use crate::run::state::{Attempt, State};

use super::dispatch::{self, START_PATIENCE};
use super::docker::Docker;
use super::error::Error;
use super::store::Store;
use super::workspace;

/// An attempt's container, and what a plain `docker run` of its image would have been.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Inspection {
    pub run: RunId,
    pub node: NodeId,
    pub attempt: u32,
    #[serde(flatten)]
    pub container: Graded,
    pub disk: Disk,
    /// Not there while the kill switch is on: to compare, a container has to be made.
    pub plain: Option<Graded>,
}

/// How the disk that a workspace may take is bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Disk {
    /// Bytes: of any one file by the kernel, of the whole workspace by `enforced`.
    pub limit: u64,
    pub enforced: DiskEnforcement,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DiskEnforcement {
    /// The container's PID 1 looks each second, and each tick, and ends an attempt that has more; until then it is on the
    /// disk.
    Soft,
    /// A file system of that size: the kernel writes no more.
    Image,
}

/// Grades the container of attempt `number` of `node`, of its live one if no number is given.
///
/// # Errors
/// When there is no container of the attempt, or the Engine cannot be asked.
pub fn inspect_attempt(
    registry: &Registry,
    run: &RunId,
    node: &NodeId,
    number: Option<u32>,
) -> Result<Inspection, Error> {
    let store = Store::open(registry, run)?;
    let state = store.load()?;
    let nothing = || Error::NothingRuns { node: node.clone() };
    let definition = state.node(node).map(|(definition, _)| definition).ok_or_else(nothing)?;
    let limit = definition.container.as_ref().map_or(0, |container| container.resources.disk);
    let attempt = match number {
        None => state.live_attempts().find(|(definition, _)| definition.id == *node).map(|(_, attempt)| attempt),
        Some(number) => {
            let attempts = state.node(node).map(|(_, found)| found.attempts.as_slice()).unwrap_or_default();
            attempts.iter().find(|attempt| attempt.number == number)
        }
    };
    let attempt = attempt.ok_or_else(nothing)?;
    let docker = Docker::default();
    let lives = state.live_attempts().any(|(of, live)| of.id == *node && live.number == attempt.number);
    let promised = promised(definition, attempt);
    let container = grade(registry, &docker, &attempt.plan.container, &promised)?.ok_or_else(|| match lives {
        true => nothing(),
        false => Error::HasEnded { node: node.clone(), attempt: attempt.number },
    })?;
    let plain = plain(registry, &docker, &container.image)?;
    let disk = Disk { limit, enforced: workspace::enforcement_of(&store, node) };
    Ok(Inspection { run: run.clone(), node: node.clone(), attempt: attempt.number, container, disk, plain })
}

/// What an attempt's container was to be given.
pub(crate) fn promised(definition: &NodeDefinition, attempt: &Attempt) -> Promised {
    let resources = definition.container.as_ref().map(|container| dispatch::limits(container.resources));
    Promised { mounts: attempt.plan.mounts.iter().map(dispatch::granted).collect(), resources }
}

/// What the container called so was to be given, be it an attempt's or a deployment's.
pub(crate) fn promised_as(state: &State, container: &str) -> Promised {
    let attempt = state.pairs().find_map(|(definition, node)| {
        let own = node.attempts.iter().find(|attempt| attempt.plan.container == container)?;
        Some(promised(definition, own))
    });
    let deployed = || {
        let own =
            |deployment: &&Deployment| deployment.live.as_ref().is_some_and(|live| live.launch.container == container);
        let deployment = state.deployments.iter().find(own)?;
        let given = state.node(&deployment.node)?.0.container.as_ref()?;
        Some(Promised { resources: Some(dispatch::limits(given.resources)), mounts: Vec::new() })
    };
    attempt.or_else(deployed).unwrap_or_default()
}

/// The graded container `name` of this registry, if the Engine has it.
pub(crate) fn grade(
    registry: &Registry,
    docker: &Docker,
    name: &str,
    promised: &Promised,
) -> Result<Option<Graded>, Error> {
    let runtime = registry.config()?.containers.runtime.clone();
    docker.wait(|engine: &Engine| {
        let root = registry.root().to_owned();
        async move { engine.effective(name, runtime.as_deref(), &root, promised).await }
    })
}

/// What a plain `docker run` of `image` would be; nothing while nothing may be made.
pub(crate) fn plain(registry: &Registry, docker: &Docker, image: &str) -> Result<Option<Graded>, Error> {
    let image = ImageRef::parse(image).map_err(Error::ImageRef)?;
    let id = registry.id()?;
    match StartPermit::acquire(registry, START_PATIENCE) {
        Ok(permit) => docker.wait(|engine| engine.grade_plain(&image, &id, &permit)).map(Some),
        Err(crate::registry::Error::Killed { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
