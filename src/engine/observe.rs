//! Looking at the world for `plan`: containers, images, files, the kill switch. Observations only; the journal is not
//! touched, and the Engine is asked only when something of the run could be there.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, SubsecRound as _, Utc};

use crate::container;
use crate::registry::{kill, usage};
use crate::run::definition::WaitKind;
use crate::run::id::{Digest, NodeId};
use crate::run::plan::{Container, ContainerState, Image, Observed, Queued};
use crate::run::state::{RequestStatus, State};
use crate::run::status::{NodeStatus, RunStatus};

use super::agents::{self, Room};
use super::docker::Docker;
use super::error::Error;
use super::store::Store;
use super::{deployments, gate, images, policy};

/// What there is to see. With `known`, what that says of containers still holds and the Engine is not asked for it.
pub(crate) fn observe(
    store: &Store<'_>,
    docker: &Docker,
    state: &State,
    known: Option<Observed>,
) -> Result<Observed, Error> {
    let now = Utc::now();
    let (containers, deployments, gate_runs) = match known {
        Some(known) => (known.containers, known.deployments, known.gate_runs),
        None => {
            let there = if state.may_have_containers() { Some(containers(store, docker, state)?) } else { None };
            let gate_runs = state.live_attempts().next().is_some() && gate::runs(store, docker, state)?;
            (there, deployments::seen(store, docker, state)?, gate_runs)
        }
    };
    let mut images = BTreeMap::new();
    // An old failure of the same set says nothing of a new build: one counts from the newest approval on.
    let approved = newest_approval(state);
    for recipe in state.wanted_recipes() {
        let image = image(store, docker, &recipe, |failed| approved.is_none_or(|approved| failed >= approved))?;
        images.insert(recipe, image);
    }
    for recipe in state.needed_to_start(now) {
        // Of what is built again, from the beginning of that on.
        let begun = state.building.get(recipe).map(|begun| begun.trunc_subsecs(3));
        let image = image(store, docker, recipe, |failed| begun.is_some_and(|begun| failed >= begun))?;
        images.insert(recipe.clone(), image);
    }
    // After the look at what runs: what a kill has ended is then known to be its work, and no fault of an agent's.
    let killed = kill::read(store.registry().layout())?.is_some();
    let over_disk = over_disk(store, state, containers.as_ref());
    let (offboarded, queued) = of_agents(store, state)?;
    Ok(Observed {
        now,
        over_disk,
        offboarded,
        queued,
        gate_runs,
        killed,
        containers,
        deployments,
        images,
        files_there: files_there(store, state),
        policy_is_current: policy::is_current(store, state),
        openclaw: store.registry().config()?.openclaw.cli.is_some(),
        request_expiry: store.registry().config()?.capabilities.request_expiry(),
        notify: store.registry().config()?.notify.command.is_some(),
    })
}

/// Nodes whose agent was offboarded, and those that wait for theirs.
fn of_agents(store: &Store<'_>, state: &State) -> Result<(BTreeSet<NodeId>, BTreeMap<NodeId, Queued>), Error> {
    let (mut offboarded, mut queued) = (BTreeSet::new(), BTreeMap::new());
    for (definition, node) in state.pairs() {
        let Some(agent) = definition.agent() else { continue };
        // What is cancelled ends whatever its agent is, and whether or not anybody can tell.
        if state.status == RunStatus::Cancelled {
            continue;
        }
        let ready = node.status == NodeStatus::Ready && state.status == RunStatus::Running;
        let waits = node.status == NodeStatus::Waiting;
        if node.live().is_none() && !ready && !waits {
            continue;
        }
        let registry = store.registry();
        if !agents::is_hired(registry, agent)? {
            offboarded.insert(definition.id.clone());
        } else if node.live().is_none()
            && ready
            && let Room::Full { why, behind, queued: noted } =
                agents::room(registry, agent, store.run(), &definition.id)?
        {
            queued.insert(definition.id.clone(), Queued { why, behind, noted });
        }
    }
    Ok((offboarded, queued))
}

