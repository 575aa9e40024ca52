//! `events.jsonl`: the one truth of a run. Appends whole batches, chains them, and never truncates or replaces a byte
//! that was acknowledged. What events mean is none of its business.
//!
//! # Why a commit is safe
//!
//! `end` is an offset behind a newline up to which the file is known to be on disk, and `chain` its digest.
//!
//! 1. Lines of other programs behind `end` are synced *before* we cover them. Otherwise a power cut during our own
//!    write could keep our line and lose theirs, and the journal would contradict itself. In a run that only we write
//!    there are none, and a commit costs one `fdatasync`.
//! 2. All lines of a batch carry the same `at` = `end` and the same `prev`: nothing in a batch depends on where exactly
//!    the append lands, so another program may slip in between. It is covered by the batch after.
//! 3. One append, then our bytes are read back where the kernel says it put them. If they do not stand behind a
//!    newline, another program's half line is glued to them: the same bytes are appended once more, behind a newline of
//!    our own. The first copy lacks its first line, and is void.
//! 4. `fdatasync`. Only now is it acknowledged, and only now does `end` move.
//!
//! # Why recovery converges
//!
//! Behind our last whole batch a crash may leave: a whole batch that was never acknowledged, a torn one (cut short, or
//! with holes of NULs where pages were lost), and other programs' lines among them.
//!
//! - A **whole** batch counts: readers have seen it. Whether it is on disk is unknown (an `fdatasync` may have failed
//!   in a process that is gone, and the kernel then calls the pages clean), so its bytes are written again in place and
//!   synced before anything is built on it. The head file says up to where that is unnecessary.
//! - One that lacks **only its last newline** is given that, and is whole: whatever comes behind it would have to start with
//!   a newline, and so complete it anyway.
//! - A **torn** one is void. (a) Its bytes are saved to `events.torn` and synced. (b) A `journal.voided` event that names
//!   its ranges and their digests is appended and synced; its `at` lies *before* the torn bytes, so its `prev` is right
//!   whatever they become. (c) The torn bytes are overwritten by spaces, newlines kept, and synced. (d) Only then is
//!   anything appended that covers them. A crash in (a) or (b) leaves a longer torn tail, which is voided as a whole (what
//!   `events.torn` names counts as torn, even if (b) got as far as its leading newline); a
//!   crash in (c) leaves a `journal.voided` behind the recorded head, whose ranges are blanked again (blanking twice
//!   changes nothing); a crash in (d) is an ordinary torn batch.
//!
//! A reader takes the file's length first and reads no further, so that a line which covers blanked bytes is only seen
//! by a reader who sees them blank.

pub mod chain;
pub mod heads;
pub mod line;
pub mod scan;
mod tail;

#[cfg(test)]
mod concurrency;
#[cfg(test)]
mod power;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, Seek};
use std::path::{Path, PathBuf};

use chrono::{DateTime, SubsecRound, Utc};

use self::chain::Chain;
use self::heads::{Kept, Projections};
use self::scan::{Head, Scan};
use super::disk;
use super::error::{Error, Result};
use super::lock::{AgentLock, RunLock};
use crate::run::id::RunId;
use crate::run::record::{Draft, Record};
use crate::run::time::{isoformat, parse_time};

/// Appends whole lines of another program's form, without any of our keys, to the journal of the locked run. The next commit
/// covers them, and syncs them before it does.
///
/// # Errors
/// [`Error::RunNotFound`], and those of the file system.
pub fn append_foreign(lock: &RunLock, lines: &[u8]) -> Result<()> {
    let path = lock.journal_path();
    match disk::append_line_unsynced(&path, lines) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::RunNotFound { run: lock.run().clone() }),
        other => other.map(drop).map_err(Error::io("append to", &path)),
    }
}

/// The format this version writes: `data.format` of `run.created`.
pub const FORMAT: u64 = 1;

/// The largest journal that is read, in bytes.
pub const LARGEST: u64 = 1 << 30;

/// Whether an event's name is one this version understands.
pub type KnownEvent = fn(&str) -> bool;

/// The right to write a journal: of a run, or of an agent, whose name then stands in the run's place.
#[derive(Debug)]
pub enum Held {
    Run(RunLock),
    Agent(AgentLock),
}

impl From<RunLock> for Held {
    fn from(lock: RunLock) -> Self {
        Self::Run(lock)
    }
}

impl From<AgentLock> for Held {
    fn from(lock: AgentLock) -> Self {
        Self::Agent(lock)
    }
}

impl Held {
    fn run(&self) -> &RunId {
        match self {
            Self::Run(lock) => lock.run(),
            Self::Agent(lock) => lock.journal_name(),
        }
    }

    fn journal_path(&self) -> PathBuf {
        match self {
            Self::Run(lock) => lock.journal_path(),
            Self::Agent(lock) => lock.layout().journal(),
        }
    }

