//! The index of runs: what a list shows of each, so that listing ten thousand opens none of them. Machine-local, ignored by
//! git, and never believed without a look: an entry counts only while the run's journal, `state.json` and `control.jsonl`
//! are, by length, time and inode, the files that it was made from. One that is missing, stale or garbage costs the time of reading the run.
//!
//! A log of lines, the last of a run counts. Whoever commits adds one, without a lock and without a sync, after the commit was
//! acknowledged; once half of it is stale it is written anew, by one process at a time. Lines that are lost meanwhile only
//! cost time. Readers write nothing.

use std::fs::File;
use std::io::{self, Write as _};
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FlockOperation, OFlags, flock, statat};
use serde::{Deserialize, Serialize};

use super::spread::spread;
use super::{Registry, disk, project};
use crate::run::id::RunId;
use crate::run::status::RunStatus;

/// The first member of the first line; another version's index is not read.
const FORMAT: &str = "taskforge-index-v2";
/// The largest index that is read, in bytes.
const LARGEST: u64 = 32 << 20;
/// An index smaller than this is never written anew, in bytes.
const SMALL: u64 = 256 << 10;

/// What a list shows of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub run: RunId,
    pub workflow: String,
    pub title: String,
    pub status: RunStatus,
    /// Seconds and nanoseconds since 1970, UTC.
    pub created: (i64, u32),
    pub updated: (i64, u32),
    /// Nodes that are completed, and all of them.
    pub nodes: (u32, u32),
    /// What waits for a person.
    pub waiting: u32,
    /// Whether a tick may find something to do.
    pub active: bool,
}

/// An entry with the files that it was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Line(Entry, [Option<Stamp>; 3]);

/// A file as it was: length, modification time in seconds and nanoseconds, inode.
type Stamp = (u64, i64, i64, u64);

/// What an entry is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// What a list shows of the run.
    Shown,
    /// Whether a tick may find something to do: an intent that somebody wrote down is a reason, too.
    Active,
}

/// From so many runs on they are looked at by several threads.
const MANY: usize = 500;

/// The index as read, to be asked about runs.
#[derive(Debug)]
pub struct Index {
    runs: Option<File>,
    bytes: Vec<u8>,
    /// Where in `bytes` the last line of each run is, in the order of their ids.
    lines: Vec<Range<usize>>,
}

impl Index {
    /// Reads it. Whatever stands there, the worst is an empty one.
    #[must_use]
    pub fn read(registry: &Registry) -> Self {
        let runs = disk::open_dir(&registry.layout().runs()).ok();
        let bytes = project::read_file(&path(registry), LARGEST).ok().flatten().unwrap_or_default();
        let lines = last_lines(&bytes);
        Self { runs, bytes, lines }
    }

    /// The entries of these runs, which are in the order of their ids, each if the files that it was made from are still
    /// those.
    #[must_use]
    pub fn entries(&self, runs: &[RunId], ask: Ask) -> Vec<Option<Entry>> {
        let mut lines = self.lines.iter().map(|line| &self.bytes[line.clone()]).peekable();
        let asked: Vec<_> = runs
            .iter()
            .map(|run| {
                let id = Some(run.as_str().as_bytes());
                while lines.next_if(|line| run_of(line) < id).is_some() {}
                (run, lines.next_if(|line| run_of(line) == id))
            })
            .collect();
        spread(&asked, MANY, |(run, line)| self.entry(run, (*line)?, ask))
    }

    fn entry(&self, run: &RunId, line: &[u8], ask: Ask) -> Option<Entry> {
        let Line(entry, stamps) = serde_json::from_slice(line).ok()?;
        let runs = self.runs.as_ref()?;
        let files = if ask == Ask::Shown { 2 } else { FILES.len() };
        let mut name = String::with_capacity(run.as_str().len() + 16);
        let mut asked = FILES.iter().zip(&stamps).take(files);
        asked.all(|(file, stamp)| stamp_of(runs, run, file, &mut name) == *stamp).then_some(entry)
    }
}

/// The files that an entry depends on; a list does not depend on the last. One that is absent is as much a fact as one
/// that is there.
const FILES: [&str; 3] = ["events.jsonl", "state.json", "control.jsonl"];

fn stamps_of(runs: &File, run: &RunId) -> [Option<Stamp>; 3] {
    let mut name = String::new();
    FILES.map(|file| stamp_of(runs, run, file, &mut name))
}

