//! What a journal finds behind the bytes it knows: other programs' lines, and what a crash left. The reasoning stands
//! in the module above.

use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::chain::Chain;
use super::heads::Projections;
use super::line::Line;
use super::scan::{Head, Scan, VOIDED, Walk, voided_ranges};
use super::{FORMAT, Journal, heads, read_from};
use crate::registry::error::{Error, Result};
use crate::registry::{disk, project};
use crate::run::id::Digest;
use crate::run::record::{Draft, Record};
use crate::run::time::parse_time;

/// How long a half line may stay one before it counts as torn: another program may be in the middle of writing it.
const GRACE: Duration = Duration::from_millis(2);
const GRACES: u32 = 10;
/// A crash leaves at most one thing to blank and one to void; more rounds mean that somebody else is writing.
const ROUNDS: u32 = 6;

/// A torn range, as `events.torn` and the voiding event name it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    from: u64,
    to: u64,
    digest: Digest,
}

impl Journal {
    /// Takes in what stands behind `end` before a commit; whether the commit has to start with a newline.
    pub(super) fn catch_up(&mut self, actor: &str, now: DateTime<Utc>) -> Result<bool> {
        for _ in 0..ROUNDS {
            let length = self.length()?;
            if length == self.end {
                return Ok(false);
            }
            if length < self.end {
                return Err(self.integrity(format!("it has {length} bytes, and {} were on disk", self.end)));
            }
            let (bytes, walk) = self.read_settled(self.end, |journal, bytes| {
                Walk::from(&journal.run, journal.chain, journal.end, journal.seq, bytes)
            })?;
            if !walk.scan.records.is_empty() {
                return Err(self.integrity("another process wrote to it without the lock"));
            }
            if walk.scan.torn.is_empty() {
                self.cover(&walk)?;
                return Ok(!bytes.ends_with(b"\n"));
            }
            self.recover(actor, now)?;
        }
        Err(self.busy())
    }

    /// Reads from `from` and walks, again while the last line is a half one that may still be growing.
    fn read_settled(&self, from: u64, walk: impl Fn(&Self, &[u8]) -> Walk) -> Result<(Vec<u8>, Walk)> {
        let mut graces = GRACES;
        loop {
            let bytes = read_from(&self.file, &self.path, from)?;
            let found = walk(self, &bytes);
            if bytes.is_empty() || bytes.ends_with(b"\n") || graces == 0 {
                return Ok((bytes, found));
            }
            graces -= 1;
            thread::sleep(GRACE);
        }
    }

    /// Syncs the whole lines that another program left, so that ours may cover them.
    fn cover(&mut self, walk: &Walk) -> Result<()> {
        let Some((end, chain)) = walk.boundaries.last().copied().filter(|(end, _)| *end > self.end) else {
            return Ok(());
        };
        self.unsynced = true;
        disk::sync(&self.file, &self.path).map_err(Error::io("sync", &self.path))?;
        self.unsynced = false;
        (self.end, self.chain) = (end, chain);
        Ok(())
    }

    /// Takes the journal as it was kept, if it is that to the byte and this build's rules made what was kept with it.
    /// Nothing can stand behind a head that is the file's end: no lines of others, nothing torn.
    pub(super) fn stand(&mut self) -> Result<Option<Projections>> {
        let Some(kept) = self.heads.as_deref().map(heads::read).transpose()?.flatten() else { return Ok(None) };
        let Some(projections) = kept.ours() else { return Ok(None) };
        if self.length()? != kept.at || kept.seq == 0 {
            return Ok(None);
        }
        let bytes = read_from(&self.file, &self.path, 0)?;
        let chain = Chain::journal(&self.run).lines(&bytes);
        if bytes.len() as u64 != kept.at || chain.digest() != kept.digest {
            return Ok(None);
        }
        // Our last batch ends where the head is, and no line of ours is older than one before it.
        let last = bytes.strip_suffix(b"\n").and_then(|whole| whole.rsplit(|byte| *byte == b'\n').next());
        let Some(Line::Ours(record)) = last.map(Line::read) else { return Ok(None) };
        if record.seq != kept.seq {
            return Ok(None);
        }
        (self.end, self.chain, self.seq) = (kept.at, chain, kept.seq);
        self.time = parse_time(&record.timestamp);
        self.unsynced = false;
        Ok(Some(projections.clone()))
    }

