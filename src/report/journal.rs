//! The journal as a story: what agents said, and what everybody did.

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
            event: record.event.clone(),
            node: record.node_id.clone(),
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

/// Whether the record is what an agent or a session says, rather than what happened.
pub(super) fn is_said(record: &Record) -> bool {
    record.event == "run.progress"
}