/// `name` is where the path is put together.
fn stamp_of(runs: &File, run: &RunId, file: &str, name: &mut String) -> Option<Stamp> {
    name.clear();
    name.extend([run.as_str(), "/", file]);
    let found = statat(runs, name.as_str(), AtFlags::SYMLINK_NOFOLLOW).ok()?;
    let number = |value: i64| u64::try_from(value).unwrap_or_default();
    // The kernel's field is signed on some machines and unsigned on others.
    #[allow(clippy::useless_conversion, clippy::unnecessary_fallible_conversions)]
    let nanoseconds = i64::try_from(found.st_mtime_nsec).unwrap_or_default();
    Some((number(found.st_size), found.st_mtime, nanoseconds, found.st_ino))
}

/// Where the last line of each run is, in the order of their ids. Nothing but the id is read of a line: most of the work is
/// left to whoever asks for the entry, and to the thread that does.
fn last_lines(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut start = 0;
    let mut lines = memchr::memchr_iter(b'\n', bytes).chain([bytes.len()]).map(|end| {
        let range = start..end;
        start = end + 1;
        range
    });
    if lines.next().and_then(|first| live_of(&bytes[first])).is_none() {
        return Vec::new();
    }
    let id = |line: &Range<usize>| run_of(&bytes[line.clone()]);
    // Two writers' lines may have been torn apart by a full disk: what does not begin as a line is not there, and one that
    // does not go on as one costs the reading of its run.
    let mut found: Vec<Range<usize>> = lines.filter(|line| id(line).is_some()).collect();
    // A stable order, so that a run's last line is the last of its lines.
    found.sort_by(|a, b| id(a).cmp(&id(b)));
    found.dedup_by(|later, earlier| {
        let same = id(later) == id(earlier);
        if same {
            std::mem::swap(later, earlier);
        }
        same
    });
    found
}

/// How each line begins; [`Line`] and [`Entry`] say so by the order of their members.
const BEFORE_RUN: &[u8] = br#"[{"run":""#;

/// The run of a line, if it begins as a line does. No id needs an escape.
fn run_of(line: &[u8]) -> Option<&[u8]> {
    line.strip_prefix(BEFORE_RUN)?.split(|byte| *byte == b'"').next()
}

/// How many bytes were live when the index was last written anew, from its first line.
fn live_of(line: &[u8]) -> Option<u64> {
    let (format, live): (String, u64) = serde_json::from_slice(line).ok()?;
    (format == FORMAT).then_some(live)
}

fn path(registry: &Registry) -> PathBuf {
    registry.layout().index().join("runs.jsonl")
}

/// Notes what a list shows of a run now, whose journal has `length` bytes. Never fails: a run that is not noted is read.
pub fn note(registry: &Registry, entry: &Entry, length: u64) {
    let _ = try_note(registry, entry, length);
}

fn try_note(registry: &Registry, entry: &Entry, length: u64) -> io::Result<()> {
    let runs = disk::open_dir(&registry.layout().runs())?;
    let stamps = stamps_of(&runs, &entry.run);
    // A program without the lock has written meanwhile, and the entry says nothing of that.
    if stamps[0].is_none_or(|(found, ..)| found != length) || stamps[1].is_none() {
        return Ok(());
    }
    let line = Line(entry.clone(), stamps);
    let mut bytes = serde_json::to_vec(&line)?;
    bytes.push(b'\n');
    let path = path(registry);
    let mut file = match open(&path, false) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => begin(registry, &path)?,
        other => other?,
    };
    let length = file.metadata()?.len();
    if disk::read_range(&file, length.saturating_sub(1), length)? != b"\n" {
        bytes.insert(0, b'\n');
    }
    file.write_all(&bytes)?;
    let first = disk::read_range(&file, 0, 64)?;
    let live = first.split(|byte| *byte == b'\n').next().and_then(live_of);
    if live.is_none_or(|live| length > SMALL.max(live.saturating_mul(2)).min(LARGEST / 2)) {
        rewrite(registry, &path)?;
    }
    Ok(())
}

fn open(path: &Path, new: bool) -> io::Result<File> {
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK).bits()).unwrap_or_default();
    std::fs::OpenOptions::new().read(true).append(true).create_new(new).mode(0o600).custom_flags(flags).open(path)
}

