//! The one writer of `traffic.jsonl`: a thread of its own, so that waiting for the disk never keeps the gate from
//! answering, and so that all who wait meanwhile share one fdatasync.
//!
//! A failed write leaves a tail that nobody was promised. It is overwritten with spaces before anything else is
//! written; until that has worked, nothing is recorded and so nothing passes. This also follows from how Linux
//! reports a failed sync: once, and then never again for the same pages.

use std::fs::File;
use std::io::BufReader;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustix::fs::{Mode, OFlags};
use serde_json::{Map, json};
use tokio::sync::oneshot;

use super::body::Payload;
use super::chain::Chain;
use super::continued::Newest;
use super::disk::Disk;
use super::line::compose;
use super::scan::{Torn, scan};
use super::{Bodies, BodyRef, Entry, Index, Kind};
use crate::gate::Error;
use crate::gate::durable;
use crate::run::id::{Digest, RunId};

/// How many entries share one sync at most.
const MOST_IN_A_COMMIT: usize = 256;
/// How long a gate waits for the one before it to let go of the file.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// How long a void line is at most: readers bound their lines.
const VOID_LINE: usize = 64 * 1024;

/// A failure as each of those who share a commit gets it.
type Outcome = Result<u64, String>;

struct Job {
    entry: Entry,
    done: oneshot::Sender<Outcome>,
}

/// How the records are opened.
pub(crate) struct RecorderOptions<'a> {
    /// The gate's folder.
    pub(crate) gate: &'a Path,
    pub(crate) run: &'a RunId,
    /// Puts a faulty disk between the writer and the file, in tests.
    pub(crate) disk: fn(File) -> Box<dyn Disk>,
}

/// The way into the records.
#[derive(Clone)]
pub(crate) struct Recorder {
    jobs: mpsc::Sender<Job>,
    index: Arc<Mutex<Index>>,
    bodies: Bodies,
    path: PathBuf,
}

impl Recorder {
    /// Opens the records: takes the lock, checks the chain, voids a torn tail, starts the writer.
    ///
    /// # Errors
    /// When another gate holds the lock, the chain is broken, or a file cannot be read or written.
    pub(crate) fn open(options: &RecorderOptions<'_>) -> Result<Self, Error> {
        let bodies = Bodies::of(options.gate);
        bodies.prepare().map_err(Error::io("prepare", options.gate.join("bodies")))?;
        let path = options.gate.join("traffic.jsonl");
        let file = open_locked(&path)?;
        let pack = bodies.pack().map_err(Error::io("open", options.gate.join("bodies/pack")))?;
        bodies.sync().map_err(Error::io("sync", options.gate.join("bodies")))?;
        durable::sync_folder(options.gate).map_err(Error::io("sync", options.gate))?;
        let (mut chain, mut index) = (Chain::start(options.run), Index::default());
        let reading = file.try_clone().map_err(Error::io("read", &path))?;
        let torn = scan(&path, BufReader::new(reading), &mut chain, |record| index.learn(&record))?;
        index.give_up();
        let digest = torn.as_ref().map(|torn| digest_of(&file, torn)).transpose().map_err(Error::io("read", &path))?;
        let mut log = Log {
            disk: (options.disk)(file),
            chain,
            dirty: torn.is_some(),
            voided: None,
            pack_at: pack.metadata().map_err(Error::io("read", &path))?.len(),
            pack,
            bodies: bodies.clone(),
            newest: Newest::default(),
            unsynced: false,
            index: Arc::new(Mutex::new(index)),
        };
        if let Some((torn, digest)) = torn.zip(digest) {
            log.heal().map_err(Error::io("write", &path))?;
            log.voided = Some((torn.from, torn.bytes, Some(digest)));
            log.commit(Vec::new()).map_err(|e| Error::Record(e.to_string()))?;
        }
        let index = log.index.clone();
        let (jobs, queue) = mpsc::channel();
        std::thread::Builder::new()
            .name("records".to_owned())
            .spawn(move || log.run(&queue))
            .map_err(Error::io("write", &path))?;
        Ok(Self { jobs, index, bodies, path })
    }

