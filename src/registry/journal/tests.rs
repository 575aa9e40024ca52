//! One process, one journal: what a line looks like, what a reader accepts, what a writer refuses, and what it does when
//! the disk says no. Power cuts and other processes are next door.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::io::Write;
use std::time::Duration;

use chrono::TimeDelta;
use serde_json::{Map, json};

use super::heads::Kept;
use super::scan::Oddity;
use super::*;
use crate::registry::Registry;
use crate::registry::create::stage_run;
use crate::registry::faults::{Call, Fault, control};
use crate::registry::init::InitOptions;

pub(super) struct Room {
    pub _folder: tempfile::TempDir,
    pub registry: Registry,
    pub run: RunId,
}

pub(super) fn now() -> DateTime<Utc> {
    parse_time("2026-11-20T11:46:18.964660+00:00").unwrap()
}

pub(super) fn draft(event: &str, message: &str) -> Draft {
    Draft {
        event: event.into(),
        node_id: Some("gather".into()),
        message: Some(message.into()),
        payload: Map::new(),
        data: json!({"x": [1, "ü"]}).as_object().unwrap().clone(),
    }
}

pub(super) fn room() -> Room {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::init(folder.path(), &InitOptions::default()).unwrap();
    let run = RunId::parse("demo-1").unwrap();
    let mut staged = stage_run(&registry, &run).unwrap();
    let created = Draft { data: json!({"format": FORMAT}).as_object().unwrap().clone(), ..draft("run.created", "") };
    staged.begin_journal(vec![created], "operator:ada", now()).unwrap();
    staged.publish().unwrap();
    Room { _folder: folder, registry, run }
}

impl Room {
    pub fn path(&self) -> PathBuf {
        self.registry.layout().run(&self.run).journal()
    }

    pub fn try_open(&self) -> Result<(Journal, Scan)> {
        let lock = RunLock::acquire(&self.registry, &self.run, Duration::from_secs(30))?;
        Journal::open(lock, |event| event != "unheard.of", "tick", now())
    }

    pub fn open(&self) -> Journal {
        self.try_open().unwrap().0
    }

    pub fn scan(&self) -> Scan {
        Journal::read(&self.path(), &self.run).unwrap()
    }

    pub fn commit(&self, messages: &[&str]) -> Vec<Record> {
        let drafts = messages.iter().map(|message| draft("node.progress", message)).collect();
        self.open().commit(drafts, "tick", now()).unwrap()
    }

    pub fn foreign(&self, bytes: &[u8]) {
        fs::OpenOptions::new().append(true).open(self.path()).unwrap().write_all(bytes).unwrap();
    }

    pub fn messages(&self) -> Vec<String> {
        self.scan().records.into_iter().filter_map(|record| record.message).collect()
    }

    pub fn text(&self) -> String {
        fs::read_to_string(self.path()).unwrap()
    }
}

pub(super) const FOREIGN: &[u8] = b"{\"event\": \"run.progress\", \"timestamp\": \"2099-01-01T00:00:00+00:00\", \"runId\": \"demo-1\", \"payload\": {}}\n";

#[test]
fn a_batch_is_whole_chained_and_read_back() {
    let room = room();
    let before = fs::read(room.path()).unwrap();
    let records = room.commit(&["one", "two"]);
    assert_eq!(records.iter().map(|record| (record.seq, record.batch)).collect::<Vec<_>>(), [(2, (1, 2)), (3, (2, 2))]);
    let start = Chain::journal(&room.run).lines(&before);
    for record in &records {
        assert_eq!((record.at, &record.prev), (before.len() as u64, &String::from(start.digest())));
    }
    let scan = room.scan();
    assert_eq!(scan.records[1..], records);
    assert_eq!((scan.findings.len(), scan.torn.len(), scan.head.seq), (0, 0, 3));
    assert_eq!(scan.head.at, fs::metadata(room.path()).unwrap().len());
    assert_eq!(heads::read(&room.registry.layout().head(&room.run)).unwrap().unwrap().head(), scan.head);
    assert!(room.text().is_ascii());
    assert!(!room.text().lines().next().unwrap().contains("message"), "an empty message is left out");
}

