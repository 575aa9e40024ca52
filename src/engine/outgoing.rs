//! What a run asks of OpenClaw: journaled first, done without the run's lock, its outcome journaled. A crash between the
//! two asks again, under the same id.

use crate::run::command::Command;
use crate::run::id::NodeId;
use crate::run::outgoing::Outgoing;
use crate::run::state::State;

use super::actor::TICK;
use super::error::Error;
use super::store::Store;

/// Journals that the session which drives the run shall be woken for `nodes`.
pub(crate) fn wake(store: &Store<'_>, state: &State, nodes: Vec<NodeId>) -> Result<(), Error> {
    let sessions = &state.created.sessions;
    let session = [&sessions.driver, &sessions.root, &sessions.source].into_iter().find(|key| !key.is_empty());
    let session = session.cloned().unwrap_or_default();
    let number = state.outgoing.iter().filter(|asked| matches!(asked.request, Outgoing::Wake { .. })).count() + 1;
    let id = format!("{}/wake/{number}", store.run());
    store.commit(TICK, Command::Ask { id, request: Outgoing::Wake { session, nodes } }).map(drop)
}

/// Does what is asked under `id`, and journals what came of it.
pub(crate) fn deliver(store: &Store<'_>, state: &State, id: &str) -> Result<(), Error> {
    let Some(asked) = state.outgoing.iter().find(|asked| asked.id == id) else { return Ok(()) };
    let outcome = ask(store, &asked.request)?;
    store.commit(TICK, Command::Answer { id: id.to_owned(), outcome }).map(drop)
}

fn ask(_store: &Store<'_>, _request: &Outgoing) -> Result<Result<(), String>, Error> {
    Ok(Err("no OpenClaw command line is configured".to_owned()))
}
