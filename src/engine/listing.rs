//! All runs as a list shows them: from the index where that holds, from the run itself where it does not.

use chrono::{DateTime, Utc};

use crate::registry::index::{Ask, Entry, Index};
use crate::registry::{Registry, index, queries};
use crate::run::id::RunId;
use crate::run::state::State;
use crate::run::status::NodeStatus;

use super::error::Error;
use super::inbox::waiting_of;
use super::store::Store;

/// A run in a list, or why there is nothing to show of it.
#[derive(Debug)]
pub struct Listed {
    pub run: RunId,
    pub entry: Result<Entry, Error>,
}

/// All runs, in the order of their ids, with what is asked of each. Writes nothing and locks nothing.
///
/// # Errors
/// When the folder of the runs cannot be read.
pub fn list(registry: &Registry, ask: Ask) -> Result<Vec<Listed>, Error> {
    let names = queries::list_names(registry)?;
    let known = Index::read(registry).entries(&names, ask);
    let mut listed = Vec::with_capacity(names.len());
    for (run, known) in names.into_iter().zip(known) {
        let entry = match known {
            Some(entry) => Ok(entry),
            // A folder that never had a journal here is no run; one that had is a run whose journal is gone.
            None if !queries::is_run(registry, &run) => continue,
            // Not its projection, which another program may have gone past.
            None => Store::open(registry, &run).and_then(|store| store.load()).map(|state| entry_of(&state)),
        };
        listed.push(Listed { run, entry });
    }
    Ok(listed)
}

/// Notes in the index what a list shows of a run from now on; `length` is its journal's, in bytes.
pub(crate) fn note(registry: &Registry, state: &State, length: u64) {
    index::note(registry, &entry_of(state), length);
}

fn entry_of(state: &State) -> Entry {
    let time = |time: DateTime<Utc>| (time.timestamp(), time.timestamp_subsec_nanos());
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let done = state.nodes.iter().filter(|node| node.status == NodeStatus::Completed).count();
    Entry {
        run: state.run.clone(),
        workflow: state.created.workflow_id.to_string(),
        title: state.created.title.clone(),
        status: state.status,
        created: time(state.created_at),
        updated: time(state.updated_at),
        nodes: (count(done), count(state.nodes.len())),
        waiting: count(waiting_of(state).len()),
        active: !state.status.is_terminal()
            || state.may_have_containers()
            || state.outgoing.iter().any(crate::run::outgoing::Request::is_open),
    }
}
