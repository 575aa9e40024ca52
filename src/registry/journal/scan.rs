//! What stands in a journal's bytes: the one pass that every reader and the writer make. Pure, lenient (a reader shows
//! what it can), and exact about what it could not accept: `findings` say it, and a writer refuses on the grave ones.

use std::ops::Range;

use serde::Serialize;
use serde_json::{Map, Value};

use super::chain::Chain;
use super::line::Line;
use crate::run::id::{Digest, RunId};
use crate::run::record::Record;

/// The event that names bytes which were never acknowledged.
pub const VOIDED: &str = "journal.voided";

/// A place in the journal, and the digest of everything before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Head {
    /// The length in bytes of what is covered.
    pub at: u64,
    /// The running digest of the first `at` bytes.
    pub digest: Digest,
    /// The `seq` of our last record before `at`; 0 if there is none.
    pub seq: u64,
}

/// Where a line stands. Lines are counted from 1; the range is in bytes and without the newline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub line: u64,
    pub bytes: Range<u64>,
}

/// A line of another program.
#[derive(Debug, Clone, PartialEq)]
pub struct Foreign {
    pub place: Place,
    /// How many of our records stand before it.
    pub after: usize,
    /// Its object; `None` where the line cannot be read (torn, glued, garbage).
    pub event: Option<Map<String, Value>>,
}

/// Something about a line that a person may want to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub place: Place,
    pub what: Oddity,
}

/// What is odd about a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Oddity {
    /// Cannot be read; covered, never fatal.
    Opaque,
    /// Written by another program between our reading of the end and our writing.
    Unlocked,
    /// A line of a batch of which another copy counts, or none.
    Incomplete,
    /// Not as we write lines.
    Altered,
    /// Belongs to another run.
    OtherRun(String),
    /// `seq` does not follow.
    Sequence { expected: u64, found: u64 },
    /// `prev` is not the digest of the first `at` bytes.
    Chain,
}

impl Oddity {
    /// Whether a journal with this may still be written to.
    #[must_use]
    pub fn is_grave(&self) -> bool {
        !matches!(self, Self::Opaque | Self::Unlocked | Self::Incomplete)
    }
}

impl std::fmt::Display for Oddity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Opaque => f.write_str("is not a JSON object"),
            Self::Unlocked => f.write_str("was written by another program without the lock"),
            Self::Incomplete => f.write_str("belongs to a batch that is not whole"),
            Self::Altered => f.write_str("is not written as this version writes lines"),
            Self::OtherRun(run) => write!(f, "belongs to run {run:?}"),
            Self::Sequence { expected, found } => write!(f, "has seq {found} where {expected} is due"),
            Self::Chain => f.write_str("does not continue what stands before it: its `prev` is another digest"),
        }
    }
}

/// A journal as read.
#[derive(Debug, Clone, PartialEq)]
pub struct Scan {
    /// Our records, of whole batches only, in order.
    pub records: Vec<Record>,
    /// Where each of `records` stands.
    pub places: Vec<Place>,
    pub foreign: Vec<Foreign>,
    /// Behind our last whole batch.
    pub head: Head,
    /// Bytes behind `head` that belong to a batch which was never acknowledged; empty but after a crash, or while
    /// another process is writing.
    pub torn: Vec<Range<u64>>,
    pub findings: Vec<Finding>,
    /// The length in bytes that was read.
    pub length: u64,
}

impl Scan {
    /// All of a journal's bytes, read. What is wrong in them is not an error but stands in [`findings`](Self::findings).
    #[must_use]
    pub fn of(run: &RunId, bytes: &[u8]) -> Self {
        Walk::new(run, bytes).scan
    }

    /// The first finding that forbids writing.
    #[must_use]
    pub fn grave(&self) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.what.is_grave())
    }
}

/// A line behind the last whole batch.
struct Piece {
    place: Place,
    line: Line,
    whole: bool,
    nul: bool,
}

/// A scan with what a writer needs besides.
pub(super) struct Walk {
    pub scan: Scan,
    pub chain: Chain,
    /// Every offset where a line starts (and the end, behind a newline), with the digest of what is before it.
    pub boundaries: Vec<(u64, Chain)>,
    /// The last batch lacks nothing but its last newline.
    pub unfinished: bool,
    tail: Vec<Piece>,
}

impl Walk {
    /// Reads all of a journal's bytes.
    pub fn new(run: &RunId, bytes: &[u8]) -> Self {
        Self::from(run, Chain::journal(run), 0, 0, bytes)
    }