#[test]
fn a_commit_is_one_append_and_one_sync() {
    let room = room();
    let mut journal = room.open();
    control::record(&[]);
    journal.commit(vec![draft("a", "1"), draft("b", "2")], "tick", now()).unwrap();
    let calls = control::stop();
    let path = room.path();
    assert!(matches!(&calls[0], Call::Write { path: written, .. } if *written == path), "{calls:?}");
    assert_eq!(calls[1], Call::Sync(path.clone()));
    assert_eq!(calls.len(), 2, "{calls:?}");
    control::record(&[]);
    drop(journal);
    let calls = control::stop();
    // The head file: no sync.
    assert!(
        !calls.is_empty() && calls.iter().all(|call| !matches!(call, Call::Sync(_) | Call::SyncDir(_))),
        "{calls:?}"
    );
    control::record(&[]);
    room.scan();
    room.open();
    assert!(control::stop().is_empty(), "reading and opening write and sync nothing");
}

#[test]
fn nothing_is_a_batch_of_nothing() {
    let room = room();
    assert_eq!(room.open().commit(vec![], "tick", now()).unwrap(), []);
    assert_eq!(room.scan().records.len(), 1);
}

#[test]
fn our_time_never_goes_back_and_another_s_future_freezes_nothing() {
    let room = room();
    let later = now() + TimeDelta::hours(1);
    room.open().commit(vec![draft("a", "1")], "tick", later).unwrap();
    room.foreign(FOREIGN);
    let mut journal = room.open();
    let [early] = &journal.commit(vec![draft("a", "2")], "tick", now()).unwrap()[..] else { panic!() };
    assert_eq!(early.timestamp, isoformat(later));
    let late = journal.commit(vec![draft("a", "3")], "tick", later + TimeDelta::microseconds(1)).unwrap();
    assert_eq!(late[0].timestamp, isoformat(later + TimeDelta::microseconds(1)));
}

#[test]
fn lines_of_others_are_covered_and_kept() {
    let room = room();
    room.foreign(FOREIGN);
    room.foreign(b"not json\n\n");
    room.foreign(b"{\"event\": \"without its newline\"}");
    room.commit(&["ours"]);
    room.commit(&["again"]);
    let scan = room.scan();
    assert_eq!(room.messages(), ["ours", "again"]);
    assert_eq!(
        scan.foreign.iter().map(|line| (line.place.line, line.event.is_some())).collect::<Vec<_>>(),
        [(2, true), (3, false), (5, true)]
    );
    assert!(scan.grave().is_none() && scan.findings.iter().any(|finding| finding.what == Oddity::Opaque));
    let text = room.text();
    assert!(text.contains("not json\n\n{\"event\": \"without its newline\"}\n{\"event\": \"node.progress\""), "{text}");
}

#[test]
fn opentask_s_own_journal_can_be_continued() {
    let room = room();
    fs::write(room.path(), FOREIGN).unwrap();
    fs::remove_file(room.registry.layout().head(&room.run)).unwrap();
    assert_eq!(room.commit(&["first"])[0].seq, 1);
    assert_eq!(room.scan().foreign.len(), 1);
}

#[test]
fn a_slip_between_reading_and_writing_is_reported_and_covered_next() {
    let room = room();
    let mut journal = room.open();
    // What `commit` does, with another program's line in the middle.
    assert!(!journal.catch_up("tick", now()).unwrap());
    let records = journal.place(vec![draft("a", "slipped")], "tick", now()).unwrap();
    room.foreign(FOREIGN);
    journal.append(&records, false).unwrap();
    journal.commit(vec![draft("a", "next")], "tick", now()).unwrap();
    let scan = room.scan();
    assert_eq!(room.messages(), ["slipped", "next"]);
    assert_eq!(scan.findings.iter().map(|finding| &finding.what).collect::<Vec<_>>(), [&Oddity::Unlocked]);
}

#[test]
fn a_glued_batch_is_written_again() {
    for count in [1, 3] {
        let room = room();
        let mut journal = room.open();
        journal.catch_up("tick", now()).unwrap();
        let drafts = (0..count).map(|index| draft("a", &index.to_string())).collect();
        let records = journal.place(drafts, "tick", now()).unwrap();
        room.foreign(b"{\"event\": \"half");
        journal.append(&records, false).unwrap();
        room.foreign(b" of a line\"}\n");
        let after = journal.commit(vec![draft("a", "next")], "tick", now()).unwrap();
        assert_eq!(after[0].seq, 2 + count);
        drop(journal);
        let scan = room.scan();
        assert!(scan.grave().is_none() && scan.torn.is_empty(), "{:?}", scan.findings);
        let mut expected: Vec<String> = (0..count).map(|index| index.to_string()).collect();
        expected.push("next".into());
        assert_eq!(room.messages(), expected);
        room.open();
    }
}