fn containers(store: &Store<'_>, docker: &Docker, state: &State) -> Result<BTreeMap<String, Container>, Error> {
    let mut found = BTreeMap::new();
    // Asked by name: one inspection a container that could be there, whatever else the Engine runs.
    let ended = state.nodes.iter().flat_map(|node| node.attempts.iter().rev().take(1));
    for attempt in ended {
        let name = &attempt.plan.container;
        let Some(seen) = docker.wait(|engine| engine.inspect(name))? else { continue };
        let ours =
            |owner: container::Labels| owner.registry == state.created.registry && owner.run == store.run().as_str();
        if !seen.owner().is_some_and(ours) {
            return Err(Error::ForeignContainer { name: name.clone() });
        }
        found.extend(container_of(seen).map(|container| (name.clone(), container)));
    }
    Ok(found)
}

/// A container as the plan looks at it.
pub(super) fn container_of(seen: container::Observed) -> Option<Container> {
    let state = match seen.state {
        // A removal under way is as good as done: what is planned upon it meets the name again, and waits.
        container::State::Removing => return None,
        container::State::Created { .. } => ContainerState::Created,
        container::State::Running => ContainerState::Running,
        container::State::Exited { code, oom_killed, finished_at, .. } => {
            ContainerState::Exited { code, oom: oom_killed, finished_at }
        }
    };
    Some(Container { id: seen.id, state })
}

/// Whose workspace has outgrown its limit: a soft one, kept by looking. What is written between two looks, up to the
/// largest file each, is on the disk by then.
fn over_disk(store: &Store<'_>, state: &State, containers: Option<&BTreeMap<String, Container>>) -> BTreeSet<NodeId> {
    let exists = |name: &String| {
        containers.is_some_and(|all| all.get(name).is_some_and(|found| found.state != ContainerState::Created))
    };
    state
        .live_attempts()
        .filter(|(_, attempt)| exists(&attempt.plan.container))
        .filter(|(definition, _)| {
            let limit = definition.container.as_ref().map_or(0, |container| container.resources.disk);
            usage::exceeds(&store.layout().workspace(&definition.id), limit)
        })
        .map(|(definition, _)| definition.id.clone())
        .collect()
}

fn newest_approval(state: &State) -> Option<DateTime<Utc>> {
    let approved = state.requests.iter().filter(|request| request.status == RequestStatus::Approved);
    let times = approved.filter_map(|request| DateTime::parse_from_rfc3339(&request.decision.as_ref()?.at).ok());
    times.map(|at| at.with_timezone(&Utc)).max()
}

/// How the image of `recipe` stands; `counts` says whether a build that failed then is the one that is waited for.
fn image(
    store: &Store<'_>,
    docker: &Docker,
    recipe: &Digest,
    counts: impl FnOnce(DateTime<Utc>) -> bool,
) -> Result<Image, Error> {
    if let Some(id) = images::built(docker, recipe)? {
        return Ok(Image::Ready(id));
    }
    if images::is_building(store.registry(), recipe)? {
        return Ok(Image::Building);
    }
    Ok(match images::failure(store.registry(), recipe) {
        Some((at, reason)) if counts(at) => Image::Failed(reason),
        _ => Image::Missing,
    })
}

fn files_there(store: &Store<'_>, state: &State) -> BTreeSet<NodeId> {
    let root = store.layout().root().to_owned();
    state
        .created
        .nodes
        .iter()
        .filter(|node| {
            let Some(wait) = node.wait_for.as_ref().filter(|wait| wait.kind == WaitKind::FileExists) else {
                return false;
            };
            // The path was checked to stay in the run folder when the workflow was parsed.
            wait.path.as_ref().is_some_and(|path| std::fs::symlink_metadata(root.join(path)).is_ok_and(|m| m.is_file()))
        })
        .map(|node| node.id.clone())
        .collect()
}