    /// Reads what stands behind offset `start`, where `seq` was our last number.
    pub fn from(run: &RunId, chain: Chain, start: u64, seq: u64, bytes: &[u8]) -> Self {
        let scan = Scan {
            records: Vec::new(),
            places: Vec::new(),
            foreign: Vec::new(),
            head: Head { at: start, digest: chain.digest(), seq },
            torn: Vec::new(),
            findings: Vec::new(),
            length: start + bytes.len() as u64,
        };
        let mut walk = Self { scan, chain, boundaries: vec![(start, chain)], unfinished: false, tail: Vec::new() };
        let mut at = start;
        let mut running = chain;
        let mut open: Vec<usize> = Vec::new();
        for (index, text) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
            let whole = text.ends_with(b"\n");
            let content = text.strip_suffix(b"\n").unwrap_or(text);
            let place = Place { line: index as u64 + 1, bytes: at..at + content.len() as u64 };
            at += text.len() as u64;
            walk.tail.push(Piece { place, line: Line::read(content), whole, nul: content.contains(&0) });
            walk.collect(&mut open);
            if !whole {
                walk.unfinished = walk.completes(&open);
                break;
            }
            running = running.line(text);
            walk.boundaries.push((at, running));
            if walk.completes(&open) {
                walk.accept(run, &open, at, running);
                open.clear();
            }
        }
        walk.settle_tail();
        walk
    }

    /// Keeps `open` the lines of one batch that stand one behind the other at the very end of the tail.
    fn collect(&self, open: &mut Vec<usize>) {
        let last = self.tail.len() - 1;
        let Some(record) = self.record(last) else {
            open.clear();
            return;
        };
        let follows = open.last().and_then(|index| self.record(*index)).is_some_and(|before| {
            before.batch.0.checked_add(1) == Some(record.batch.0)
                && before.batch.1 == record.batch.1
                && before.seq.checked_add(1) == Some(record.seq)
                && (before.at, &before.prev) == (record.at, &record.prev)
        });
        if !follows {
            open.clear();
            if record.batch.0 != 1 {
                return;
            }
        }
        open.push(last);
    }

    fn completes(&self, open: &[usize]) -> bool {
        open.last().and_then(|index| self.record(*index)).is_some_and(|record| record.batch.0 == record.batch.1)
    }

    fn record(&self, index: usize) -> Option<&Record> {
        match &self.tail.get(index)?.line {
            Line::Ours(record) | Line::Altered(record) => Some(record),
            _ => None,
        }
    }

    /// Takes the batch at the end of the tail, and what stands before it as what it is.
    fn accept(&mut self, run: &RunId, open: &[usize], end: u64, chain: Chain) {
        let Some(first) = open.first().copied() else { return };
        let covered = self.scan.head.at;
        let batch = self.tail.split_off(first);
        let before = std::mem::take(&mut self.tail);
        let at = match &batch[0].line {
            Line::Ours(record) | Line::Altered(record) => record.at,
            _ => return,
        };
        for piece in before {
            if piece.place.bytes.start >= at && matches!(piece.line, Line::Foreign(_) | Line::Opaque) {
                self.find(&piece.place, Oddity::Unlocked);
            }
            self.shelve(piece);
        }
        let start = batch[0].place.bytes.start;
        for piece in batch {
            let altered = matches!(piece.line, Line::Altered(_));
            let (Line::Ours(record) | Line::Altered(record)) = piece.line else { continue };
            if altered {
                self.find(&piece.place, Oddity::Altered);
            }
            if record.run_id != run.as_str() {
                self.find(&piece.place, Oddity::OtherRun(record.run_id.clone()));
            }
            let expected = self.scan.head.seq.saturating_add(1);
            if record.seq != expected {
                self.find(&piece.place, Oddity::Sequence { expected, found: record.seq });
            }
            // Every byte has to be covered by someone: `at` never lies before the end of our batch before it.
            let chained = (covered..=start).contains(&record.at)
                && self.chain_at(record.at).is_some_and(|chain| chain.digest().as_str() == record.prev);
            if !chained {
                self.find(&piece.place, Oddity::Chain);
            }
            self.scan.head.seq = record.seq;
            self.scan.records.push(*record);
            self.scan.places.push(piece.place);
        }
        self.scan.head.at = end;
        self.scan.head.digest = chain.digest();
        self.chain = chain;
    }

    /// The digest of the first `at` bytes, if a line starts or the file ends there.
    pub fn chain_at(&self, at: u64) -> Option<Chain> {
        let index = self.boundaries.binary_search_by_key(&at, |(offset, _)| *offset).ok()?;
        Some(self.boundaries[index].1)
    }

    /// What stands behind our last whole batch: other programs' lines, and what a crash left of ours.
    fn settle_tail(&mut self) {
        for piece in std::mem::take(&mut self.tail) {
            // A hole that a power cut left reads as NULs, which no program writes. A last line without its newline
            // is somebody's whole object or a torn one.
            let torn = match &piece.line {
                Line::Ours(_) => true,
                Line::Opaque => piece.nul || !piece.whole,
                Line::Altered(_) | Line::Strange => !piece.whole,
                Line::Blank | Line::Foreign(_) => false,
            };
            if torn {
                let range = piece.place.bytes.clone();
                match self.scan.torn.last_mut() {
                    // Only the newline between them.
                    Some(last) if last.end + 1 == range.start => last.end = range.end,
                    _ => self.scan.torn.push(range),
                }
                self.find(&piece.place, Oddity::Incomplete);
            } else {
                self.shelve(piece);
            }
        }
    }

    fn shelve(&mut self, piece: Piece) {
        let event = match piece.line {
            Line::Blank => return,
            Line::Foreign(object) => Some(object),
            Line::Opaque => {
                self.find(&piece.place, Oddity::Opaque);
                None
            }
            Line::Ours(_) => return self.find(&piece.place, Oddity::Incomplete),
            Line::Altered(_) | Line::Strange => return self.find(&piece.place, Oddity::Altered),
        };
        self.scan.foreign.push(Foreign { place: piece.place, after: self.scan.records.len(), event });
    }

    fn find(&mut self, place: &Place, what: Oddity) {
        self.scan.findings.push(Finding { place: place.clone(), what });
    }
}

/// The ranges that a [`VOIDED`] record names.
#[must_use]
pub fn voided_ranges(record: &Record) -> Vec<Range<u64>> {
    let ranges = record.data.get("ranges").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let bound = |range: &Value, key: &str| range.get(key).and_then(Value::as_u64);
    ranges.iter().filter_map(|range| Some(bound(range, "from")?..bound(range, "to")?)).collect()
}