fn begin(registry: &Registry, path: &Path) -> io::Result<File> {
    match std::fs::DirBuilder::new().create(registry.layout().index()) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    match open(path, true) {
        Ok(mut file) => {
            file.write_all(header(0).as_bytes())?;
            Ok(file)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => open(path, false),
        Err(error) => Err(error),
    }
}

fn header(live: u64) -> String {
    format!("[\"{FORMAT}\",{live}]\n")
}

/// Leaves the last line of each run, unless another process is at it.
fn rewrite(registry: &Registry, path: &Path) -> io::Result<()> {
    let lock = registry.layout().locks().join("index");
    let lock = File::options().append(true).create(true).open(lock)?;
    if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Ok(());
    }
    let bytes = project::read_file(path, LARGEST).ok().flatten().unwrap_or_default();
    let mut lines = Vec::new();
    for line in last_lines(&bytes) {
        let line = &bytes[line];
        let Ok(Line(entry, _)) = serde_json::from_slice(line) else { continue };
        if registry.layout().run(&entry.run).root().exists() {
            lines.extend_from_slice(line);
            lines.push(b'\n');
        }
    }
    let whole = [header(lines.len() as u64).into_bytes(), lines].concat();
    project::replace(path, &whole).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::registry::create::stage_run;
    use crate::registry::init::InitOptions;

    fn entry(run: &str, title: &str) -> Entry {
        Entry {
            run: RunId::parse(run).unwrap(),
            workflow: "w".to_owned(),
            title: title.to_owned(),
            status: RunStatus::Running,
            created: (1, 2),
            updated: (3, 4),
            nodes: (0, 1),
            waiting: 0,
            active: true,
        }
    }

    fn registry(folder: &tempfile::TempDir, runs: &[&str]) -> Registry {
        let registry = Registry::init(folder.path(), &InitOptions::default()).unwrap();
        for run in runs {
            let staged = stage_run(&registry, &RunId::parse(run).unwrap()).unwrap();
            staged.write_file("events.jsonl", b"{}\n").unwrap();
            staged.write_file("state.json", b"{}\n").unwrap();
            staged.publish().unwrap();
        }
        registry
    }

    fn length(registry: &Registry) -> u64 {
        std::fs::metadata(registry.root().join("runs/a/events.jsonl")).unwrap().len()
    }

    #[test]
    fn a_journal_that_somebody_else_has_grown_is_not_noted() {
        let folder = tempfile::tempdir().unwrap();
        let registry = registry(&folder, &["a"]);
        note(&registry, &entry("a", "one"), 2);
        assert_eq!(entry_of(&registry, "a"), None);
        note(&registry, &entry("a", "one"), 3);
        assert_eq!(entry_of(&registry, "a"), Some(entry("a", "one")));
    }

    /// The entry of one run, if it counts.
    fn entry_of(registry: &Registry, run: &str) -> Option<Entry> {
        let entries = Index::read(registry).entries(&[RunId::parse(run).unwrap()], Ask::Active);
        entries.into_iter().next().unwrap()
    }

    #[test]
    fn an_entry_counts_while_its_files_are_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let registry = registry(&folder, &["a", "b"]);
        assert!(entry_of(&registry, "a").is_none());
        for title in ["one", "two"] {
            note(&registry, &entry("a", title), 3);
        }
        assert_eq!(entry_of(&registry, "a").unwrap().title, "two");
        assert!(entry_of(&registry, "b").is_none());
        for file in ["events.jsonl", "state.json", "control.jsonl"] {
            note(&registry, &entry("a", "again"), length(&registry));
            assert!(entry_of(&registry, "a").is_some());
            std::fs::write(registry.root().join("runs/a").join(file), "{\"x\": 1}\n").unwrap();
            assert!(entry_of(&registry, "a").is_none(), "{file}");
        }
    }

    #[test]
    fn what_is_stale_is_left_out_when_it_is_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        let registry = registry(&folder, &["a", "b"]);
        note(&registry, &entry("b", "kept"), 3);
        for number in 0..4000 {
            note(&registry, &entry("a", &format!("title {number} {}", "x".repeat(100))), 3);
        }
        assert!(std::fs::metadata(path(&registry)).unwrap().len() < 2 * SMALL);
        assert!(entry_of(&registry, "a").unwrap().title.starts_with("title 3999"));
        assert_eq!(entry_of(&registry, "b").unwrap().title, "kept");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn whatever_stands_there_it_is_read_and_gone_on_with(bytes in proptest::collection::vec(any::<u8>(), 0..300), header_first in any::<bool>()) {
            let folder = tempfile::tempdir().unwrap();
            let registry = registry(&folder, &["a"]);
            std::fs::create_dir_all(registry.layout().index()).unwrap();
            let first = if header_first { header(0).into_bytes() } else { Vec::new() };
            std::fs::write(path(&registry), [first, bytes].concat()).unwrap();
            prop_assert!(entry_of(&registry, "a").is_none());
            // Twice: the first may find that there is no index of ours and write it anew.
            note(&registry, &entry("a", "t"), 3);
            note(&registry, &entry("a", "t"), 3);
                prop_assert_eq!(entry_of(&registry, "a"), Some(entry("a", "t")));
        }
    }
}
