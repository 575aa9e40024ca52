//! How the kill switch stands, without touching anything.

use std::time::Duration;

use serde::Serialize;

use crate::engine::docker::Docker;
use crate::engine::error::Error;
use crate::engine::store::Store;
use crate::engine::{engines, images};
use crate::registry::kill::{self as switch, Kill, Lifted};
use crate::registry::{KillLock, Registry, queries};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum KillState {
    /// Off; the next kill works.
    Armed,
    /// On, and nothing of the registry is left.
    Killed,
    /// On, and something is left, or nobody can tell.
    Unfinished,
}

/// The switch, and what is left to do.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KillStatus {
    pub state: KillState,
    pub kill: Option<Kill>,
    /// The kill before, where the switch is off.
    pub last: Option<Lifted>,
    /// Whether a full disk could stop a kill from being written.
    pub preallocated: bool,
    /// What is still there, a sentence each.
    pub left: Vec<String>,
}

/// Looks at the switch and, if it is on, at everything that it was to end.
///
/// # Errors
/// When not even the absence of the kill file can be seen.
pub fn kill_status(registry: &Registry) -> Result<KillStatus, Error> {
    let layout = registry.layout();
    let Some(kill) = switch::read(layout)? else {
        let preallocated = layout.kill_spare().exists();
        return Ok(KillStatus {
            state: KillState::Armed,
            kill: None,
            last: switch::last_lift(layout),
            preallocated,
            left: Vec::new(),
        });
    };
    let left = left(registry);
    let state = if left.is_empty() { KillState::Killed } else { KillState::Unfinished };
    Ok(KillStatus { state, kill: Some(kill), last: None, preallocated: true, left })
}

fn left(registry: &Registry) -> Vec<String> {
    let mut left = Vec::new();
    let docker = Docker::default();
    let others = engines::others(registry, &docker).unwrap_or_else(|why| {
        left.push(format!("whether containers are left is not known: {why}"));
        Vec::new()
    });
    let others = others.into_iter().map(|known| (Docker::at(known.socket.clone()), Some(known)));
    for (docker, known) in std::iter::once((docker, None)).chain(others) {
        let listed = registry
            .id()
            .map_err(Error::from)
            .and_then(|id| docker.wait(|engine| async move { engine.list_soon(&id).await }));
        let whose = known.map_or_else(String::new, |known| format!("{}: ", known.unreachable(registry)));
        match listed {
            Ok(found) => left.extend(found.iter().map(|found| format!("container {} ({})", found.name, found.status))),
            Err(error) => left.push(format!("{whose}whether containers are left is not known: {error}")),
        }
    }
    // Nobody begins to start anything while the switch is on, so that holding this for a moment keeps nobody waiting.
    if KillLock::acquire(registry, Duration::ZERO).is_err() {
        left.push("a start is under way".to_owned());
    }
    left.extend(images::builders(registry).iter().map(|pid| format!("build process {pid}")));
    for run in queries::list_runs(registry).unwrap_or_default() {
        match Store::open(registry, &run).and_then(|store| store.peek()) {
            Ok(state) if state.may_have_containers() => {
                left.push(format!("run {run}: its journal does not say so yet"))
            }
            Ok(_) => {}
            Err(error) => left.push(format!("run {run}: {error}")),
        }
    }
    left
}
