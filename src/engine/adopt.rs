//! What other programs did to a run's `state.json` and `refs.json`: found, told from our own projections that lag, and
//! handed to the merge. Reads two files; where they are as we wrote them, that is all.

use std::path::Path;

use serde_json::Value;

use crate::registry::{Scan, to_opentask_json};
use crate::run::adoption::Adoption;
use crate::run::foreign::{self, SeenRun, Theirs};
use crate::run::id::Digest;
use crate::run::projection::{RefsFile, StateFile, refs_json, state_json};
use crate::run::record::Record;
use crate::run::state::State;

use super::error::Error;
use super::project::Shared;
use super::store::Store;

/// What stands in the two files.
#[derive(Debug)]
pub(crate) enum Look {
    /// What we wrote for this state: nobody changed anything.
    AsWritten(Shared),
    /// Something else, and nothing of it is to be taken over: a projection that lags, or is unreadable.
    Nothing,
    Changed(Box<Adoption>),
}

/// What others changed in a run of ours.
///
/// # Errors
/// When a file cannot be read, or the journal does not fold.
pub(crate) fn look(store: &Store<'_>, state: &State, scan: &Scan) -> Result<Look, Error> {
    let layout = store.layout();
    let Some(state_bytes) = read(&layout.state())? else { return Ok(Look::Nothing) };
    let refs_bytes = read(&layout.refs())?;
    let (state_text, refs_text) = (to_opentask_json(&StateFile::of(state)), to_opentask_json(&RefsFile::of(state)));
    if state_bytes == state_text.as_bytes() && refs_bytes.as_deref() == Some(refs_text.as_bytes()) {
        return Ok(Look::AsWritten(Shared { state: Digest::of(&state_bytes), refs: Digest::of(refs_text.as_bytes()) }));
    }
    let adoption = changes(store, state, scan, &state_bytes, refs_bytes)?;
    Ok(adoption.map_or(Look::Nothing, |adoption| Look::Changed(Box::new(adoption))))
}

fn changes(
    store: &Store<'_>,
    state: &State,
    scan: &Scan,
    state_bytes: &[u8],
    refs_bytes: Option<Vec<u8>>,
) -> Result<Option<Adoption>, Error> {
    // Not JSON at all is what a power cut leaves of a projection: it is written again.
    let Ok(state_value) = serde_json::from_slice::<Value>(state_bytes) else { return Ok(None) };
    let refs_value = refs_bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or(Value::Null);
    // Nor is what says nothing that any version of OpenTask would.
    let Ok(theirs) = SeenRun::read(&state_value, &refs_value) else { return Ok(None) };
    // Our own projection may lag behind the journal, by as much as a crash left undone.
    let recorded = store.projected_seq().unwrap_or(0);
    let Some((base, skipped)) = base(store, &scan.records, recorded, &theirs)? else { return Ok(None) };
    let events: Vec<_> = scan
        .foreign
        .iter()
        .filter(|foreign| foreign.after >= skipped)
        .filter_map(|foreign| foreign.event.as_ref())
        .filter_map(|event| {
            let text = |key: &str| event.get(key).and_then(Value::as_str).map(str::to_owned);
            Some((text("event")?, text("nodeId")))
        })
        .collect();
    let adoption = foreign::merge(state, Theirs { run: &theirs, base: &base, events: &events });
    Ok(Some(adoption).filter(|adoption| !adoption.is_empty()))
}

/// The state that our last projection showed, and after how many of our records that was; `None` if what they left is
/// what the journal comes to at some place since, so that nobody but us wrote it.
fn base(
    store: &Store<'_>,
    records: &[Record],
    recorded: u64,
    theirs: &SeenRun,
) -> Result<Option<(SeenRun, usize)>, Error> {
    let first = usize::try_from(recorded).unwrap_or(usize::MAX).min(records.len());
    // Without a recorded place any of them may be ours, and the newest is what they can have changed.
    let places = if first == 0 { 1 } else { first }..=records.len();
    let mut base = None;
    for place in places {
        // A place within a batch is no state that anybody was shown.
        if records.get(place - 1).is_none_or(|last| last.batch.0 != last.batch.1) {
            continue;
        }
        let seen = seen(&store.fold(&records[..place])?);
        if seen.as_ref() == Ok(theirs) {
            return Ok(None);
        }
        if base.is_none() || first == 0 {
            base = seen.ok().map(|seen| (seen, place));
        }
    }
    Ok(base)
}

/// Our own state as their reader would see it: the two are compared in the same form.
fn seen(state: &State) -> Result<SeenRun, String> {
    SeenRun::read(&state_json(state), &refs_json(state))
}

/// Takes over a run that another program made. The adoption, and the state that it comes to.
///
/// # Errors
/// [`Error::Foreign`] when its files are not what any version of OpenTask writes.
pub(crate) fn begin(store: &Store<'_>) -> Result<(Adoption, State), Error> {
    let layout = store.layout();
    let foreign = |why: String| Error::Foreign { run: store.run().clone(), why };
    let json = |path: &Path| -> Result<Value, Error> {
        let Some(bytes) = read(path)? else { return Ok(Value::Null) };
        serde_json::from_slice(&bytes).map_err(|error| foreign(format!("{} is not JSON: {error}", name(path))))
    };
    let state = json(&layout.state())?;
    // An older OpenTask keeps its references under another name.
    let refs = match json(&layout.refs())? {
        Value::Null => json(&layout.root().join("openclaw.json"))?,
        refs => refs,
    };
    let seen = SeenRun::read(&state, &refs).map_err(foreign)?;
    let lock = read(&layout.workflow())?.unwrap_or_default();
    let registry = if store.registry().is_bare() { String::new() } else { store.registry().id()? };
    let mut adoption = foreign::begin(&seen, registry, Digest::of(&lock)).map_err(foreign)?;
    let signed = super::approvers::are_configured(store.registry())?;
    if let Some(created) = &mut adoption.created {
        created.signed = signed;
    }
    let created = adoption.created.clone().ok_or_else(|| foreign("it has no definition".to_owned()))?;
    let state = State::adopted(store.run().clone(), *created, &adoption, chrono::Utc::now())
        .map_err(|source| Error::Fold { run: store.run().clone(), source })?;
    Ok((adoption, state))
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// A file of the run, never through a symlink; none if it is absent.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    Ok(crate::registry::project::read_file(path, LARGEST)?)
}

/// The largest file of another program that is read, in bytes.
const LARGEST: u64 = 64 << 20;
