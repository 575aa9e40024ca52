//! Starting an attempt: intent journaled, lock dropped, gate at the right generation, container created and started,
//! start journaled. A crash between any two of these leaves something that the next tick finds and goes on with.

use std::path::{Path, PathBuf};

use chrono::{Duration, Utc};
use serde_json::json;

use crate::container::{AgentContainer, ContainerSpec, ImageRef, Mount, Resources, agent_name};
use crate::registry::project::write_if_changed;
use crate::registry::{Registry, StartPermit, kill, to_opentask_json};
use crate::role::agent::Task;
use crate::run::command::{Command, How, Seen};
use crate::run::definition::{self, ContainerDefinition, NodeDefinition, Runtime};
use crate::run::event::AttemptPlan;
use crate::run::folder::GrantedMount;
use crate::run::id::{Digest, NodeId};
use crate::run::state::{Attempt, State};

use super::actor::TICK;
use super::docker::Docker;
use super::error::Error;
use super::store::Store;
use super::{agents, binary, folders, gate, images, secrets, workspace};

/// How long a start waits for a kill that is under way to be over with its sweep; the start is then refused.
pub(crate) const START_PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// Starts a new attempt of `node`.
pub(crate) fn dispatch(store: &Store<'_>, docker: &Docker, state: &State, node: &NodeId) -> Result<(), Error> {
    let Some((definition, found)) = state.node(node) else { return Ok(()) };
    let Some(container) = &definition.container else { return Ok(()) };
    let number = u32::try_from(found.attempts.len()).unwrap_or(u32::MAX - 1) + 1;
    if let Some(agent) = definition.agent() {
        let task = Task { run: store.run().clone(), node: node.clone(), attempt: number };
        match agents::claim(store.registry(), agent, &task) {
            Ok(true) => {}
            // The next round finds out who was faster, and queues.
            Ok(false) => return Ok(()),
            Err(error) if error.is_of_the_node() => return not_started(store, definition, state, number, &error),
            Err(error) => return Err(error),
        }
    }
    let image = match image_of(store, docker, state, container) {
        Ok(image) => image,
        Err(error) if error.is_of_the_node() => return not_started(store, definition, state, number, &error),
        Err(error) => return Err(error),
    };
    if let Some(recipe) = state.recipe_for(&container.image).filter(|recipe| state.building.contains_key(*recipe)) {
        // Built again.
        images::tell_of_attempts(store, recipe)?;
    }
    // Before anything is journaled: what waits for somebody to open the vault has no deadline that runs.
    secrets::require_open(store, state, node)?;
    let name = agent_name(&state.created.registry, store.run(), node, number);
    let mut deadline =
        Utc::now() + Duration::milliseconds(i64::try_from(container.resources.wall_ms).unwrap_or(i64::MAX / 2));
    // A child's time is within its parent's, whenever it begins.
    if let Some(parent) = &state.created.parent {
        deadline = deadline.min(parent.deadline);
    }
    let socket = Digest::of(name.as_bytes()).short()[..8].to_owned();
    let mounts = state.mounts_of(node);
    // A folder cannot be taken from a container: who has one for a time is over with it, whether anybody ticks or not.
    let until = |mount: &GrantedMount| state.request(&mount.request)?.decision.as_ref()?.until;
    deadline = mounts.iter().filter_map(until).fold(deadline, std::cmp::min);
    let mut plan = AttemptPlan { container: name, spec: Digest::of(b""), image, socket, deadline, mounts };
    let spec = spec(store, state, definition, container, number, &plan)?;
    plan.spec = spec.digest();
    let state = store.commit(TICK, Command::Dispatch { node: node.clone(), attempt: number, plan })?;
    start(store, docker, &state, node, number)
}

/// Goes on with an attempt whose intent is journaled.
pub(crate) fn start(
    store: &Store<'_>,
    docker: &Docker,
    state: &State,
    node: &NodeId,
    number: u32,
) -> Result<(), Error> {
    let Some((definition, attempt)) = state.live_attempts().find(|(d, a)| d.id == *node && a.number == number) else {
        return Ok(());
    };
    match try_start(store, docker, state, definition, attempt) {
        Ok(container_id) => {
            let started = Command::Started { node: node.clone(), attempt: number, container_id };
            match store.commit(TICK, started) {
                // Ended between our start and our note of it: whoever ended it has journaled that.
                Err(Error::Refused { .. }) => Ok(()),
                other => other.map(drop),
            }
        }
        Err(error) => {
            // A kill takes gate and container away under a start, which is no fault of the node's nor of the Engine's.
            kill::refuse_if_killed(store.registry().layout())?;
            // Of a run for other users even the folders cannot be made.
            let other = matches!(error, Error::Io { .. }).then(|| gate::other_users(docker, state)).flatten();
            let error = other.unwrap_or(error);
            if !error.is_of_the_node() {
                return Err(error);
            }
            let how = How::NotStarted { reason: error.to_string() };
            end(store, node, number, how)
        }
    }
}