    /// Reads the whole journal, refuses one that is not what was written, syncs what may not be on disk and voids what
    /// is torn. After a failed commit this is the way on.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn recover(&mut self, actor: &str, now: DateTime<Utc>) -> Result<Scan> {
        self.unsynced = true;
        let kept = self.heads.as_deref().map(heads::read).transpose()?.flatten().map(|kept| kept.head());
        let (mut synced, from) = kept.as_ref().map_or((0, 0), |head| (head.seq, head.at));
        // Blanking changes what the walk sees, and voiding appends: each is followed by another look.
        for _ in 0..ROUNDS {
            let (mut bytes, walk) = self.read_settled(0, |journal, bytes| Walk::new(&journal.run, bytes))?;
            if walk.scan.head.seq > synced && walk.scan.grave().is_none() && from <= walk.scan.head.at {
                let changed = self.resync(&mut bytes, &walk.scan, synced, from)?;
                synced = walk.scan.head.seq;
                if changed {
                    continue;
                }
            }
            self.accept(&walk, kept.as_ref())?;
            if walk.unfinished {
                // Any newline behind it makes the batch whole, that of the event which would void it too. The next look
                // syncs it, like any batch behind the last head.
                project::write_all(&self.file, &self.path, b"\n").map_err(Error::io("append to", &self.path))?;
                continue;
            }
            let torn = merged(&walk.scan.torn, self.saved(&bytes, walk.scan.head.at)?);
            if torn.is_empty() {
                self.unsynced = false;
                if kept.as_ref().map_or(0, |head| head.seq) != self.seq {
                    self.keep(None);
                }
                return Ok(walk.scan);
            }
            self.void(&bytes, &torn, actor, now)?;
        }
        Err(self.busy())
    }

    /// Puts on disk what may not be there, records behind `synced` and offset `from`, and blanks what they void. Whether
    /// that changed bytes, so that they have to be read again.
    fn resync(&self, bytes: &mut [u8], scan: &Scan, synced: u64, from: u64) -> Result<bool> {
        let mut changed = false;
        let fresh = scan.records.iter().zip(&scan.places).filter(|(record, _)| record.seq > synced);
        for (record, place) in fresh.filter(|(record, _)| record.event == VOIDED) {
            for range in voided_ranges(record) {
                // A voided range lies between the event's `at` and its line, where no acknowledged byte can be.
                if range.start < record.at || range.start > range.end || range.end > place.bytes.start {
                    return Err(self.integrity(format!("line {} voids bytes it has no say in", place.line)));
                }
                changed |= blank(slice(bytes, &range));
            }
        }
        let file = disk::open_in_place(&self.path).map_err(Error::io("open", &self.path))?;
        let tail = slice(bytes, &(from..scan.head.at));
        disk::overwrite(&file, &self.path, from, tail).map_err(Error::io("rewrite the tail of", &self.path))?;
        disk::sync(&file, &self.path).map_err(Error::io("sync", &self.path))?;
        Ok(changed)
    }

    /// Takes the walked journal as ours, if it is one this version may go on from.
    fn accept(&mut self, walk: &Walk, kept: Option<&Head>) -> Result<()> {
        let scan = &walk.scan;
        let newer = |what: String| Error::Newer { run: self.run.clone(), what };
        if let Some(format) = format_of(scan).filter(|format| *format > FORMAT) {
            return Err(newer(format!("format {format}")));
        }
        if let Some(finding) = scan.grave() {
            return Err(self.integrity(format!("line {} {}", finding.place.line, finding.what)));
        }
        let known = |record: &&Record| record.event == VOIDED || (self.known)(&record.event);
        if let Some(record) = scan.records.iter().find(|record| !known(record)) {
            return Err(newer(format!("event {:?}", record.event)));
        }
        let stands = |head: &Head| walk.chain_at(head.at).is_some_and(|chain| chain.digest() == head.digest);
        if let Some(head) = kept.filter(|head| !stands(head)) {
            let what = format!("its first {} bytes are not those that were on this machine", head.at);
            return Err(self.integrity(what));
        }
        self.end = scan.head.at;
        self.chain = walk.chain;
        self.seq = scan.head.seq;
        self.time = scan.records.iter().filter_map(|record| parse_time(&record.timestamp)).max();
        Ok(())
    }

    /// Voids torn bytes: saves them, then says so, each on disk before the next. Blanking them is up to [`Self::resync`].
    fn void(&mut self, bytes: &[u8], torn: &[Range<u64>], actor: &str, now: DateTime<Utc>) -> Result<()> {
        // A crash may have left a half line here as well.
        let mut saved = vec![b'\n'];
        let mut ranges = Vec::new();
        for range in torn {
            let content = &bytes[span(range)];
            let entry = Saved { from: range.start, to: range.end, digest: Digest::of(content) };
            let entry = serde_json::to_value(&entry).map_err(|source| Error::Encode { what: "a range", source })?;
            saved.extend_from_slice(entry.to_string().as_bytes());
            saved.push(b'\n');
            saved.extend_from_slice(content);
            saved.push(b'\n');
            ranges.push(entry);
        }
        self.save_torn(&saved)?;
        let count: u64 = torn.iter().map(|range| range.end - range.start).sum();
        let draft = Draft {
            event: VOIDED.to_owned(),
            node_id: None,
            message: Some(format!("Voided {count} bytes of a batch that was never acknowledged.")),
            payload: Map::new(),
            data: Map::from_iter([("ranges".to_owned(), Value::Array(ranges))]),
        };
        let records = self.place(vec![draft], actor, now)?;
        self.append(&records, !bytes.ends_with(b"\n"))?;
        // The next look finds the event behind the last head, and blanks what it names: the way a crash here goes, too.
        self.unsynced = true;
        Ok(())
    }

    /// The ranges behind `from` that were saved as torn and stand there still. A crash may have come between saving them
    /// and voiding them, after the newline before the voiding event: a half line then looks like anybody's whole one.
    fn saved(&self, bytes: &[u8], from: u64) -> Result<Vec<Range<u64>>> {
        if bytes.len() as u64 == from {
            return Ok(Vec::new());
        }
        let path = self.torn_path();
        let saved = match disk::open_read(&path) {
            Ok(file) => read_from(&file, &path, 0)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::io("open", &path)(error)),
        };
        let entries = saved.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Saved>(line).ok());
        let stands = |entry: &Saved| {
            let content =
                (entry.from >= from && entry.from <= entry.to).then(|| bytes.get(span(&(entry.from..entry.to))));
            content.flatten().is_some_and(|content| Digest::of(content) == entry.digest)
        };
        Ok(entries.filter(stands).map(|entry| entry.from..entry.to).collect())
    }

    fn torn_path(&self) -> PathBuf {
        self.path.with_file_name("events.torn")
    }

    /// Appends to `events.torn`: per range a line of JSON that names it, then its bytes and a newline.
    fn save_torn(&self, bytes: &[u8]) -> Result<()> {
        let path = self.torn_path();
        let (file, new) = match disk::open_log(&path) {
            Ok(file) => (file, false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                (disk::create_log(&path).map_err(Error::io("create", &path))?, true)
            }
            Err(error) => return Err(Error::io("open", &path)(error)),
        };
        project::write_all(&file, &path, bytes).map_err(Error::io("append to", &path))?;
        disk::sync(&file, &path).map_err(Error::io("sync", &path))?;
        if new {
            let folder = project::parent(&path)?;
            disk::sync_dir(folder).map_err(Error::io("sync", folder))?;
        }
        Ok(())
    }

    fn busy(&self) -> Error {
        self.integrity("another process keeps writing to it without the lock")
    }

    fn length(&self) -> Result<u64> {
        Ok(self.file.metadata().map_err(Error::io("read", &self.path))?.len())
    }
}

