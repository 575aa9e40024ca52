//! The journal's bytes against the chain in them and against heads from elsewhere. Pure.

use std::ops::Range;

use serde_json::Value;

use super::chain::{Step, Steps};
use super::report::{Problem, Report};
use crate::registry::journal::chain::Chain;
use crate::registry::journal::line;
use crate::registry::journal::scan::{Head, VOIDED, voided_ranges};
use crate::run::id::RunId;
use crate::run::record::Record;
use crate::run::time::parse_time;

const FILE: &str = "events.jsonl";

/// A line of ours that is exactly as we write one.
struct Ours {
    line: u64,
    start: u64,
    end: u64,
    record: Record,
}

/// What is being found out.
struct Audit<'a> {
    steps: &'a Steps<'a>,
    report: Report,
    accepted: Vec<Ours>,
    /// Lines of ours since the last whole batch.
    open: Vec<Ours>,
    /// Lines of ours that no whole batch took.
    stray: Vec<Ours>,
    /// Lines of others: line, start, end, and whether it can be read.
    others: Vec<(u64, Range<u64>, bool)>,
}

pub(super) fn verify(run: &RunId, bytes: &[u8], kept: Option<&Head>, known: &[Head]) -> Report {
    let start = Chain::journal(run);
    let steps = Steps::of(start, bytes);
    let report = Report {
        run: run.clone(),
        agent: false,
        lines: steps.lines.len() as u64,
        ours: 0,
        foreign: 0,
        head: Head { at: 0, digest: start.digest(), seq: 0 },
        proven: 0,
        checkpoints: 0,
        signatures: 0,
        problems: Vec::new(),
        warnings: Vec::new(),
        traffic: None,
    };
    let (open, stray, others) = (Vec::new(), Vec::new(), Vec::new());
    let mut audit = Audit { steps: &steps, report, accepted: Vec::new(), open, stray, others };
    for step in &steps.lines {
        audit.look(step);
    }
    let open = std::mem::take(&mut audit.open);
    audit.stray.extend(open);
    audit.strays();
    audit.voids(bytes);
    audit.unlocked();
    audit.heads(kept, known, bytes.len() as u64);
    audit.report
}

