//! Actions whose outcome the gate cannot find out: a person looks, and says what became of one. Their word is journaled, the
//! gate is told, and takes it the next time that the agent asks for the same.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::actor::operator;
use super::error::Error;
use super::gate;
use super::store::Store;
use crate::gate::records::{self, Kind, Record};
use crate::registry::Registry;
use crate::run::capability::Capability;
use crate::run::command::Command;
use crate::run::event::Settled;
use crate::run::id::{NodeId, RunId};
use crate::run::state::{Request, State};

/// The longest comment, in bytes.
const LONGEST: usize = 4096;

/// What a person said of an action.
#[derive(Debug, Clone, Serialize)]
pub struct SettledAction {
    pub run: RunId,
    pub node: NodeId,
    /// Such as `email.send`.
    pub action: String,
    #[serde(flatten)]
    pub settled: Settled,
    /// Whether a gate that runs knows it now.
    pub told: bool,
}

/// Journals that the action of record `seq` was done, or was not.
///
/// # Errors
/// [`Error::NoAction`] where the records have none, [`Error::NotUnclear`] where what became of it is known or nothing was
/// changed by it; [`Error::Usage`] for a comment that nobody could read; when the run or its records cannot be read.
pub fn settle_action(
    registry: &Registry,
    run: &RunId,
    seq: u64,
    done: bool,
    comment: &str,
) -> Result<SettledAction, Error> {
    let store = Store::open(registry, run)?;
    if comment.trim().is_empty() || comment.len() > LONGEST {
        return Err(Error::Usage(format!("the comment is empty, or has more than {LONGEST} bytes")));
    }
    let none = || Error::NoAction { run: run.clone(), seq };
    let path = registry.layout().run(run).traffic();
    if !path.exists() {
        return Err(none());
    }
    let traffic = records::read(&path, run)?;
    let asked = |kind: &Kind| matches!(kind, Kind::ActionRequested | Kind::ActionDenied);
    let intent = traffic.records.iter().find(|record| record.seq == seq && asked(&record.kind)).ok_or_else(none)?;
    let not = |why: &str| Error::NotUnclear { run: run.clone(), seq, why: why.to_owned() };
    if intent.kind == Kind::ActionDenied {
        return Err(not("was denied"));
    }
    if intent.text("key").is_none() {
        return Err(not("changes nothing, and can be asked for again"));
    }
    let of_it =
        |record: &&records::Record| record.fields.get("intent").and_then(serde_json::Value::as_u64) == Some(seq);
    let mut ends = traffic.records.iter().filter(|record| matches!(record.kind, Kind::ActionDone | Kind::ActionFailed));
    match ends.rfind(of_it) {
        Some(end) if end.kind == Kind::ActionDone => return Err(not("was done")),
        Some(end) if end.fields.get("unclear").and_then(serde_json::Value::as_bool) != Some(true) => {
            return Err(not("failed, and can be asked for again"));
        }
        _ => {}
    }
    let node = intent.node.as_deref().ok_or_else(none)?;
    let node = NodeId::parse(node).map_err(|error| Error::Usage(error.to_string()))?;
    let settled = Settled { record: seq, done, by: operator(), comment: comment.to_owned() };
    let command = Command::SettleAction { node: node.clone(), settled: settled.clone() };
    let state = store.commit(&operator(), command)?;
    let told = state.live_attempts().next().is_some();
    if told {
        gate::publish(&store, &state)?;
        gate::await_in_force(&store)?;
    }
    let action = intent.text("action").unwrap_or_default().to_owned();
    Ok(SettledAction { run: run.clone(), node, action, settled, told })
}

/// An action that changes something, of which nothing says whether it was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UnclearAction {
    pub node: String,
    /// Such as `email.send`.
    pub action: String,
    pub target: String,
    /// The record of its intent.
    pub seq: u64,
    /// What says what became of it.
    pub fix: String,
}

/// The actions of the run `state` whose outcome nobody knows, and of which no person has said it. What a node at work has begun
/// and not ended is under way. Only runs in which something may be done through the gate are read.
///
/// # Errors
/// When the records cannot be read.
pub fn unclear_actions(registry: &Registry, state: &State) -> Result<Vec<UnclearAction>, Error> {
    let granted = |request: &Request| matches!(request.meant(), Capability::Action(_));
    let acts = state.created.nodes.iter().any(|node| node.role().is_some()) || state.requests.iter().any(granted);
    let path = registry.layout().run(&state.run).traffic();
    if !acts || !path.exists() {
        return Ok(Vec::new());
    }
    let traffic = records::read(&path, &state.run)?;
    let mut unclear: BTreeMap<u64, &Record> = BTreeMap::new();
    let mut failed = BTreeSet::new();
    for record in &traffic.records {
        let intent = record.fields.get("intent").and_then(serde_json::Value::as_u64);
        match (&record.kind, intent) {
            (Kind::ActionRequested, _) if record.text("key").is_some() => {
                unclear.insert(record.seq, record);
            }
            (Kind::ActionFailed, Some(intent))
                if record.fields.get("unclear").and_then(serde_json::Value::as_bool) == Some(true) =>
            {
                failed.insert(intent);
            }
            (Kind::ActionDone | Kind::ActionFailed, Some(intent)) => {
                unclear.remove(&intent);
            }
            _ => {}
        }
    }
    let live: BTreeSet<&str> = state.live_attempts().map(|(definition, _)| definition.id.as_str()).collect();
    let under_way = |record: &Record| {
        let node = record.node.as_deref().unwrap_or_default();
        live.contains(node) && !failed.contains(&record.seq)
    };
    let settled: BTreeSet<u64> = state.settled.iter().map(|settled| settled.record).collect();
    let told = unclear.into_values().filter(|record| !settled.contains(&record.seq) && !under_way(record));
    Ok(told
        .map(|record| UnclearAction {
            node: record.node.clone().unwrap_or_default(),
            action: record.text("action").unwrap_or_default().to_owned(),
            target: record.text("target").unwrap_or_default().to_owned(),
            seq: record.seq,
            fix: format!("taskforge action settle {} {} --done|--not-done --comment TEXT", state.run, record.seq),
        })
        .collect())
}

impl std::fmt::Display for UnclearAction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { node, action, target, seq, .. } = self;
        write!(f, "whether {action} to {target} by node {node} was done is not known (record {seq})")
    }
}