fn try_start(
    store: &Store<'_>,
    docker: &Docker,
    state: &State,
    definition: &NodeDefinition,
    attempt: &Attempt,
) -> Result<String, Error> {
    let Some(container) = &definition.container else { return Err(Error::NoContainer(definition.id.clone())) };
    let spec = spec(store, state, definition, container, attempt.number, &attempt.plan)?;
    if spec.digest() != attempt.plan.spec {
        return Err(Error::SpecChanged { node: definition.id.clone(), attempt: attempt.number });
    }
    prepare_folders(store, state, definition, attempt, &spec)?;
    gate::publish(store, state)?;
    // From here until the Engine has started it, `kill` waits for us, or has come first and is seen here.
    let permit = StartPermit::acquire(store.registry(), START_PATIENCE)?;
    gate::ensure(store, docker, state, &permit)?;
    folders::confirm(store.registry(), &attempt.plan.mounts)?;
    let open = workspace::prepare(store, state, &definition.id, container.resources.disk)?;
    let started = docker.wait(|engine| engine.ensure_started(&spec, &permit))?;
    workspace::prove(&open, docker, &spec.name, &definition.id)?;
    drop(open);
    folders::prove(docker, &spec.name, &attempt.plan.mounts)?;
    kill::refuse_if_killed(store.registry().layout())?;
    drop(permit);
    Ok(started.id)
}

fn not_started(
    store: &Store<'_>,
    definition: &NodeDefinition,
    state: &State,
    number: u32,
    error: &Error,
) -> Result<(), Error> {
    let name = agent_name(&state.created.registry, store.run(), &definition.id, number);
    let socket = Digest::of(name.as_bytes()).short()[..8].to_owned();
    let plan = AttemptPlan {
        container: name,
        spec: Digest::of(b""),
        image: String::new(),
        socket,
        deadline: Utc::now(),
        mounts: Vec::new(),
    };
    store.commit(TICK, Command::Dispatch { node: definition.id.clone(), attempt: number, plan })?;
    end(store, &definition.id, number, How::NotStarted { reason: error.to_string() })
}

fn end(store: &Store<'_>, node: &NodeId, number: u32, how: How) -> Result<(), Error> {
    super::collect::give_back(store, &store.load()?, node, number);
    let seen = Seen::of(how, Utc::now());
    store.commit(TICK, Command::End { node: node.clone(), attempt: number, seen })?;
    Ok(())
}

/// The id of the image for a container: the granted set's, or the base's.
pub(crate) fn image_of(
    store: &Store<'_>,
    docker: &Docker,
    state: &State,
    container: &ContainerDefinition,
) -> Result<String, Error> {
    match state.recipe_for(&container.image) {
        Some(recipe) => images::built(docker, recipe)?.ok_or_else(|| images::gone(store.registry(), recipe)),
        None => match images::base(docker, &container.image) {
            Err(Error::NoBaseImage(name)) if container.runtime == Runtime::Openclaw => {
                Err(Error::NoOpenclawImage(name))
            }
            found => found.map(|base| base.id),
        },
    }
}

/// Everything the container is made with: the same journal gives the same spec, byte for byte.
fn spec(
    store: &Store<'_>,
    state: &State,
    definition: &NodeDefinition,
    container: &ContainerDefinition,
    number: u32,
    plan: &AttemptPlan,
) -> Result<ContainerSpec, Error> {
    let layout = store.layout();
    let registry = store.registry();
    let users = binary::users(state)?;
    let shim = "/taskforge/bin/taskforge";
    let argv: Vec<String> = match container.runtime {
        Runtime::Builtin => [shim, "agent", "init", "--", shim, "agent", "loop"].map(str::to_owned).into(),
        Runtime::Openclaw => [shim, "agent", "init", "--", shim, "agent", "openclaw"].map(str::to_owned).into(),
        Runtime::Command => {
            [shim, "agent", "init", "--"].map(str::to_owned).into_iter().chain(container.command.clone()).collect()
        }
    };
    let resources = container.resources;
    Ok(AgentContainer {
        registry: state.created.registry.clone(),
        registry_root: registry.root().to_owned(),
        run: store.run().clone(),
        node: definition.id.clone(),
        attempt: number,
        image: ImageRef::parse(&plan.image).map_err(Error::ImageRef)?,
        argv,
        env: env(container, plan, resources.disk),
        user: users.agent_inside(),
        resources: limits(resources),
        runtime: registry.config()?.containers.runtime.clone(),
        workspace: layout.workspace(&definition.id),
        inputs: inputs(store, state, definition),
        role: container.role.as_ref().map(|role| layout.role(&role.digest)),
        granted: plan.mounts.iter().map(granted).collect(),
        binary: binary::of(registry, state)?,
        socket_folder: layout.socket(&plan.socket),
        hosts: Some(hosts_file(registry)?),
    }
    .spec())
}

/// A node's limits as the Engine is told of them.
pub(crate) fn limits(resources: definition::Resources) -> Resources {
    Resources {
        #[allow(clippy::cast_precision_loss)] // thousandths of a processor
        cpus: resources.cpu_millis as f64 / 1000.0,
        memory: resources.memory,
        pids: resources.pids,
        files: 1024,
        file_size: resources.disk,
    }
}