impl Audit<'_> {
    fn look(&mut self, step: &Step<'_>) {
        if step.text.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        let range = step.at..step.end();
        match serde_json::from_slice::<Value>(step.text) {
            Ok(Value::Object(object)) if object.contains_key("seq") && step.text.first() == Some(&b'{') => {
                self.ours(step, Value::Object(object));
            }
            read => {
                let readable = matches!(read, Ok(Value::Object(_)));
                if !step.whole {
                    self.warn(step.line, step.at, "has no newline: it is being written, or was cut off");
                }
                self.others.push((step.line, range, readable));
                self.report.foreign += 1;
            }
        }
    }

    fn ours(&mut self, step: &Step<'_>, value: Value) {
        let exact = |record: &Record| line::encode(record).is_ok_and(|text| text.as_bytes() == step.text);
        let record = match serde_json::from_value::<Record>(value) {
            Ok(record) if exact(&record) => record,
            Ok(_) => return self.problem(step.line, step.at, "is not written as taskforge writes its lines"),
            Err(error) => return self.problem(step.line, step.at, format!("is no record of ours: {error}")),
        };
        if record.run_id != self.report.run.as_str() {
            self.problem(step.line, step.at, format!("belongs to run {:?}", record.run_id));
        }
        let ours = Ours { line: step.line, start: step.at, end: step.end(), record };
        let follows = self.open.last().is_some_and(|before| {
            before.end == ours.start
                && before.record.batch.0 + 1 == ours.record.batch.0
                && before.record.batch.1 == ours.record.batch.1
        });
        if !follows {
            self.stray.append(&mut self.open);
            if ours.record.batch.0 != 1 {
                self.stray.push(ours);
                return;
            }
        }
        let complete = ours.record.batch.0 == ours.record.batch.1 && step.whole;
        self.open.push(ours);
        if complete {
            let batch = std::mem::take(&mut self.open);
            self.batch(batch);
        }
    }

    fn batch(&mut self, batch: Vec<Ours>) {
        let (Some(first), Some(last)) = (batch.first(), batch.last()) else { return };
        let (start, end, at, prev) = (first.start, last.end, first.record.at, first.record.prev.clone());
        let covered = self.report.head.at;
        let mut found: Vec<(u64, u64, String)> = Vec::new();
        for (seq, ours) in (self.report.head.seq + 1..).zip(&batch) {
            let record = &ours.record;
            let mut say = |what: String| found.push((ours.line, ours.start, what));
            if record.seq != seq {
                say(format!("has seq {} where {seq} is due", record.seq));
            }
            if record.at != at || record.prev != prev {
                say("continues another place than the first line of its batch".to_owned());
            }
            let time = parse_time(&record.timestamp);
            let before = self.accepted.last().and_then(|ours| parse_time(&ours.record.timestamp));
            if time.is_none() || time < before {
                say(format!("has time {:?}, before the line of ours before it", record.timestamp));
            }
        }
        if !(covered..=start).contains(&at) {
            found.push((
                first.line,
                first.start,
                format!("continues byte {at}, which leaves {covered} to {start} open"),
            ));
        }
        match self.steps.digest(at) {
            Some(digest) if digest.as_str() == prev => self.report.proven = self.report.proven.max(at),
            Some(_) => found.push((
                first.line,
                first.start,
                format!("does not continue the first {at} bytes: somewhere in them, bytes have changed"),
            )),
            None => found.push((first.line, first.start, format!("continues byte {at}, where no line starts"))),
        }
        self.report.head.seq = last.record.seq;
        self.report.head.at = end;
        if let Some(digest) = self.steps.digest(end) {
            self.report.head.digest = digest.clone();
        }
        self.report.ours += batch.len() as u64;
        self.accepted.extend(batch);
        for (line, byte, what) in found {
            self.problem(line, byte, what);
        }
    }

    /// A stray line is the first copy of a batch that was written again, or void, or what a crash left at the very end.
    fn strays(&mut self) {
        let head = self.report.head.at;
        for stray in std::mem::take(&mut self.stray) {
            let copied = self.accepted.iter().any(|ours| ours.start > stray.start && ours.record == stray.record);
            let voided = self.voided().any(|(_, range)| range.start <= stray.start && stray.end <= range.end + 1);
            if stray.start >= head && stray.record.seq > self.report.head.seq {
                self.warn(stray.line, stray.start, "belongs to a batch that is not whole: it was never acknowledged");
            } else if copied {
                self.warn(stray.line, stray.start, "is a first copy of a batch that was written again");
            } else if !voided {
                self.problem(stray.line, stray.start, "belongs to a batch that is not whole, and nothing voids it");
            }
        }
    }

    fn voided(&self) -> impl Iterator<Item = (&Ours, Range<u64>)> {
        let events = self.accepted.iter().filter(|ours| ours.record.event == VOIDED);
        events.flat_map(|ours| voided_ranges(&ours.record).into_iter().map(move |range| (ours, range)))
    }

    /// What an event voided is blank, unless a crash came between the event and the blanking.
    fn voids(&mut self, bytes: &[u8]) {
        let last = self.report.head.seq;
        let mut found = Vec::new();
        for (ours, range) in self.voided() {
            let legal = range.start >= ours.record.at && range.start <= range.end && range.end <= ours.start;
            let index = |offset| usize::try_from(offset).unwrap_or(usize::MAX);
            let content = bytes.get(index(range.start)..index(range.end)).filter(|_| legal);
            let blank = content.is_some_and(|content| content.iter().all(|byte| matches!(byte, b' ' | b'\n')));
            match (content, blank) {
                (None, _) => found.push((true, ours.line, ours.start, "voids bytes it has no say in")),
                (_, true) => {}
                (_, false) if ours.record.seq == last => {
                    found.push((false, ours.line, range.start, "is voided, and the next command will blank it"));
                }
                (_, false) => found.push((true, ours.line, range.start, "was voided and is not blank")),
            }
        }
        for (grave, line, byte, what) in found {
            if grave { self.problem(line, byte, what) } else { self.warn(line, byte, what) }
        }
    }

    /// Others' lines are theirs; what a person should know is which of them came past the lock, or cannot be read.
    fn unlocked(&mut self) {
        let covered = |range: &Range<u64>| {
            self.accepted.iter().find(|ours| ours.start >= range.end).is_some_and(|ours| ours.record.at <= range.start)
        };
        let mut found = Vec::new();
        for (line, range, readable) in &self.others {
            if !readable {
                found.push((*line, range.start, "cannot be read; it is another program's, or was glued to one"));
            } else if covered(range) {
                found.push((*line, range.start, "was written by another program without the lock"));
            }
        }
        for (line, byte, what) in found {
            self.warn(line, byte, what);
        }
    }

    fn heads(&mut self, kept: Option<&Head>, known: &[Head], length: u64) {
        for (head, whose) in
            kept.iter().map(|head| (*head, "this machine's")).chain(known.iter().map(|h| (h, "a checkpoint's")))
        {
            match self.steps.digest(head.at) {
                _ if head.at > length => self.problem(0, length, format!("was cut: {whose} head is at {}", head.at)),
                Some(digest) if *digest == head.digest => self.report.proven = self.report.proven.max(head.at),
                Some(_) => self.problem(0, 0, format!("has other first {} bytes than {whose} head says", head.at)),
                None => self.problem(0, head.at, format!("has no line end where {whose} head is")),
            }
        }
        if self.report.proven < self.report.head.at {
            let proven = self.report.proven;
            self.warn(0, proven, "is not proven from here on: no line of ours follows and no head is known");
        }
    }

    fn problem(&mut self, line: u64, byte: u64, what: impl Into<String>) {
        self.report.problems.push(Problem::of(FILE, line, byte, what));
    }

    fn warn(&mut self, line: u64, byte: u64, what: impl Into<String>) {
        self.report.warnings.push(Problem::of(FILE, line, byte, what));
    }
}