#[test]
fn a_half_line_of_another_program_may_still_be_finished() {
    let room = room();
    let (first, second) = FOREIGN.split_at(40);
    room.foreign(first);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(5));
            room.foreign(second);
        });
        room.commit(&["ours"]);
    });
    assert_eq!(room.scan().foreign.len(), 1);
    assert!(!room.registry.layout().run(&room.run).torn().exists());
}

#[test]
fn torn_tails_are_saved_named_and_blanked() {
    let room = room();
    room.commit(&["kept"]);
    let kept = fs::read(room.path()).unwrap();
    room.commit(&["gone 1", "gone 2"]);
    let all = fs::read(room.path()).unwrap();
    let head = room.registry.layout().head(&room.run);
    let torn_path = room.registry.layout().run(&room.run).torn();
    let ends = [kept.len() + 1, kept.len() + 2, all.len() - 3, all.len() - 2];
    let first = kept.len() + all[kept.len()..].iter().position(|byte| *byte == b'\n').unwrap();
    for cut in (kept.len() + 3..all.len() - 3).step_by(23).chain(ends).chain([first, first + 1, first + 2]) {
        fs::write(room.path(), &all[..cut]).unwrap();
        heads::write(&head, &Kept::of(Scan::of(&room.run, &kept).head, None)).unwrap();
        let _ = fs::remove_file(&torn_path);
        let before = room.scan();
        assert_eq!((before.records.len(), before.torn.len()), (2, 1), "cut {cut}");
        let (mut journal, scan) = room.try_open().unwrap();
        let voided = scan.records.last().unwrap();
        assert_eq!((voided.event.as_str(), voided.seq), (scan::VOIDED, 3));
        let range = scan::voided_ranges(voided).remove(0);
        assert_eq!(range.start, kept.len() as u64);
        let saved = fs::read(&torn_path).unwrap();
        let lost = &all[kept.len()..usize::try_from(range.end).unwrap()];
        assert!(saved.windows(lost.len()).any(|window| window == lost), "cut {cut}");
        assert_eq!(voided.data["ranges"][0]["digest"], crate::run::id::Digest::of(lost).as_str());
        journal.commit(vec![draft("a", "new")], "tick", now()).unwrap();
        drop(journal);
        let scan = room.scan();
        assert!(scan.findings.is_empty() && scan.torn.is_empty(), "cut {cut}: {:?}", scan.findings);
        assert_eq!(room.messages().last().unwrap(), "new");
        assert!(!room.text().contains("gone"), "cut {cut}");
    }
}

#[test]
fn a_batch_without_its_last_newline_is_given_it() {
    let room = room();
    let old = room.scan().head;
    room.commit(&["one", "two"]);
    let all = fs::read(room.path()).unwrap();
    fs::write(room.path(), &all[..all.len() - 1]).unwrap();
    heads::write(&room.registry.layout().head(&room.run), &Kept::of(old.clone(), None)).unwrap();
    assert_eq!(room.messages(), Vec::<String>::new());
    room.commit(&["three"]);
    assert_eq!(room.messages(), ["one", "two", "three"]);
    assert!(room.scan().findings.is_empty());
}

#[test]
fn what_is_not_what_was_written_is_read_but_not_built_upon() {
    let room = room();
    room.commit(&["one"]);
    room.commit(&["two"]);
    let good = fs::read(room.path()).unwrap();
    let first = good.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let mut changed = good.clone();
    changed[first + 100] ^= 1;
    let cut = good[..first].to_vec();
    for bad in [changed, cut, good[first..].to_vec(), Vec::new()] {
        fs::write(room.path(), &bad).unwrap();
        room.scan();
        assert!(matches!(room.try_open(), Err(Error::Integrity { .. })));
        assert_eq!(fs::read(room.path()).unwrap(), bad, "a refusal changes nothing");
    }
    fs::write(room.path(), &good).unwrap();
    room.open();
}

#[test]
fn a_newer_version_s_run_is_read_but_not_changed() {
    let room = room();
    room.open().commit(vec![draft("unheard.of", "new")], "tick", now()).unwrap();
    assert!(matches!(room.try_open(), Err(Error::Newer { .. })));
    assert_eq!(room.messages(), ["new"]);
    let room = self::room();
    let text = room.text().replace("{\"format\": 1}", "{\"format\": 2}");
    fs::write(room.path(), text).unwrap();
    assert!(matches!(room.try_open(), Err(Error::Newer { .. })));
}

