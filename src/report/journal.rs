//! The journal as a story: what agents said, and what everybody did.

use serde_json::{Map, Value};

use crate::run::record::Record;

use super::words::cut;

/// One line of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// As the journal has it.
    pub(super) time: String,
    pub(super) actor: String,
    pub(super) event: String,
    pub(super) node: Option<String>,
    pub(super) message: String,
}

/// Lines from both ends, and how many between them are left out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Lines {
    pub(super) first: Vec<Line>,
    pub(super) left_out: usize,
    pub(super) last: Vec<Line>,
}

impl Lines {
    /// At most `most` of `records`, each with at most `length` characters of its message.
    pub(super) fn of<'a>(records: impl Iterator<Item = &'a Record>, most: usize, length: usize) -> Self {
        let records: Vec<&Record> = records.collect();
        let line = |record: &&Record| Line {
            time: record.timestamp.clone(),
            actor: cut(&record.actor, 200),
            event: cut(&record.event, 200),
            node: record.node_id.as_deref().map(|node| cut(node, 200)),
            message: cut(record.message.as_deref().unwrap_or_default(), length),
        };
        if records.len() <= most {
            return Self { first: records.iter().map(line).collect(), ..Self::default() };
        }
        let head = most / 2;
        let tail = records.len() - (most - head);
        Self {
            first: records[..head].iter().map(line).collect(),
            left_out: tail - head,
            last: records[tail..].iter().map(line).collect(),
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.first.is_empty() && self.last.is_empty()
    }
}

/// Who a line is from that is not one of ours.
const SOMEBODY: &str = "another program";

/// A line of another program, `object`, among the records: without a place in their order. Nothing of it is checked.
#[must_use]
pub fn foreign_line(object: &Map<String, Value>) -> Record {
    let text = |key: &str| object.get(key).and_then(Value::as_str).map(str::to_owned);
    Record {
        event: text("event").unwrap_or_default(),
        timestamp: text("timestamp").unwrap_or_default(),
        run_id: String::new(),
        payload: Map::new(),
        node_id: text("nodeId"),
        message: text("message"),
        seq: 0,
        batch: (1, 1),
        actor: SOMEBODY.to_owned(),
        data: Map::new(),
        at: 0,
        prev: String::new(),
    }
}

/// Whether the record is one of ours: those count from 1.
pub(super) const fn is_ours(record: &Record) -> bool {
    record.seq > 0
}

/// Whether the record is what an agent or a session says, rather than what happened.
pub(super) fn is_said(record: &Record) -> bool {
    record.event == "run.progress"
}