    fn head_path(&self) -> PathBuf {
        match self {
            Self::Run(lock) => lock.head_path(),
            Self::Agent(lock) => lock.head_path(),
        }
    }
}

/// What [`Journal::resume`] found.
#[derive(Debug)]
pub enum Found {
    /// The file is what it was when the last head was kept, with these projections.
    AsKept(Projections),
    Read(Scan),
}

/// A journal open for writing. It holds the run's lock, so dropping it lets the next one in.
#[derive(Debug)]
pub struct Journal {
    run: RunId,
    path: PathBuf,
    heads: Option<PathBuf>,
    file: File,
    known: KnownEvent,
    end: u64,
    chain: Chain,
    seq: u64,
    /// The time of our last line.
    time: Option<DateTime<Utc>>,
    /// A write or a sync failed: nothing is known about what stands behind `end`.
    unsynced: bool,
    /// Something was committed, and the head is still to be kept.
    moved: bool,
    _lock: Option<Held>,
}

impl Journal {
    /// Reads a journal as it stands, without a lock and without writing.
    ///
    /// # Errors
    /// When there is none, when it cannot be read, or when it is larger than [`LARGEST`]. What is wrong inside it is
    /// not an error but stands in [`Scan::findings`].
    pub fn read(path: &Path, run: &RunId) -> Result<Scan> {
        let file = disk::open_read(path).map_err(not_found(path, run))?;
        let bytes = read_from(&file, path, 0)?;
        Ok(Scan::of(run, &bytes))
    }

    /// Opens the journal of the locked run for writing, and mends what a crash left (module docs). `actor` and `now`
    /// stand in the event that says so. The scan is of the mended file.
    ///
    /// # Errors
    /// [`Error::Integrity`] if the file is not what was written, also compared with this machine's last head;
    /// [`Error::Newer`] if a newer version wrote it or it holds an event that is not `known`; those of the file system.
    pub fn open(lock: impl Into<Held>, known: KnownEvent, actor: &str, now: DateTime<Utc>) -> Result<(Self, Scan)> {
        let lock = lock.into();
        let (run, path, heads) = (lock.run().clone(), lock.journal_path(), lock.head_path());
        let file = disk::open_log(&path).map_err(not_found(&path, &run))?;
        let mut journal = Self::new(run, path, Some(heads), file, known, Some(lock));
        let scan = journal.recover(actor, now)?;
        Ok((journal, scan))
    }

    /// [`open`](Self::open) for who can do without the lines: where the file is, to the byte, what it was when the last
    /// head was kept, nothing of it is parsed, and what was kept takes the scan's place. A caller whom that does not
    /// suffice goes on with [`recover`](Self::recover).
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn resume(lock: impl Into<Held>, known: KnownEvent, actor: &str, now: DateTime<Utc>) -> Result<(Self, Found)> {
        let lock = lock.into();
        let (run, path, heads) = (lock.run().clone(), lock.journal_path(), lock.head_path());
        let file = disk::open_log(&path).map_err(not_found(&path, &run))?;
        let mut journal = Self::new(run, path, Some(heads), file, known, Some(lock));
        let found = match journal.stand()? {
            Some(projections) => Found::AsKept(projections),
            None => Found::Read(journal.recover(actor, now)?),
        };
        Ok((journal, found))
    }

    /// A new journal in a folder that nobody else sees yet.
    pub(crate) fn create(folder: &Path, run: &RunId) -> Result<Self> {
        let path = folder.join("events.jsonl");
        let file = disk::create_log(&path).map_err(Error::io("create", &path))?;
        Ok(Self::new(run.clone(), path, None, file, |_| true, None))
    }

    fn new(
        run: RunId,
        path: PathBuf,
        heads: Option<PathBuf>,
        file: File,
        known: KnownEvent,
        lock: Option<Held>,
    ) -> Self {
        let chain = Chain::journal(&run);
        Self {
            run,
            path,
            heads,
            file,
            known,
            end: 0,
            chain,
            seq: 0,
            time: None,
            unsynced: false,
            moved: false,
            _lock: lock,
        }
    }

    /// Where the journal stands: what a projection records, and what a checkpoint signs.
    #[must_use]
    pub fn head(&self) -> Head {
        Head { at: self.end, digest: self.chain.digest(), seq: self.seq }
    }

    /// Appends `drafts` as one batch; on disk when it returns. All of it happened, or none of it.
    ///
    /// # Errors
    /// Those of the file system, after which only [`recover`](Self::recover) or opening the run again goes on
    /// ([`Error::Unsynced`]); [`Error::Integrity`] if somebody changed the file under our lock.
    pub fn commit(&mut self, drafts: Vec<Draft>, actor: &str, now: DateTime<Utc>) -> Result<Vec<Record>> {
        if self.unsynced {
            return Err(Error::Unsynced { run: self.run.clone() });
        }
        if drafts.is_empty() {
            return Ok(Vec::new());
        }
        let lead = self.catch_up(actor, now)?;
        let records = self.place(drafts, actor, now)?;
        self.append(&records, lead)?;
        self.moved = true;
        Ok(records)
    }