/// The format that `run.created` names; `None` before there is one, or in a run that another program made.
fn format_of(scan: &Scan) -> Option<u64> {
    scan.records.iter().find(|record| record.event == "run.created")?.data.get("format")?.as_u64()
}

/// Spaces for everything but newlines: lines stay where they are, and readers skip them. Whether that changed anything.
fn blank(bytes: &mut [u8]) -> bool {
    let mut changed = false;
    for byte in bytes.iter_mut().filter(|byte| !matches!(byte, b'\n' | b' ')) {
        *byte = b' ';
        changed = true;
    }
    changed
}

/// The union, in order; ranges with only a newline between them become one.
fn merged(torn: &[Range<u64>], saved: Vec<Range<u64>>) -> Vec<Range<u64>> {
    let mut all: Vec<Range<u64>> = torn.iter().cloned().chain(saved).collect();
    all.sort_by_key(|range| range.start);
    let mut union: Vec<Range<u64>> = Vec::new();
    for range in all {
        match union.last_mut() {
            Some(last) if range.start <= last.end + 1 => last.end = last.end.max(range.end),
            _ => union.push(range),
        }
    }
    union
}

/// The same range for a slice. Every range here lies within bytes that are in memory.
fn span(range: &Range<u64>) -> Range<usize> {
    let index = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
    index(range.start)..index(range.end)
}

fn slice<'a>(bytes: &'a mut [u8], range: &Range<u64>) -> &'a mut [u8] {
    bytes.get_mut(span(range)).unwrap_or_default()
}
