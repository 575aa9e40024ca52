//! A deployment's own gate: it listens on the host for this one deployment, and lets nothing out.

use std::path::PathBuf;

use crate::container::{self, GateContainer, GateImage, Network, deployment_gate_name};
use crate::engine::dispatch::make_folder;
use crate::engine::docker::Docker;
use crate::engine::error::Error;
use crate::engine::gate as run_gate;
use crate::engine::store::Store;
use crate::engine::{binary, policy};
use crate::gate::{Attempt, Brief, Ceilings, Grant, Limits, Policy};
use crate::registry::StartPermit;
use crate::run::capability::Capability;
use crate::run::deployment::{Deployment, Launch, Proposed, deadline};
use crate::run::event::TrafficHead;
use crate::run::id::{Digest, RequestId};
use crate::run::state::State;

/// The name of the socket of `launch`, short enough for a path.
pub(super) fn socket(launch: &Launch) -> String {
    Digest::of(launch.container.as_bytes()).short()[..8].to_owned()
}

pub(super) fn socket_folder(store: &Store<'_>, id: &RequestId, launch: &Launch) -> PathBuf {
    store.layout().deployment_gate(id).join("sockets").join(socket(launch))
}

pub(super) fn name(store: &Store<'_>, state: &State, id: &RequestId) -> String {
    deployment_gate_name(&state.created.registry, store.run(), id)
}

pub(super) fn prepare_folders(store: &Store<'_>, state: &State, id: &RequestId, launch: &Launch) -> Result<(), Error> {
    let users = binary::users(state)?;
    let gate = Some((users.gate_uid, users.gate_gid));
    let folder = store.layout().deployment_gate(id);
    make_folder(&folder, 0o700, gate)?;
    for name in ["inbox", "sockets", "bodies", "replay"] {
        make_folder(&folder.join(name), 0o755, gate)?;
    }
    make_folder(&socket_folder(store, id, launch), 0o755, gate)
}

/// Tells the gate what holds: the deployment is offered, or, with `granted` false, is not any more.
pub(super) fn publish(
    store: &Store<'_>,
    state: &State,
    deployment: &Deployment,
    proposed: &Proposed,
    launch: &Launch,
    granted: bool,
) -> Result<(), Error> {
    let folder = store.layout().deployment_gate(&deployment.id);
    let mut told = Policy::new(&state.created.registry, store.run().clone());
    let until = state.request(&deployment.id).and_then(|request| request.decision.as_ref()?.until);
    let grant = Grant { request: deployment.id.clone(), capability: Capability::Port(proposed.port), until };
    told.attempts.push(Attempt {
        children: Vec::new(),
        delegation: None,
        socket: socket(launch),
        node: deployment.node.clone(),
        attempt: launch.number,
        deadline: deadline(),
        role: None,
        under: Vec::new(),
        memory: None,
        models: Vec::new(),
        actions: Default::default(),
        grants: granted.then_some(grant).into_iter().collect(),
        limits: Limits {
            llm_requests: 0,
            capability_requests: 0,
            ingress_bytes: Some(store.registry().config()?.deployments.records),
            ..Limits::default()
        },
        ceilings: Ceilings::default(),
        given: Ceilings::default(),
        brief: Brief::default(),
        requests: Vec::new(),
        publish: Some(deployment.port),
    });
    let on_disk = Policy::read(&folder).ok();
    told.generation = match &on_disk {
        Some(old) if policy::same(old, &told) => old.generation,
        Some(old) => old.generation + 1,
        None => 1,
    };
    if on_disk.as_ref() != Some(&told) {
        told.write(&folder)?;
    }
    Ok(())
}

/// The gate runs, and offers what its policy says.
///
/// # Errors
/// Among others that the port is somebody else's now.
pub(super) fn ensure(
    store: &Store<'_>,
    docker: &Docker,
    state: &State,
    id: &RequestId,
    permit: &StartPermit,
) -> Result<(), Error> {
    let place =
        run_gate::Place { folder: store.layout().deployment_gate(id), name: name(store, state, id), strict: true };
    run_gate::ensure_at(store, docker, state, &place, permit, || spec(store, docker, state, id))
}

/// Waits until the gate has cut what the policy does not grant any more.
pub(super) fn await_in_force(store: &Store<'_>, id: &RequestId) -> Result<(), Error> {
    run_gate::await_at(store, &store.layout().deployment_gate(id), &format!("of deployment {id}"))
}

/// Where its records stand.
pub(super) fn traffic_head(store: &Store<'_>, id: &RequestId) -> Option<TrafficHead> {
    run_gate::head_of(&store.layout().deployment_gate(id), store.run())
}

fn spec(store: &Store<'_>, docker: &Docker, state: &State, id: &RequestId) -> Result<container::ContainerSpec, Error> {
    let registry = store.registry();
    let users = binary::users(state)?;
    // It is to listen on the host's 127.0.0.1; where that is given to nobody, the Engine listens there for it.
    let mapped = users.root.is_some();
    let (binary, digest) = (binary::of(registry, state)?, binary::digest(state)?);
    let image = docker.wait(|engine| GateImage::ensure(engine, &binary, digest))?;
    run_gate::prepare_ledger(&registry.layout().spent())?;
    Ok(GateContainer {
        registry: state.created.registry.clone(),
        registry_root: registry.root().to_owned(),
        run: store.run().clone(),
        image: image.name,
        args: ["gate", "serve", "--dir", "/gate", "--kill", "/kill", "--secrets", "/run/taskforge/secrets"]
            .map(str::to_owned)
            .into(),
        user: users.gate_inside(),
        network: if mapped { Network::Bridge } else { Network::Host },
        published: state.deployment(id).map(|deployment| deployment.port).filter(|_| mapped),
        runtime: None,
        gate_folder: store.layout().deployment_gate(id),
        kill_folder: registry.layout().kill(),
        spent_folder: registry.layout().spent(),
        // It asks nobody for anything, and gets no keys.
        secrets: None,
        ca_bundle: None,
    }
    .spec_for(id))
}