    /// Records `entry`. Returns its sequence number once it is durable.
    ///
    /// # Errors
    /// Why it is not on record.
    pub(crate) async fn record(&self, entry: Entry) -> Outcome {
        let (done, outcome) = oneshot::channel();
        self.jobs.send(Job { entry, done }).map_err(|_| "the writer has ended".to_owned())?;
        outcome.await.map_err(|_| "the writer has ended".to_owned())?
    }

    pub(crate) fn index<T>(&self, look: impl FnOnce(&Index) -> T) -> T {
        look(&self.index.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn bodies(&self) -> &Bodies {
        &self.bodies
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

fn open_locked(path: &Path) -> Result<File, Error> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::from_raw_mode(0o600))
        .map_err(|e| Error::io("open", path)(e.into()))
        .map(File::from)?;
    if !file.metadata().map_err(Error::io("read", path))?.is_file() {
        return Err(Error::Format { path: path.to_owned(), reason: "not a regular file".to_owned() });
    }
    // The gate before may be dying with its container.
    let until = Instant::now() + LOCK_WAIT;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(_) if Instant::now() < until => std::thread::sleep(Duration::from_millis(20)),
            Err(_) => return Err(Error::Locked { path: path.to_owned() }),
        }
    }
}

/// The digest of a torn tail, for the record that voids it; what is longer than any line is not read.
fn digest_of(file: &File, torn: &Torn) -> std::io::Result<Digest> {
    use std::os::unix::fs::FileExt as _;
    let size = usize::try_from(torn.bytes).unwrap_or(usize::MAX).min(super::MOST_LINE);
    let mut bytes = vec![0; size];
    file.read_exact_at(&mut bytes, torn.from)?;
    Ok(Digest::of(&bytes))
}

/// The file as the writer's thread knows it.
struct Log {
    disk: Box<dyn Disk>,
    chain: Chain,
    /// Bytes may stand behind the chain's end that nobody was promised.
    dirty: bool,
    /// A void range that is not on record yet: offset, size, digest where it was read.
    voided: Option<(u64, u64, Option<Digest>)>,
    bodies: Bodies,
    /// Small bodies, and where the next one goes: behind all that a record names.
    pack: File,
    pack_at: u64,
    /// What the next request of a node may go on from: only what is on record.
    newest: Newest,
    /// Names in the bodies folder may not be durable yet.
    unsynced: bool,
    index: Arc<Mutex<Index>>,
}

impl Log {
    fn run(mut self, queue: &mpsc::Receiver<Job>) {
        while let Ok(first) = queue.recv() {
            let mut jobs = vec![first];
            while jobs.len() < MOST_IN_A_COMMIT
                && let Ok(job) = queue.try_recv()
            {
                jobs.push(job);
            }
            // Each job was told of the failure.
            let _ = self.commit(jobs);
        }
    }

    /// Writes `jobs` with one sync and tells each how it went.
    fn commit(&mut self, jobs: Vec<Job>) -> std::io::Result<()> {
        let (entries, waiting): (Vec<_>, Vec<_>) = jobs.into_iter().map(|job| (job.entry, job.done)).unzip();
        match self.write(entries) {
            Ok(outcomes) => {
                for (done, outcome) in waiting.into_iter().zip(outcomes) {
                    let _ = done.send(outcome);
                }
                Ok(())
            }
            Err(e) => {
                for done in waiting {
                    let _ = done.send(Err(e.to_string()));
                }
                // What nobody was promised should not stand there for long; if this fails, too, it is tried again
                // before the next commit.
                let _ = self.heal();
                Err(e)
            }
        }
    }

