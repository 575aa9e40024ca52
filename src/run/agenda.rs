//! Who has to do something about a run now. Pure: what `taskforge helper next` tells a session.

use super::definition::NodeDefinition;
use super::event::WaitingOn;
use super::state::{Node, State};
use super::status::{NodeKind, NodeStatus, RunStatus};

/// Who moves a node on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doer {
    /// An OpenClaw session does it.
    Session,
    /// A subagent's session, started by the session that drives the run.
    Subagent,
    /// `taskforge tick`: a container, or a condition that is looked at.
    Engine,
    /// A person decides.
    Person,
    /// In OpenTask's own registry, the session that drives the run: it asks the person, and says what came of it.
    Driver,
}

impl Doer {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Subagent => "subagent",
            Self::Engine => "engine",
            Self::Person => "person",
            Self::Driver => "driver",
        }
    }

    /// Whether OpenClaw's sessions have to do it.
    #[must_use]
    pub const fn is_session(self) -> bool {
        matches!(self, Self::Session | Self::Subagent)
    }
}

/// Who does a node of `state`.
#[must_use]
pub fn doer(state: &State, definition: &NodeDefinition) -> Doer {
    match definition.kind {
        _ if definition.container.is_some() => Doer::Engine,
        NodeKind::SessionTurn | NodeKind::Summary => Doer::Session,
        NodeKind::Subagent => Doer::Subagent,
        NodeKind::Wait => Doer::Engine,
        NodeKind::Approval if !state.needs_decisions() => Doer::Driver,
        NodeKind::Approval => Doer::Person,
    }
}

/// Whether a session should take the node on now.
#[must_use]
pub fn is_to_be_dispatched(state: &State, definition: &NodeDefinition, node: &Node) -> bool {
    state.status == RunStatus::Running && node.status == NodeStatus::Ready && doer(state, definition).is_session()
}

/// What a node that stands still waits for, in a few words; none if it does not wait.
#[must_use]
pub fn waits_for(state: &State, definition: &NodeDefinition, node: &Node) -> Option<String> {
    let still = matches!(node.status, NodeStatus::Waiting)
        || (node.status == NodeStatus::Ready && !doer(state, definition).is_session());
    if !still {
        return None;
    }
    Some(match (&node.waiting_on, definition.kind) {
        (Some(WaitingOn::Requests(ids)), _) => format!("a person's decision on {} of its requests", ids.len()),
        (_, NodeKind::Approval) => "a person's decision".to_owned(),
        (_, NodeKind::Wait) => condition(definition),
        (Some(WaitingOn::Session), _) => "the session that does it".to_owned(),
        _ => "taskforge tick".to_owned(),
    })
}

fn condition(definition: &NodeDefinition) -> String {
    use super::definition::WaitKind;
    match &definition.wait_for {
        Some(wait) if wait.kind == WaitKind::NextTick => "the next tick".to_owned(),
        Some(wait) if wait.kind == WaitKind::FileExists => {
            format!("the file {}", wait.path.as_deref().unwrap_or_default())
        }
        _ => "whoever says that it is over".to_owned(),
    }
}
