//! The settings in force for a live attempt, as the Engine reports them.

use crate::container::Row;
use crate::registry::Registry;
use crate::run::id::{NodeId, RunId};

use super::docker::Docker;
use super::error::Error;
use super::store::Store;

/// The graded rows of the container of `node`'s live attempt.
///
/// # Errors
/// When nothing of the node runs, or the Engine cannot be asked.
pub fn inspect_attempt(registry: &Registry, run: &RunId, node: &NodeId) -> Result<Vec<Row>, Error> {
    let store = Store::open(registry, run)?;
    let state = store.load()?;
    let live = state.live_attempts().find(|(definition, _)| definition.id == *node);
    let Some((_, attempt)) = live else { return Err(Error::NothingRuns { node: node.clone() }) };
    let name = &attempt.plan.container;
    let docker = Docker::default();
    docker.wait(|engine| engine.effective(name))?.ok_or_else(|| Error::NothingRuns { node: node.clone() })
}