    fn write(&mut self, entries: Vec<Entry>) -> std::io::Result<Vec<Outcome>> {
        self.heal()?;
        let (mut named, mut pack) = (false, Vec::new());
        let mut bodies: Vec<std::io::Result<Option<BodyRef>>> = Vec::with_capacity(entries.len());
        let mut entries = entries;
        let mut requests = Vec::new();
        for entry in &mut entries {
            // What a request repeats of the one before it is not written again.
            let request = request_of(entry);
            if let Some((node, bytes)) = &request
                && let Some(continuation) = self.newest.goes_on(node, bytes)
            {
                let known = Bodies::store_on(bytes, &continuation, &mut pack, self.pack_at);
                bodies.push(Ok(Some(known.clone())));
                requests.extend(request.map(|(node, bytes)| (node, known, bytes, Some(continuation))));
                continue;
            }
            let stored = entry.body.as_mut().map(|payload| self.bodies.store(payload, &mut pack, self.pack_at));
            let stored = stored.transpose().map(|stored| {
                stored.map(|(known, new)| {
                    named |= new;
                    known
                })
            });
            if let (Ok(Some(known)), Some((node, bytes))) = (&stored, request) {
                requests.push((node, known.clone(), bytes, None));
            }
            bodies.push(stored);
        }
        if !pack.is_empty() {
            self.pack.write_all_at(&pack, self.pack_at)?;
            self.pack.sync_data()?;
        }
        self.unsynced |= named;
        if self.unsynced {
            self.bodies.sync()?;
            self.unsynced = false;
        }
        let time = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
        let (mut chain, mut text, mut records) = (self.chain.clone(), Vec::new(), Vec::new());
        let mut outcomes = Vec::with_capacity(entries.len());
        let mut add = |entry: &Entry, body: Option<&BodyRef>| -> Outcome {
            let (line, record) = compose(&chain, entry, body, &time).map_err(|e| e.to_string())?;
            chain.pass(&line, true);
            text.extend_from_slice(&line);
            records.push(record);
            Ok(chain.seq)
        };
        let voided = self.voided.as_ref().map(void_entry);
        if let Some(entry) = &voided {
            add(entry, None).map_err(std::io::Error::other)?;
        }
        for (entry, body) in entries.iter().zip(bodies) {
            outcomes.push(match body {
                Ok(body) => add(entry, body.as_ref()),
                Err(e) => Err(e.to_string()),
            });
        }
        if text.is_empty() {
            return Ok(outcomes);
        }
        self.dirty = true;
        self.disk.write_at(&text, self.chain.at)?;
        self.disk.sync()?;
        self.dirty = false;
        self.voided = None;
        self.chain = chain;
        self.pack_at += pack.len() as u64;
        for (node, known, bytes, through) in requests {
            self.newest.hold(node, known, bytes, through.as_ref());
        }
        let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        records.iter().for_each(|record| index.learn(record));
        Ok(outcomes)
    }

    /// Makes void lines of whatever stands behind the chain's end. Needs no room on the disk.
    fn heal(&mut self) -> std::io::Result<()> {
        if !self.dirty {
            return Ok(());
        }
        let bytes = self.disk.len()?.saturating_sub(self.chain.at);
        let mut chain = self.chain.clone();
        while chain.at < self.chain.at + bytes {
            let left = usize::try_from(self.chain.at + bytes - chain.at).unwrap_or(usize::MAX);
            let mut blank = vec![b' '; left.min(VOID_LINE)];
            blank[left.min(VOID_LINE) - 1] = b'\n';
            self.disk.write_at(&blank, chain.at)?;
            chain.pass(&blank, false);
        }
        if bytes > 0 {
            self.disk.sync()?;
            self.voided = Some((self.chain.at, bytes, None));
            self.chain = chain;
        }
        self.dirty = false;
        Ok(())
    }
}

/// The node and the whole body of a request to a model.
fn request_of(entry: &Entry) -> Option<(String, Bytes)> {
    let (node, _) = entry.of.as_ref().filter(|_| entry.kind == Kind::LlmRequest)?;
    match entry.body.as_ref()? {
        Payload::Memory { bytes, truncated: false } => Some((node.clone(), bytes.clone())),
        _ => None,
    }
}

fn void_entry((from, bytes, digest): &(u64, u64, Option<Digest>)) -> Entry {
    let mut fields = Map::new();
    fields.insert("from".into(), json!(from));
    fields.insert("bytes".into(), json!(bytes));
    if let Some(digest) = digest {
        fields.insert("sha256".into(), json!(digest));
    }
    Entry { kind: Kind::Voided, of: None, fields, body: None }
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