    /// Keeps the head for the next process, with the projections that were written for it. A journal that is dropped
    /// without keeps the head alone. It is no loss if that fails: the next one then checks from an older head and syncs
    /// once more.
    pub fn keep(&mut self, projections: Option<Projections>) {
        if let Some(path) = &self.heads {
            let _ = heads::write(path, &Kept::of(self.head(), projections));
        }
        self.moved = false;
    }

    /// Gives each draft its place, time and link.
    fn place(&self, drafts: Vec<Draft>, actor: &str, now: DateTime<Utc>) -> Result<Vec<Record>> {
        let now = now.trunc_subsecs(6);
        // Only our own lines hold time back: another program's clock may be wrong by years.
        let timestamp = isoformat(self.time.map_or(now, |time| time.max(now)));
        let count = u32::try_from(drafts.len()).map_err(|_| self.integrity("a batch has too many events"))?;
        let place = |(index, draft): (u32, Draft)| Record {
            event: draft.event,
            timestamp: timestamp.clone(),
            run_id: self.run.to_string(),
            payload: draft.payload,
            node_id: draft.node_id,
            // OpenTask leaves an empty message out.
            message: draft.message.filter(|message| !message.is_empty()),
            seq: self.seq + u64::from(index),
            batch: (index, count),
            actor: actor.to_owned(),
            data: draft.data,
            at: self.end,
            prev: self.chain.digest().into(),
        };
        Ok((1..=count).zip(drafts).map(place).collect())
    }

    /// Appends one batch behind `end` and syncs it; `lead` puts a newline before it.
    fn append(&mut self, records: &[Record], lead: bool) -> Result<()> {
        let mut bytes = vec![b'\n'];
        for record in records {
            let text = line::encode(record).map_err(|source| Error::Encode { what: "an event", source })?;
            bytes.extend_from_slice(text.as_bytes());
            bytes.push(b'\n');
        }
        self.unsynced = true;
        let mut landed = self.write(if lead { &bytes } else { &bytes[1..] })?;
        if landed.is_none() {
            landed = self.write(&bytes)?;
        }
        let Some((position, tail)) = landed else {
            return Err(self.integrity("what was appended does not stand where it was put"));
        };
        disk::sync(&self.file, &self.path).map_err(Error::io("sync", &self.path))?;
        self.unsynced = false;
        self.chain = self.chain.lines(&tail);
        self.end = position;
        self.seq = records.last().map_or(self.seq, |record| record.seq);
        self.time = records.last().and_then(|record| parse_time(&record.timestamp)).or(self.time);
        Ok(())
    }

    /// Writes `bytes` at the end and reads them back: the end of them and everything from our `end` to there, or `None` if
    /// they do not stand there whole and behind a newline.
    fn write(&self, bytes: &[u8]) -> Result<Option<(u64, Vec<u8>)>> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match disk::append(&self.file, &self.path, rest) {
                Ok(0) => return Err(Error::io("append to", &self.path)(io::ErrorKind::WriteZero.into())),
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io("append to", &self.path)(error)),
            }
        }
        // An append leaves the descriptor's position behind what it wrote, wherever the end of the file was by then.
        let position = (&self.file).stream_position().map_err(Error::io("append to", &self.path))?;
        let tail = disk::read_range(&self.file, self.end, position).map_err(Error::io("read back", &self.path))?;
        let Some(before) = tail.strip_suffix(bytes) else { return Ok(None) };
        let stands = bytes.starts_with(b"\n") || before.is_empty() || before.ends_with(b"\n");
        Ok((stands && self.end + tail.len() as u64 == position).then_some((position, tail)))
    }

    fn integrity(&self, what: impl Into<String>) -> Error {
        Error::Integrity { run: self.run.clone(), what: what.into() }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if self.moved && !self.unsynced {
            self.keep(None);
        }
    }
}

fn not_found(path: &Path, run: &RunId) -> impl FnOnce(io::Error) -> Error {
    move |error| match error.kind() {
        io::ErrorKind::NotFound => Error::RunNotFound { run: run.clone() },
        _ => Error::io("open", path)(error),
    }
}

/// Everything from `from` to the length the file has now.
fn read_from(file: &File, path: &Path, from: u64) -> Result<Vec<u8>> {
    let length = file.metadata().map_err(Error::io("read", path))?.len();
    if length > LARGEST {
        return Err(Error::TooLarge { path: path.to_owned(), bytes: length, limit: LARGEST });
    }
    disk::read_range(file, from, length).map_err(Error::io("read", path))
}
