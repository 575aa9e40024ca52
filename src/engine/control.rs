//! An operator's intent: written to `control.jsonl` first, then applied, so that what was asked for is on record even
//! when it is refused.

use chrono::Utc;

use crate::registry::{Registry, controls, kill};
use crate::run::id::{NodeId, RunId};
use crate::run::record::Record;
use crate::run::state::State;

use super::docker::Docker;
use super::error::Error;
use super::ingest;
use super::store::Store;
use super::tick::tick_store;

/// What became of an intent.
#[derive(Debug)]
pub struct Applied {
    pub id: String,
    /// Why it could not be applied.
    pub rejected: Option<String>,
    /// Applied, but the tick that was to go on from there failed.
    pub held_up: Option<Error>,
    /// The run afterwards.
    pub state: State,
}

/// Records `action` for run `run`, applies everything that is recorded and not applied yet, and ticks the run unless the
/// kill switch is on.
///
/// # Errors
/// When it cannot be recorded or the run cannot be written; that it does not apply is no error.
pub fn control(
    registry: &Registry,
    run: &RunId,
    action: &str,
    node: Option<&NodeId>,
    message: Option<&str>,
    patch: serde_json::Map<String, serde_json::Value>,
) -> Result<Applied, Error> {
    let store = Store::open(registry, run)?;
    if let Some(node) = node
        && store.load()?.node(node).is_none()
    {
        let refusal = crate::run::refusal::Refusal::NoNode(node.clone());
        return Err(Error::Refused { run: run.clone(), refusal });
    }
    let mut record = controls::Record::new(run, action, Utc::now());
    record.node_id = node.map(ToString::to_string);
    record.message = message.map(str::to_owned);
    record.patch = patch;
    controls::append(&store.layout(), &record)?;
    let (state, taken) = ingest::take_controls(&store, store.load()?)?;
    let rejected = match taken.into_iter().find(|(id, _)| *id == record.id) {
        Some((_, rejected)) => rejected,
        // A tick was faster; what it made of it stands in the journal.
        None => rejection(&store, &record.id)?,
    };
    let goes_on = rejected.is_none() && kill::read(registry.layout())?.is_none();
    let held_up = if goes_on { tick_store(&store, &Docker::default()).err() } else { None };
    let state = if goes_on { store.load()? } else { state };
    Ok(Applied { id: record.id, rejected, held_up, state })
}

fn rejection(store: &Store<'_>, id: &str) -> Result<Option<String>, Error> {
    let text = |line: &Record, key: &str| line.data.get(key).and_then(|value| value.as_str()).map(str::to_owned);
    let of_it = |line: &Record| line.event == "control.rejected" && text(line, "id").as_deref() == Some(id);
    Ok(store.records()?.iter().rev().find(|line| of_it(line)).and_then(|line| text(line, "reason")))
}
