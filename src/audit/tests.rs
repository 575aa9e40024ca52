#![allow(clippy::unwrap_used, clippy::expect_used)]
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use chrono::Utc;
use proptest::prelude::*;
use serde_json::{Map, json};

use super::*;
use crate::registry::init::InitOptions;
use crate::registry::journal::chain::Chain;
use crate::registry::journal::scan::Scan;
use crate::registry::{Journal, RunLock, create};
use crate::run::record::Draft;

#[path = "tests_exhaustive.rs"]
mod exhaustive;

struct Room {
    _folder: tempfile::TempDir,
    registry: Registry,
    run: RunId,
}

fn draft(message: &str) -> Draft {
    Draft {
        event: "node.progress".into(),
        node_id: None,
        message: Some(message.into()),
        payload: Map::new(),
        data: json!({"n": 1.5, "t": "ü"}).as_object().unwrap().clone(),
    }
}

const FOREIGN: &[u8] = b"{\"event\": \"run.progress\", \"runId\": \"demo-1\", \"payload\": {}}\n";

impl Room {
    /// A journal with everything in it that a journal can hold: batches, others' lines, garbage, voided bytes.
    fn new() -> Self {
        let room = Self::empty();
        room.commit(&["one", "two"]);
        room.foreign(FOREIGN);
        room.foreign(b"garbage\n");
        room.commit(&["three"]);
        room.tear();
        room.commit(&["four"]);
        room.foreign(b"{\"event\": \"without a newline\"}");
        room.commit(&["five", "six"]);
        room
    }

    /// A journal of one line.
    fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let registry = Registry::init(folder.path(), &InitOptions::default()).unwrap();
        let run = RunId::parse("demo-1").unwrap();
        let mut staged = create::stage_run(&registry, &run).unwrap();
        staged.begin_journal(vec![draft("created")], "operator:ada", Utc::now()).unwrap();
        staged.publish().unwrap();
        Self { _folder: folder, registry, run }
    }

    fn path(&self) -> PathBuf {
        self.registry.layout().run(&self.run).journal()
    }

    fn open(&self) -> (Journal, Scan) {
        let lock = RunLock::acquire(&self.registry, &self.run, Duration::from_secs(10)).unwrap();
        Journal::open(lock, |_| true, "tick", Utc::now()).unwrap()
    }

    fn commit(&self, messages: &[&str]) {
        self.open().0.commit(messages.iter().map(|message| draft(message)).collect(), "tick", Utc::now()).unwrap();
    }

    fn foreign(&self, bytes: &[u8]) {
        fs::OpenOptions::new().append(true).open(self.path()).unwrap().write_all(bytes).unwrap();
    }

    /// As a process that is killed in the middle of an append.
    fn tear(&self) {
        let whole = fs::read(self.path()).unwrap();
        let head = fs::read(self.registry.layout().head(&self.run)).unwrap();
        self.commit(&["torn one", "torn two"]);
        let torn = fs::read(self.path()).unwrap();
        fs::write(self.path(), &torn[..whole.len() + (torn.len() - whole.len()) * 3 / 4]).unwrap();
        fs::write(self.registry.layout().head(&self.run), head).unwrap();
    }

    fn verify(&self) -> Report {
        verify(&self.registry, &self.run, &Expected::default()).unwrap()
    }
}

/// A journal and the head that belongs to it.
fn sample() -> &'static (Vec<u8>, Head, RunId) {
    static SAMPLE: OnceLock<(Vec<u8>, Head, RunId)> = OnceLock::new();
    SAMPLE.get_or_init(|| {
        let room = Room::new();
        (fs::read(room.path()).unwrap(), room.open().1.head, room.run.clone())
    })
}

fn problems(bytes: &[u8]) -> Vec<Problem> {
    let (_, head, run) = sample();
    journal::verify(run, bytes, Some(head), &[]).problems
}

#[test]
fn a_true_journal_is_proven_to_its_last_byte() {
    let room = Room::new();
    let report = room.verify();
    assert_eq!(report.problems, [], "{report:#?}");
    assert_eq!((report.ours, report.foreign), (8, 3));
    assert_eq!(report.proven, fs::metadata(room.path()).unwrap().len());
    assert_eq!(report.head, room.open().1.head);
    assert!(report.is_proven());
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!((json["run"].as_str(), json["head"]["seq"].as_u64()), (Some("demo-1"), Some(8)));
}

#[test]
fn each_flipped_byte_is_found() {
    let (bytes, ..) = sample();
    assert_eq!(problems(bytes), []);
    for index in 0..bytes.len() {
        for flip in [1, 0x20, 0x80] {
            let mut changed = bytes.clone();
            changed[index] ^= flip;
            assert_ne!(problems(&changed), [], "byte {index} of {}", bytes.len());
        }
    }
}

#[test]
fn each_cut_is_found() {
    let (bytes, ..) = sample();
    for length in 0..bytes.len() {
        assert_ne!(problems(&bytes[..length]), [], "cut to {length}");
    }
}

#[test]
fn each_removed_doubled_or_swapped_line_is_found() {
    let (bytes, ..) = sample();
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    for index in 0..lines.len() {
        let mut removed = lines.clone();
        removed.remove(index);
        assert_ne!(problems(&removed.concat()), [], "line {index} removed");
        let mut doubled = lines.clone();
        doubled.insert(index, lines[index]);
        assert_ne!(problems(&doubled.concat()), [], "line {index} doubled");
        for other in index + 1..lines.len() {
            let mut swapped = lines.clone();
            swapped.swap(index, other);
            if swapped != lines {
                assert_ne!(problems(&swapped.concat()), [], "lines {index} and {other} swapped");
            }
        }
    }
}

