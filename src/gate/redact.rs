//! Takes what was said out of the records, and leaves on record that it was there, who took it, and why. The chain holds:
//! it covers digests, not bodies.

use std::collections::HashSet;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::Error;
use super::records::{BodyRef, Entry, Kind, Record, Recorder, RecorderOptions, Traffic, read};
use crate::run::id::RunId;

/// How many bodies one record names.
const MOST_NAMED: usize = 200;
/// The longest reason, in characters.
const LONGEST_REASON: usize = 1000;

/// What was taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redacted {
    /// The records whose bodies are gone now and were not before: those that were named, their outcomes, and others with the same bodies.
    pub records: Vec<u64>,
    /// How many bytes of bodies.
    pub bytes: u64,
}

/// Takes away the bodies of the records `seqs` of the run whose gate's folder is `gate`, and of their outcomes.
///
/// # Errors
/// [`Error::Locked`] while the run's gate is up, [`Error::NoSuchRecord`] and [`Error::Inline`] before anything is changed,
/// and those of reading and writing.
pub fn redact(gate: &Path, run: &RunId, seqs: &[u64], by: &str, reason: &str) -> Result<Redacted, Error> {
    // The lock first: what is read then is all there is.
    let recorder = Recorder::open(&RecorderOptions { gate, run, disk: |file| Box::new(file) })?;
    let traffic = read(&gate.join("traffic.jsonl"), run)?;
    let bodies = chosen(&traffic, seqs)?;
    let digests: HashSet<&str> = bodies.iter().map(|body| body.sha256.as_str()).collect();
    // The same words elsewhere: content has one name, and who wants it gone wants it gone.
    let same = |record: &&Record| record.body().is_some_and(|body| digests.contains(body.sha256.as_str()));
    let store = recorder.bodies();
    let named = named(&traffic);
    let (mut records, mut gone) = (Vec::new(), Vec::new());
    for record in traffic.records.iter().filter(same) {
        let body = record.body().ok_or(Error::NoSuchRecord { seq: record.seq })?;
        if body.text.is_some() {
            return Err(Error::Inline { seq: record.seq });
        }
        // Taken away before, and on record as that.
        if named.contains(&record.seq) && matches!(store.load(&body), Err(Error::BodyMissing { .. })) {
            continue;
        }
        records.push(record.seq);
        gone.push(body);
    }
    if records.is_empty() {
        return Ok(Redacted { records, bytes: 0 });
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.map_err(Error::io("start the runtime of", gate))?;
    // On record before it is done: a body that is missing without a word would be worse than a word too many.
    for part in records.chunks(MOST_NAMED) {
        let mut fields = Map::new();
        fields.insert("records".into(), json!(part));
        fields.insert("by".into(), by.chars().take(200).collect::<String>().into());
        fields.insert("reason".into(), reason.chars().take(LONGEST_REASON).collect::<String>().into());
        let entry = Entry { kind: Kind::Redacted, of: None, fields, body: None };
        runtime.block_on(recorder.record(entry)).map_err(Error::Record)?;
    }
    // What goes on from what is taken away stays: it gets a file of its own first.
    let others = traffic.records.iter().filter(|record| !same(record)).filter_map(Record::body);
    for body in others.filter(|body| body.continues && store.behind(body).iter().any(|from| gone.contains(from))) {
        match store.detach(&body) {
            // Taken away before.
            Err(Error::BodyMissing { .. }) => {}
            detached => detached?,
        }
    }
    store.sync().map_err(Error::io("sync", gate.join("bodies")))?;
    recorder.bodies().remove(&gone).map_err(Error::io("remove bodies in", gate.join("bodies")))?;
    Ok(Redacted { records, bytes: gone.iter().map(|body| body.bytes).sum() })
}

/// Every record that a redaction names.
fn named(traffic: &Traffic) -> HashSet<u64> {
    let redacted = traffic.records.iter().filter(|record| record.kind == Kind::Redacted);
    let lists = redacted.filter_map(|record| record.fields.get("records").and_then(Value::as_array));
    lists.flatten().filter_map(Value::as_u64).collect()
}

/// The bodies of these records, and of the outcomes of those that are requests.
fn chosen(traffic: &Traffic, seqs: &[u64]) -> Result<Vec<BodyRef>, Error> {
    let mut bodies = Vec::new();
    for &seq in seqs {
        let record = traffic.records.iter().find(|record| record.seq == seq);
        let record = record.filter(|record| record.fields.get("body").is_some_and(Value::is_object));
        let record = record.ok_or(Error::NoSuchRecord { seq })?;
        let outcomes = traffic.records.iter().filter(|r| r.kind.is_outcome() && r.request() == Some(seq));
        bodies.extend(outcomes.chain([record]).filter_map(Record::body));
    }
    Ok(bodies)
}
