//! What a run asks of OpenClaw: journaled first, done without the run's lock, its outcome journaled. A crash between the
//! two asks again, under the same id.

use crate::openclaw::OpenclawCli;
use crate::run::command::Command;
use crate::run::id::NodeId;
use crate::run::outgoing::Outgoing;
use crate::run::state::State;
use crate::run::visible::visible;

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
    let Some(cli) = &store.registry().config()?.openclaw.cli else { return Ok(()) };
    let timeout = store.registry().config()?.openclaw.timeout;
    let outcome = OpenclawCli::find(cli, timeout).and_then(|cli| match &asked.request {
        Outgoing::Wake { session, nodes } => cli.wake(session, &briefing(state, nodes), id).map(drop),
        Outgoing::SendMessage { session, text } => cli.send_message(session, text, id).map(drop),
        Outgoing::PatchCron { job, patch } => cli.patch_cron(job, patch),
    });
    let outcome = outcome.map_err(|error| visible(&error.to_string()));
    store.commit(TICK, Command::Answer { id: id.to_owned(), outcome }).map(drop)
}

/// What a woken session is told: where its work stands, never the work itself, which may have changed by then.
fn briefing(state: &State, nodes: &[NodeId]) -> String {
    let nodes: Vec<&str> = nodes.iter().map(NodeId::as_str).collect();
    let run = &state.run;
    format!(
        "Run {run} has work for you: {}. Read the taskforge skill, then run `taskforge helper next {run}`: it prints what to do now and how to report it.",
        nodes.join(", ")
    )
}
