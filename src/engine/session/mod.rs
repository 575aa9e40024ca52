//! A run as the OpenClaw session sees it that does its nodes: it makes the run, says where nodes stand, binds sessions,
//! reports. Everything goes through the journal like any command; nothing here can decide, unlock or start a container.

mod append;
mod create;
mod scaffold;
mod validate;

pub use append::append_event;
pub use create::{Create, Source, create};
pub(crate) use scaffold::handoff_of;
pub use scaffold::{Scaffold, scaffold};
pub use validate::{Seen, Validation, validate};

use chrono::Utc;
use serde_json::{Map, Value};

use crate::registry::Registry;
use crate::run::command::{Binding, Command};
use crate::run::decide::decide;
use crate::run::definition::{NodeDefinition, Sessions};
use crate::run::event::Report;
use crate::run::id::{NodeId, RunId};
use crate::run::status::NodeStatus;

use super::error::Error;
use super::store::{Speaker, Store};
pub use super::store::{Told, Wording};

/// What `bind` binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BindKind {
    Cron,
    NodeSession,
    ChildSession,
    NodeRun,
    DriverRun,
}

/// Says that node `node` stands at `to`, and journals all that follows.
///
/// # Errors
/// [`Error::Refused`] when that may not be; storage errors. A node that stands there already gives no events.
pub fn transition(
    registry: &Registry,
    run: &RunId,
    node: &NodeId,
    to: NodeStatus,
    wording: Wording,
) -> Result<Told, Error> {
    let store = Store::open(registry, run)?;
    let detail = wording.message.clone().unwrap_or_default();
    store.commit_told(Speaker::Session, Command::Transition { node: node.clone(), to, detail }, Some(wording))
}

/// Binds a session, a run or a cron job. Without a message in `wording` the journal gets OpenTask's sentence.
///
/// # Errors
/// [`Error::Refused`] when the run has no such node; [`Error::Usage`] when a node is missing; storage errors.
pub fn bind(
    registry: &Registry,
    run: &RunId,
    kind: BindKind,
    node: Option<NodeId>,
    value: String,
    wording: Wording,
) -> Result<Told, Error> {
    let named =
        |node: Option<NodeId>| node.ok_or_else(|| Error::Usage("this binding is of a node: name it".to_owned()));
    let said = |binding: &str| Some(format!("Bound {binding} {value}."));
    let (default, binding) = match kind {
        BindKind::Cron => (said("cron"), Binding::Cron { node, value: value.clone() }),
        BindKind::DriverRun => (said("driver run id"), Binding::DriverRun(value.clone())),
        BindKind::NodeSession => {
            (said("node session"), Binding::NodeSession { node: named(node)?, value: value.clone() })
        }
        BindKind::ChildSession => {
            (said("child session"), Binding::ChildSession { node: named(node)?, value: value.clone() })
        }
        BindKind::NodeRun => (said("node run id"), Binding::NodeRun { node: named(node)?, value: value.clone() }),
    };
    let wording = Wording { message: wording.message.filter(|message| !message.is_empty()).or(default), ..wording };
    let store = Store::open(registry, run)?;
    store.commit_told(Speaker::Session, Command::Bind(binding), Some(wording))
}

/// Puts other sessions behind the run.
///
/// # Errors
/// Storage errors.
pub fn rebind(registry: &Registry, run: &RunId, change: impl FnOnce(&mut Sessions)) -> Result<Told, Error> {
    let store = Store::open(registry, run)?;
    let mut sessions = store.load()?.created.sessions;
    change(&mut sessions);
    store.commit_told(Speaker::Named(&super::operator()), Command::Bind(Binding::Sessions(Box::new(sessions))), None)
}

/// Says how the run gets on.
///
/// # Errors
/// Storage errors.
pub fn progress(registry: &Registry, run: &RunId, message: String, payload: Map<String, Value>) -> Result<Told, Error> {
    let store = Store::open(registry, run)?;
    let wording = Wording { message: Some(message.clone()), payload };
    store.commit_told(Speaker::Session, Command::Progress { inbox: None, node: None, message }, Some(wording))
}

/// Records what a session made of a node, as `nodes/<id>/result.json` shows it. It moves nothing.
///
/// # Errors
/// [`Error::Refused`] for a node of the engine's or a person's; storage errors.
pub fn result(
    registry: &Registry,
    run: &RunId,
    node: &NodeId,
    report: Report,
    payload: Map<String, Value>,
) -> Result<Told, Error> {
    let store = Store::open(registry, run)?;
    let command = Command::Result {
        inbox: None,
        node: node.clone(),
        result: Value::Object(payload),
        report: Some(Box::new(report)),
    };
    store.commit_told(Speaker::Session, command, None)
}

/// Adds a node to the workflow of this run, before `before` or at its end.
///
/// # Errors
/// [`Error::Refused`] for an id that exists, a need that does not, a finished run; storage errors.
pub fn add_node(
    registry: &Registry,
    run: &RunId,
    before: Option<NodeId>,
    definition: NodeDefinition,
) -> Result<Told, Error> {
    let store = Store::open(registry, run)?;
    let command = Command::AddNode { before, definition: Box::new(definition.clone()) };
    // What is refused leaves no folder behind.
    decide(&store.load()?, command.clone(), Utc::now())
        .map_err(|refusal| Error::Refused { run: run.clone(), refusal })?;
    scaffold::prepare_node(&store, &definition)?;
    store.commit_told(Speaker::Session, command, None)
}

/// Gives a node that nobody works on yet other needs.
///
/// # Errors
/// [`Error::Refused`] for a cycle, a need that does not exist, an approval that would be passed by; storage errors.
pub fn rewire(registry: &Registry, run: &RunId, node: &NodeId, needs: Vec<NodeId>) -> Result<Told, Error> {
    let store = Store::open(registry, run)?;
    store.commit_told(Speaker::Session, Command::Rewire { node: node.clone(), needs }, None)
}
