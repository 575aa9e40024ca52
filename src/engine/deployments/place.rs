//! Ports of the host: the lowest that no deployment of the registry has and nobody listens on. Whose a port is stands in
//! the journals and nowhere else; the lock is held from the look at them until there is a line more.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};

use crate::engine::actor::TICK;
use crate::engine::error::Error;
use crate::engine::store::Store;
use crate::registry::{PortsLock, Registry, queries};
use crate::run::command::{Command, DeploymentCommand};
use crate::run::deployment::PORTS;
use crate::run::id::RequestId;

/// Gives the approved deployment `id` its port, with which it comes into force; or says that there is none.
pub(crate) fn place(store: &Store<'_>, id: RequestId) -> Result<(), Error> {
    let _lock = PortsLock::acquire(store.registry())?;
    let taken = taken(store.registry())?;
    let command = match free(&taken) {
        Some(port) => DeploymentCommand::Place { id, port },
        None => DeploymentCommand::NoPort { id, reason: all_taken(&taken) },
    };
    store.commit(TICK, Command::Deployment(command)).map(drop)
}

/// Why a deployment could not have a port now, if none is free. Nothing is kept for whoever asks.
pub(super) fn none_is_free(store: &Store<'_>) -> Result<Option<String>, Error> {
    let taken = taken(store.registry())?;
    Ok(free(&taken).is_none().then(|| all_taken(&taken)))
}

fn free(taken: &BTreeMap<u16, String>) -> Option<u16> {
    PORTS.into_iter().find(|port| !taken.contains_key(port) && nobody_listens(*port))
}

/// Somebody else on this machine may have it.
fn nobody_listens(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// The ports that deployments of the registry have, with their names.
fn taken(registry: &Registry) -> Result<BTreeMap<u16, String>, Error> {
    let mut taken = BTreeMap::new();
    for run in queries::list_runs(registry)? {
        // Of a run that cannot be read nobody knows the ports; what listens on them keeps them.
        let Ok(state) = Store::open(registry, &run).and_then(|store| store.peek()) else { continue };
        for deployment in state.deployments.iter().filter(|deployment| state.keeps_its_port(deployment)) {
            taken.insert(deployment.port, format!("{run}/{} ({})", deployment.node, deployment.id));
        }
    }
    Ok(taken)
}

fn all_taken(taken: &BTreeMap<u16, String>) -> String {
    let whose = |port: u16| match taken.get(&port) {
        Some(name) => format!("{port} is {name}"),
        None => format!("{port} is another program's"),
    };
    let all: Vec<String> = PORTS.map(whose).collect();
    format!(
        "no port of 127.0.0.1:{}-{} is free, revoke a deployment to have one: {}",
        PORTS.start(),
        PORTS.end(),
        all.join(", ")
    )
}
