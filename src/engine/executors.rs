//! Who does a node, and so who is waited for: each kind has somebody, and nothing hangs without a name and a command.

use crate::run::definition::{NodeDefinition, WaitKind};
use crate::run::event::WaitingOn;
use crate::run::state::{Node, State};
use crate::run::status::{NodeKind, NodeStatus, RunStatus};

use super::inbox::waiting_of;

/// Who has to do something before the run goes on, and the command that does it or asks for it, one a line. `openclaw`
/// says whether a tick can wake sessions. Empty when the run is finished, or only its containers and builds are awaited.
#[must_use]
pub fn waits_for(state: &State, openclaw: bool) -> Vec<String> {
    let run = &state.run;
    if state.status.is_terminal() {
        return Vec::new();
    }
    let mut who: Vec<String> =
        waiting_of(state).iter().map(|item| format!("a person: `taskforge approve {}`", item.id)).collect();
    if state.status == RunStatus::Paused {
        let reason = &state.status_reason;
        who.push(format!("a person: the run is paused ({reason}); `taskforge control resume {run}`"));
    }
    who.extend(unattended(state, openclaw));
    let failed = state.outgoing.iter().filter(|asked| !asked.delivered && !asked.is_open());
    who.extend(failed.map(|asked| {
        format!("a person: OpenClaw did not take `{}` ({}): {}", asked.request.kind(), asked.id, asked.problem)
    }));
    who
}

/// The part of [`waits_for`] that neither the inbox nor a notification tells anybody of: nodes that a session, a person's
/// word or a file has to move. A tick says it, so that nothing hangs silently.
#[must_use]
pub fn unattended(state: &State, openclaw: bool) -> Vec<String> {
    if state.status != RunStatus::Running {
        return Vec::new();
    }
    state.pairs().filter_map(|(definition, node)| of_node(state, definition, node, openclaw)).collect()
}

fn of_node(state: &State, definition: &NodeDefinition, node: &Node, openclaw: bool) -> Option<String> {
    let (run, id) = (&state.run, &definition.id);
    if definition.container.is_some() {
        return None;
    }
    match (definition.kind, node.status) {
        (NodeKind::Wait, NodeStatus::Ready | NodeStatus::Waiting) => {
            let wait = definition.wait_for.as_ref();
            match wait.map(|wait| (wait.kind, &wait.path)) {
                Some((WaitKind::NextTick, _)) => Some(format!("the next tick, for node {id}: `taskforge tick {run}`")),
                Some((WaitKind::FileExists, Some(path))) => Some(format!(
                    "the file runs/{run}/{path}, for node {id}; `taskforge control approve {run} {id}` goes on without it"
                )),
                _ => Some(format!("a person, for node {id}: `taskforge control approve {run} {id}`")),
            }
        }
        // In OpenTask's own registry: a tick makes it something that can be decided.
        (NodeKind::Approval, NodeStatus::Ready) => {
            Some(format!("a person, for node {id}: `taskforge tick {run}`, then `taskforge inbox`"))
        }
        (NodeKind::Approval, _) => None,
        (_, NodeStatus::Ready) => Some(match (openclaw, node.woken_at) {
            (true, None) => format!("the session {}, for node {id}: the next tick wakes it", driver(state)),
            (true, Some(at)) => {
                let at = at.format("%Y-%m-%d %H:%M:%S");
                format!("the session {}, for node {id}: it was woken at {at}", driver(state))
            }
            (false, _) => format!(
                "an OpenClaw session, for node {id}: `taskforge helper next {run}` says what it has to do (taskforge.toml names no OpenClaw to wake one); `taskforge control skip {run} {id}` goes on without it"
            ),
        }),
        (_, NodeStatus::Running) => {
            let bound = node.bound.child_session_key.as_ref().or(node.bound.session_key.as_ref());
            let session = bound.map_or_else(|| driver(state), String::as_str);
            Some(format!(
                "the session {session}, which does node {id}: `taskforge helper transition-node {run} {id} completed` when it is done"
            ))
        }
        (_, NodeStatus::Waiting) if node.waiting_on == Some(WaitingOn::Session) => Some(format!(
            "the session {}, for node {id}, which it said waits: `taskforge helper transition-node {run} {id} completed` ends that",
            driver(state)
        )),
        _ => None,
    }
}

/// The session that drives the run.
fn driver(state: &State) -> &str {
    let sessions = &state.created.sessions;
    [&sessions.driver, &sessions.root, &sessions.source]
        .into_iter()
        .find(|key| !key.is_empty())
        .map_or("", String::as_str)
}