#[test]
fn a_forged_void_cannot_blank_what_stands() {
    let room = room();
    room.commit(&["precious"]);
    let mut journal = room.open();
    let mut forged = draft(scan::VOIDED, "");
    forged.data = json!({"ranges": [{"from": 0, "to": 100, "digest": ""}]}).as_object().unwrap().clone();
    let old = journal.head();
    journal.commit(vec![forged], "tick", now()).unwrap();
    drop(journal);
    heads::write(&room.registry.layout().head(&room.run), &Kept::of(old.clone(), None)).unwrap();
    let before = room.text();
    assert!(matches!(room.try_open(), Err(Error::Integrity { .. })));
    assert_eq!(room.text(), before);
}

#[test]
fn a_full_disk_at_any_call_is_refused_and_mended() {
    for fault in [Fault::Error(28), Fault::Error(5), Fault::Short(0), Fault::Short(1), Fault::Short(200)] {
        for index in 0..2 {
            let room = room();
            let mut journal = room.open();
            // A short write is followed by another, which then fails: the disk is full.
            let faults: &[_] = &match fault {
                Fault::Short(_) if index == 0 => [(0, fault), (1, Fault::Error(28))],
                _ => [(index, fault), (99, fault)],
            };
            control::record(faults);
            let outcome = journal.commit(vec![draft("a", "x".repeat(300).as_str()), draft("b", "2")], "tick", now());
            control::stop();
            if matches!(fault, Fault::Short(_)) && index == 1 {
                // No write there.
                outcome.unwrap();
                continue;
            }
            outcome.unwrap_err();
            let again = journal.commit(vec![draft("a", "again")], "tick", now());
            assert!(matches!(again, Err(Error::Unsynced { .. })), "{fault:?} {index}");
            let scan = journal.recover("tick", now()).unwrap();
            assert!(scan.torn.is_empty());
            journal.commit(vec![draft("a", "again")], "tick", now()).unwrap();
            drop(journal);
            room.open();
            let names: Vec<_> = room.scan().records.into_iter().map(|record| record.event).collect();
            let whole = names.contains(&"a".to_string()) && names.contains(&"b".to_string());
            assert_eq!(names.iter().filter(|name| *name == "b").count(), usize::from(whole), "{names:?}");
            assert!(room.messages().contains(&"again".to_string()));
        }
    }
}

#[test]
fn after_a_failed_sync_the_tail_is_rewritten_by_whoever_comes_next() {
    let room = room();
    let mut journal = room.open();
    let start = journal.head().at;
    control::record(&[(1, Fault::Error(5))]);
    journal.commit(vec![draft("a", "maybe")], "tick", now()).unwrap_err();
    drop(journal);
    control::stop();
    control::record(&[]);
    let (journal, scan) = room.try_open().unwrap();
    let calls = control::stop();
    assert_eq!(scan.records.last().unwrap().message.as_deref(), Some("maybe"));
    let bytes = fs::read(room.path()).unwrap()[usize::try_from(start).unwrap()..].to_vec();
    assert_eq!(calls[..2], [Call::Write { path: room.path(), offset: start, bytes }, Call::Sync(room.path())]);
    drop(journal);
}

#[test]
fn a_run_without_a_journal_is_no_run() {
    let room = room();
    fs::remove_file(room.path()).unwrap();
    assert!(matches!(room.try_open(), Err(Error::RunNotFound { .. })));
    rustix::fs::mknodat(
        rustix::fs::CWD,
        room.path(),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o644),
        0,
    )
    .unwrap();
    assert!(matches!(room.try_open(), Err(Error::Io { .. })), "a pipe neither blocks nor passes");
    assert!(Journal::read(&room.path(), &room.run).is_err());
}

proptest::proptest! {
    #[test]
    fn any_bytes_can_be_scanned_and_no_covered_record_is_invented(
        noise in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300),
        at in 0_usize..2000,
    ) {
        static GOOD: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
        let run = RunId::parse("demo-1").unwrap();
        let mut bytes = GOOD.get_or_init(|| {
            let room = room();
            room.commit(&["one", "two"]);
            fs::read(room.path()).unwrap()
        }).clone();
        let good = Scan::of(&run, &bytes);
        let at = at.min(bytes.len());
        bytes.splice(at..at, noise);
        let scan = Scan::of(&run, &bytes);
        // The last batch is covered by nothing here: the head file and the batch after it do that.
        let last = scan.records.last().map_or(0, |record| record.batch.1 as usize);
        let covered = &scan.records[..scan.records.len() - last];
        let invented = covered.iter().any(|record| !good.records.contains(record));
        proptest::prop_assert!(!invented || scan.grave().is_some());
    }
}