proptest! {
    #[test]
    fn each_insertion_is_found(at in 0_usize..10_000, noise in proptest::collection::vec(any::<u8>(), 1..50)) {
        let (bytes, ..) = sample();
        let mut changed = bytes.clone();
        let at = at % bytes.len();
        changed.splice(at..at, noise);
        prop_assume!(changed[..bytes.len()] != bytes[..]);
        prop_assert!(!problems(&changed).is_empty());
    }
}

#[test]
fn without_a_head_the_last_batch_is_called_unproven() {
    let room = Room::new();
    fs::remove_file(room.registry.layout().head(&room.run)).unwrap();
    let report = room.verify();
    assert!(report.is_proven() && report.proven < report.head.at);
    assert!(report.warnings.iter().any(|warning| warning.what.contains("not proven from here on")));
    // A checkpoint proves it again.
    let expected = Expected { journal: vec![report.head.clone()], ..Expected::default() };
    assert_eq!(verify(&room.registry, &room.run, &expected).unwrap().proven, report.head.at);
}

#[test]
fn a_whole_rewrite_is_found_by_a_head() {
    let (room, other) = (Room::new(), Room::new());
    fs::copy(other.path(), room.path()).unwrap();
    assert!(!room.verify().is_proven());
}

#[test]
fn a_crash_at_the_end_is_a_warning_and_not_a_problem() {
    let room = Room::new();
    room.tear();
    let report = room.verify();
    assert!(report.is_proven() && !report.warnings.is_empty(), "{report:#?}");
    room.commit(&["next"]);
    assert!(room.verify().is_proven());
}

#[test]
fn a_file_that_an_event_names_is_compared() {
    let room = Room::new();
    let run = room.registry.layout().run(&room.run);
    fs::create_dir_all(run.root().join("nodes/a")).unwrap();
    let report = run.root().join("nodes/a/report.md");
    fs::write(&report, "report").unwrap();
    let check = |path: &str, text: &[u8]| {
        let expected = Expected { files: vec![(path.into(), Digest::of(text))], ..Expected::default() };
        verify(&room.registry, &room.run, &expected).unwrap().is_proven()
    };
    assert!(check("nodes/a/report.md", b"report"));
    assert!(!check("nodes/a/report.md", b"other"));
    assert!(!check("nodes/a/none.md", b"report"));
    assert!(!check("nodes/a", b"report"));
    assert!(!check("../../taskforge.toml", b"report"));
    fs::rename(&report, report.with_file_name("moved")).unwrap();
    std::os::unix::fs::symlink("moved", &report).unwrap();
    assert!(!check("nodes/a/report.md", b"report"));
}

/// Records as the gate writes them.
fn traffic(run: &RunId) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut chain = Chain::traffic(run);
    for (seq, body) in (1..).zip(["request", "response", "tool"]) {
        if seq == 3 {
            let blank = b"          \n";
            bytes.extend_from_slice(blank);
            chain = chain.line(blank);
        }
        let record = json!({"seq": seq, "at": bytes.len(), "kind": "llm.request",
            "body": {"sha256": Digest::of(body.as_bytes()).as_str(), "bytes": body.len()}, "prev": chain.digest().as_str()});
        let line = format!("{record}\n");
        chain = chain.line(line.as_bytes());
        bytes.extend_from_slice(line.as_bytes());
    }
    bytes
}

#[test]
fn the_gate_s_records() {
    let room = Room::new();
    let run = room.registry.layout().run(&room.run);
    let bytes = traffic(&room.run);
    fs::create_dir_all(run.bodies()).unwrap();
    let body = |text: &str| run.bodies().join(Digest::of(text.as_bytes()).as_str());
    for text in ["request", "response", "tool"] {
        fs::write(body(text), text).unwrap();
    }
    fs::write(run.traffic(), &bytes).unwrap();
    let report = room.verify();
    assert!(report.is_proven(), "{report:#?}");
    let traffic = report.traffic.unwrap();
    assert_eq!((traffic.records, traffic.head.at), (3, bytes.len() as u64));
    let expected = Expected { traffic: vec![traffic.head], ..Expected::default() };
    let proven = |bytes: &[u8]| {
        fs::write(run.traffic(), bytes).unwrap();
        verify(&room.registry, &room.run, &expected).unwrap().is_proven()
    };
    assert!(proven(&bytes));
    for index in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[index] ^= 1;
        assert!(!proven(&changed), "byte {index}");
    }
    assert!(!proven(&bytes[..bytes.len() - 10]));
    assert!(proven(&[&bytes[..], b"{\"seq\": 4, \"torn"].concat()), "a torn tail was never acknowledged");
    assert!(proven(&bytes));
    for text in ["request", "response", "tool"] {
        fs::write(body(text), "changed").unwrap();
        assert!(!proven(&bytes), "{text} has changed");
        fs::remove_file(body(text)).unwrap();
        assert!(!proven(&bytes), "{text} is gone");
        fs::write(body(text), text).unwrap();
        assert!(proven(&bytes));
    }
    fs::remove_file(run.traffic()).unwrap();
    assert!(!verify(&room.registry, &room.run, &expected).unwrap().is_proven());
}

#[test]
fn no_run() {
    let room = Room::new();
    let ghost = RunId::parse("ghost").unwrap();
    assert!(matches!(verify(&room.registry, &ghost, &Expected::default()), Err(Error::RunNotFound { .. })));
}