fn env(container: &ContainerDefinition, plan: &AttemptPlan, disk: u64) -> Vec<(String, String)> {
    let mut env = vec![
        ("TASKFORGE_DEADLINE".to_owned(), plan.deadline.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)),
        ("TASKFORGE_DISK".to_owned(), disk.to_string()),
        ("TASKFORGE_MODEL".to_owned(), container.model.clone()),
    ];
    if let Some(role) = &container.role {
        env.push(("TASKFORGE_ROLE".to_owned(), role.role.to_string()));
        env.extend(role.agent.iter().map(|agent| ("TASKFORGE_AGENT".to_owned(), agent.to_string())));
    }
    env
}

/// A granted folder as the Engine is told of it.
pub(crate) fn granted(mount: &GrantedMount) -> Mount {
    Mount::granted(&mount.folder.path, &mount.target, mount.read_only)
}

/// The file that is every agent's `/etc/hosts`.
pub(crate) fn hosts_file(registry: &Registry) -> Result<PathBuf, Error> {
    let path = registry.layout().bin().join("hosts");
    if !path.exists() {
        write_if_changed(&path, AgentContainer::HOSTS.as_bytes())?;
    }
    Ok(path)
}

/// Run inputs at `/inputs/<name>`, and each file that a needed node left at `/inputs/<node>/<file>`: the copies the
/// host made, never a live workspace.
fn inputs(store: &Store<'_>, state: &State, definition: &NodeDefinition) -> Vec<(String, PathBuf)> {
    let root = store.layout().root().to_owned();
    let own = state.created.inputs.iter();
    let mut mounts: Vec<(String, PathBuf)> = own
        .filter_map(|input| Some((input.path.strip_prefix("inputs/")?.to_owned(), root.join(&input.path))))
        .collect();
    for need in &definition.needs {
        let Some((_, node)) = state.node(need) else { continue };
        for artifact in &node.artifacts {
            if let Some(file) = artifact.path.strip_prefix("nodes/") {
                mounts.push((file.to_owned(), root.join(&artifact.path)));
            }
        }
    }
    mounts
}

fn prepare_folders(
    store: &Store<'_>,
    state: &State,
    definition: &NodeDefinition,
    attempt: &Attempt,
    spec: &ContainerSpec,
) -> Result<(), Error> {
    let layout = store.layout();
    let users = binary::users(state)?;
    let workspace = layout.workspace(&definition.id);
    make_folder(&workspace, 0o700, Some((users.agent_uid, users.agent_gid)))?;
    gate::prepare_folders(store, state)?;
    make_folder(&layout.socket(&attempt.plan.socket), 0o755, Some((users.gate_uid, users.gate_gid)))?;
    let folder = layout.attempt(&definition.id, attempt.number);
    make_folder(&folder, 0o755, None)?;
    if definition.agent().is_some() {
        // Once an attempt: what it was told of its memory does not change under it.
        let told = folder.join("memory.md");
        if !told.exists() {
            write_if_changed(&told, agents::recalled(store, definition)?.as_bytes())?;
        }
        agents::publish_memory(store, state)?;
    }
    keep_spec(store, &folder, spec, &attempt.plan.spec)
}

/// Writes down in `folder` what a container is made with, for people to read.
pub(crate) fn keep_spec(store: &Store<'_>, folder: &Path, spec: &ContainerSpec, digest: &Digest) -> Result<(), Error> {
    let root = store.registry().root();
    let mounts = spec.mounts.iter().map(|mount| {
        let source = mount.source.strip_prefix(root).unwrap_or(&mount.source);
        json!({"source": source, "target": mount.target, "readOnly": mount.read_only})
    });
    let text = json!({
        "name": spec.name, "image": spec.image.to_string(), "argv": spec.argv, "env": spec.env, "user": spec.user,
        "mounts": mounts.collect::<Vec<_>>(), "network": "none", "digest": digest,
    });
    write_if_changed(&folder.join("spec.json"), to_opentask_json(&text).as_bytes())?;
    Ok(())
}

/// Makes a folder of ours, with its mode and, for root, its owner. A symlink in its place is refused.
pub(crate) fn make_folder(path: &Path, mode: u32, owner: Option<(u32, u32)>) -> Result<(), Error> {
    use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
    let io = |action, source| Error::Io { action, path: path.to_owned(), source };
    match std::fs::DirBuilder::new().mode(mode).recursive(true).create(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(io("create", error)),
        _ => {}
    }
    let meta = std::fs::symlink_metadata(path).map_err(|error| io("look at", error))?;
    if !meta.is_dir() {
        return Err(io("create", std::io::Error::from(std::io::ErrorKind::NotADirectory)));
    }
    if meta.permissions().mode() & 0o7777 != mode {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
            .map_err(|error| io("set the mode of", error))?;
    }
    if let Some((uid, gid)) = owner.filter(|_| rustix::process::geteuid().is_root()) {
        std::os::unix::fs::lchown(path, Some(uid), Some(gid)).map_err(|error| io("give away", error))?;
    }
    Ok(())
}
