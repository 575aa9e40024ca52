//! Taking in what others wrote for us: the gate's inbox, decision files, controls. Each is journaled exactly once by
//! its id and only then removed; what cannot be used is journaled as rejected and stands aside.

use serde_json::Value;

use crate::registry::{controls, inbox};
use crate::run::capability::{Capability, askable};
use crate::run::command::{Command, Control};
use crate::run::decide::decide;
use crate::run::deployment::Proposal;
use crate::run::id::NodeId;
use crate::run::state::State;
use crate::run::timetable::Timetable;

use super::actor::{self, operator};
use super::error::Error;
use super::store::Store;
use super::{agents, children, taken};

/// Journals everything that lies ready. The state afterwards; and why the gate's messages could not be taken in, if they
/// could not: what people decided and ordered is taken in all the same.
///
/// # Errors
/// When the run's own journal cannot be read or written.
pub(crate) fn ingest(store: &Store<'_>, state: State) -> Result<(State, Option<Error>), Error> {
    let (state, stuck) = match take_inbox(store, state) {
        Ok(state) => (state, None),
        Err(error) => (store.load()?, Some(error)),
    };
    let state = taken::take_files(store, state)?;
    Ok((take_controls(store, state)?.0, stuck))
}

/// Journals what the gate wrote. Also what an attempt's end is judged by: a request that it made just before it ended
/// has to be known first.
pub(crate) fn take_inbox(store: &Store<'_>, mut state: State) -> Result<State, Error> {
    loop {
        let found = inbox::read(&store.layout())?;
        for rejected in found.rejected {
            state = store.commit(actor::TICK, Command::RejectInput { input: rejected.name, reason: rejected.why })?;
        }
        // Messages of one node that lie beside each other are one batch: a flood costs a commit, not one each.
        let (memories, others): (Vec<_>, Vec<_>) =
            found.messages.into_iter().partition(|message| message.kind == inbox::Kind::Memory);
        for messages in memories.chunk_by(|a, b| a.node == b.node) {
            state = remember(store, state, messages)?;
        }
        let (children, others): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|message| message.kind == inbox::Kind::Child);
        for message in children {
            state = beget(store, &state, &message)?;
        }
        for messages in others.chunk_by(|a, b| a.node == b.node && a.is_of_gate() == b.is_of_gate()) {
            state = take(store, messages)?;
        }
        if !found.more {
            break;
        }
    }
    Ok(state)
}

/// What an agent wants to remember goes into its own journal; only a refusal is the run's to tell.
fn remember(store: &Store<'_>, mut state: State, messages: &[inbox::Message]) -> Result<State, Error> {
    let Some(first) = messages.first() else { return Ok(state) };
    let refused = agents::take_memory(store, &state, messages)?;
    if !refused.is_empty() {
        state = store.commit_with(&actor::agent(&first.node), |state, now| {
            let refuse = |(input, reason)| decide(state, Command::RejectInput { input, reason }, now);
            let events = refused.into_iter().map(refuse).collect::<Result<Vec<_>, _>>();
            let events = events.map_err(|refusal| Error::Refused { run: store.run().clone(), refusal })?;
            Ok(events.into_iter().flatten().collect())
        })?;
    }
    for message in messages {
        inbox::remove(&store.layout(), &message.id)?;
    }
    Ok(state)
}

/// A child that an agent asks for is a run of its own.
fn beget(store: &Store<'_>, state: &State, message: &inbox::Message) -> Result<State, Error> {
    let state = match children::take(store, state, message)? {
        Ok(state) => state,
        Err(reason) => {
            let input = message.id.to_string();
            store.commit(&actor::agent(&message.node), Command::RejectInput { input, reason })?
        }
    };
    inbox::remove(&store.layout(), &message.id)?;
    Ok(state)
}

fn take(store: &Store<'_>, messages: &[inbox::Message]) -> Result<State, Error> {
    let Some(first) = messages.first() else { return store.load() };
    let actor = if first.is_of_gate() { actor::GATE.to_owned() } else { actor::agent(&first.node) };
    let state = store.commit_with(&actor, |state, now| {
        let mut state = state.clone();
        let mut all = Vec::new();
        for message in messages {
            let reject = |reason: String| Command::RejectInput { input: message.id.to_string(), reason };
            let wanted = command(&state, message).unwrap_or_else(reject);
            let events =
                decide(&state, wanted, now).or_else(|refusal| decide(&state, reject(refusal.to_string()), now));
            for event in events.map_err(|refusal| Error::Refused { run: store.run().clone(), refusal })? {
                state.apply(&event, now).map_err(|source| Error::Fold { run: store.run().clone(), source })?;
                all.push(event);
            }
        }
        Ok(all)
    })?;
    for message in messages {
        inbox::remove(&store.layout(), &message.id)?;
    }
    Ok(state)
}

