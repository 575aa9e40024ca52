//! The look at one run: reads only, and takes no lock.

use std::thread;
use std::time::Duration;

use crate::audit::{self, Expected, Problem};
use crate::registry::journal::heads;
use crate::registry::{Journal, Registry, Scan};
use crate::run::id::RunId;
use crate::run::state::State;

use super::super::error::Error;
use super::super::store::Store;
use super::super::{adopt, verify};
use super::finding::{Finding, Kind, Safety};
use super::{folder, projections};

/// How much is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// The journal and what is made from it.
    Quick,
    /// Every file whose digest the journal names as well.
    Whole,
}

/// A command that commits writes one file after the other: what it has not come to yet is looked at again.
const AGAIN: Duration = Duration::from_millis(20);

/// What is wrong with the files of `run`.
///
/// # Errors
/// [`Error::NoRun`], and when a file cannot be read for a reason of the disk's.
pub fn examine(registry: &Registry, run: &RunId, depth: Depth) -> Result<Vec<Finding>, Error> {
    let mut found = once(registry, run, depth)?;
    for _ in 0..5 {
        if found.iter().all(|finding| finding.safety == Safety::Info) {
            break;
        }
        thread::sleep(AGAIN);
        let again = once(registry, run, depth)?;
        let settled = again == found;
        found = again;
        if settled {
            break;
        }
    }
    Ok(found)
}

/// [`examine`] at this moment, for one who holds the run's lock.
pub(super) fn once(registry: &Registry, run: &RunId, depth: Depth) -> Result<Vec<Finding>, Error> {
    let layout = registry.layout().run(run);
    if !layout.root().is_dir() {
        return Err(Error::NoRun(run.clone()));
    }
    let mut found = folder::temporary(&layout);
    found.extend(folder::controls(&layout));
    if layout.journal().symlink_metadata().is_err() {
        found.push(Finding::grave(Kind::Journal, "events.jsonl", "is missing", &restore(run)));
        return Ok(found);
    }
    let store = Store::open(registry, run)?;
    let scan = Journal::read(&layout.journal(), run)?;
    let problems = problems(registry, run, &store, &scan, depth)?;
    let stands = !problems.iter().any(|finding| matches!(finding.kind, Kind::Journal | Kind::Foreign));
    found.extend(problems);
    // Where the journal does not hold, nothing that is made from it does.
    let state = if stands { store.fold_any(&scan)? } else { None };
    if let Some(state) = &state {
        found.extend(tail(&scan));
        found.extend(head(registry, run, &scan)?);
        found.extend(projections::look(&store, state, &scan)?);
        if scan.records.first().is_some_and(|record| record.event == "run.created") {
            found.extend(folder::nodes(&layout, state));
        }
    } else if stands {
        let remedy = "the next command about the run takes it over; `repair` leaves it as it is";
        found.push(Finding::info(Kind::Foreign, "state.json", "was made by another program", remedy));
    }
    found.extend(folder::unknown(&layout, state.as_ref()));
    Ok(found)
}

/// What only a person can mend.
fn problems(
    registry: &Registry,
    run: &RunId,
    store: &Store<'_>,
    scan: &Scan,
    depth: Depth,
) -> Result<Vec<Finding>, Error> {
    let state: Result<Option<State>, Error> = store.fold_any(scan);
    let unread = match &state {
        Ok(Some(_)) => None,
        Ok(None) => adopt::begin(store).err(),
        Err(_) => None,
    };
    let expected = match (&state, depth) {
        (Ok(Some(state)), Depth::Whole) => verify::expected(state),
        _ => Expected::default(),
    };
    let mut report = audit::verify(registry, run, &expected)?;
    if let (Ok(Some(state)), Depth::Whole) = (&state, depth) {
        verify::decisions(registry, state, &store.records()?, &verify::Given::default(), &mut report)?;
    }
    let mut found: Vec<Finding> = report.problems.iter().map(|problem| grave(run, problem)).collect();
    if let Err(error) = state
        && found.is_empty()
    {
        found.push(Finding::grave(Kind::Journal, "events.jsonl", error.to_string(), &restore(run)));
    }
    if let Some(error) = unread {
        let remedy = "its files are OpenTask's: restore them from git or from a copy, or remove the run's folder";
        found.push(Finding::grave(Kind::Foreign, "state.json", error.to_string(), remedy));
    }
    Ok(found)
}

fn grave(run: &RunId, problem: &Problem) -> Finding {
    let kind = match problem.file.as_str() {
        "events.jsonl" => Kind::Journal,
        "workflow.lock.md" => Kind::Workflow,
        _ => Kind::File,
    };
    let what = match problem.line {
        0 => problem.what.clone(),
        line => format!("line {line} (byte {}) {}", problem.byte, problem.what),
    };
    let remedy = match kind {
        Kind::Journal => restore(run),
        _ => format!(
            "put back the file that the journal names: `git log -- runs/{run}/{}` shows earlier ones",
            problem.file
        ),
    };
    Finding::grave(kind, &problem.file, what, &remedy)
}

/// A journal that lost or changed bytes is not made up: an earlier whole one is.
fn restore(run: &RunId) -> String {
    format!(
        "put back the whole journal: `git log -- runs/{run}/events.jsonl` shows earlier ones, and `taskforge audit \
         verify {run}` says whether one of them is the one that this machine or a checkpoint knows"
    )
}

fn tail(scan: &Scan) -> Option<Finding> {
    let bytes: u64 = scan.torn.iter().map(|range| range.end - range.start).sum();
    let what = format!("ends in {bytes} bytes of a batch that was never acknowledged");
    let remedy = "it is completed if only its newline is missing, else saved to events.torn and voided";
    (bytes > 0).then(|| Finding::safe(Kind::Torn, "events.jsonl", what, remedy))
}

fn head(registry: &Registry, run: &RunId, scan: &Scan) -> Result<Option<Finding>, Error> {
    let path = registry.layout().head(run);
    let name = format!(".taskforge/heads/{run}");
    let remedy = "it is written again from the journal, which agrees with all that is known of it";
    let bad = |what: &str| Some(Finding::safe(Kind::Head, &name, what, remedy));
    if path.symlink_metadata().is_err() {
        return Ok(None);
    }
    Ok(match heads::read(&path)? {
        None => bad("cannot be read"),
        Some(head) if head.seq < scan.head.seq => bad("is behind the journal"),
        Some(_) => None,
    })
}