/// What the gate wrote as a command. The gate checked all of it; it is checked again, since the host believes no file.
fn command(state: &State, message: &inbox::Message) -> Result<Command, String> {
    let node = message.node.clone();
    let known = state.node(&node).is_some_and(|(_, found)| found.attempts.iter().any(|a| a.number == message.attempt));
    if !known {
        return Err(format!("the run has no attempt {} of node {node}", message.attempt));
    }
    let text = |key: &str, limit: usize| -> Result<String, String> {
        let text = message.body.get(key).and_then(Value::as_str).ok_or_else(|| format!("`{key}` is missing"))?;
        if text.len() > limit { Err(format!("`{key}` is longer than {limit} bytes")) } else { Ok(text.to_owned()) }
    };
    match message.kind {
        inbox::Kind::Capability => {
            let capability = askable(&text("capability", 512)?)?;
            let deploy = message.body.get("deploy").cloned().map(serde_json::from_value::<Proposal>).transpose();
            let deploy = deploy.map_err(|error| format!("`deploy` is not understood: {error}"))?;
            let port = if let Capability::Port(port) = capability { Some(port) } else { None };
            Proposal::check(deploy.as_ref(), port).map_err(|error| error.to_string())?;
            let schedule = message.body.get("schedule").cloned().map(serde_json::from_value::<Timetable>).transpose();
            let schedule = schedule.map_err(|error| format!("`schedule` is not understood: {error}"))?;
            let asked = matches!(capability, Capability::Schedule(_));
            Timetable::check(schedule.as_ref(), asked).map_err(|error| error.to_string())?;
            let (id, attempt, reason) = (message.id.clone(), message.attempt, text("reason", 4096)?);
            let by_gate = message.is_of_gate();
            Ok(Command::Request { id, node, attempt, capability, reason, by_gate, deploy, schedule })
        }
        inbox::Kind::Child => Err("it asks for a run, which is no event of this one".to_owned()),
        inbox::Kind::Memory => Err("it is about a memory, which is no event of the run".to_owned()),
        inbox::Kind::Progress => Ok(Command::Progress {
            inbox: Some(message.id.to_string()),
            node: Some(node),
            message: text("message", 4096)?,
        }),
        inbox::Kind::Result => {
            let result = Value::Object(message.body.clone());
            Ok(Command::Result { inbox: Some(message.id.to_string()), node, result, report: None })
        }
    }
}

/// What became of the controls that were taken: each id with the reason, if it was rejected.
pub(crate) type Taken = Vec<(String, Option<String>)>;

/// `control.jsonl`, in order, each once.
pub(crate) fn take_controls(store: &Store<'_>, mut state: State) -> Result<(State, Taken), Error> {
    let mut taken = Taken::new();
    for control in controls::read(&store.layout(), store.run())? {
        if state.applied_controls.contains(&control.id) {
            continue;
        }
        let id = control.id.clone();
        let reject = |reason: String| Command::RejectControl { id: id.clone(), reason };
        let command = match parse_control(store, &control) {
            Ok(wanted) => Command::Control { id: Some(id.clone()), control: wanted },
            Err(reason) => reject(reason),
        };
        let mut rejected = match &command {
            Command::RejectControl { reason, .. } => Some(reason.clone()),
            _ => None,
        };
        state = match store.commit(&operator(), command) {
            Err(error @ (Error::Refused { .. } | Error::NotSigned { .. })) => {
                let reason = match error {
                    Error::Refused { refusal, .. } => refusal.to_string(),
                    other => other.to_string(),
                };
                rejected = Some(reason.clone());
                store.commit(&operator(), reject(reason))?
            }
            other => other?,
        };
        taken.push((id, rejected));
    }
    Ok((state, taken))
}

fn has_openclaw(store: &Store<'_>) -> Result<bool, String> {
    let config = store.registry().config().map_err(|error| error.to_string())?;
    Ok(config.openclaw.cli.is_some())
}

fn parse_control(store: &Store<'_>, control: &controls::Record) -> Result<Control, String> {
    let node = || -> Result<NodeId, String> {
        let id = control.node_id.as_deref().ok_or_else(|| "`nodeId` is missing".to_owned())?;
        NodeId::parse(id).map_err(|error| error.to_string())
    };
    let reason = || control.message.clone().unwrap_or_else(|| "on request".to_owned());
    match control.action.as_str() {
        "pause" => Ok(Control::Pause { reason: reason() }),
        "resume" => Ok(Control::Resume),
        "cancel" => Ok(Control::Cancel { reason: reason() }),
        "retry" => Ok(Control::Retry { node: node()? }),
        "skip" => Ok(Control::Skip { node: node()? }),
        "approve" => Ok(Control::Approve { node: node()? }),
        "send_message" | "patch_cron" if !has_openclaw(store)? => {
            let action = &control.action;
            Err(format!("`{action}` goes through OpenClaw, and taskforge.toml names no command line: [openclaw] cli"))
        }
        "send_message" => {
            let text = control.message.clone().filter(|text| !text.trim().is_empty());
            let text = text.ok_or_else(|| "`message` is missing".to_owned())?;
            let node = control.node_id.is_some().then(node).transpose()?;
            Ok(Control::SendMessage { node, text })
        }
        "patch_cron" if control.patch.is_empty() => Err("`patch` is empty".to_owned()),
        "patch_cron" => Ok(Control::PatchCron { patch: control.patch.clone() }),
        other => Err(format!("action {other:?} is not known")),
    }
}
