#![allow(clippy::unwrap_used)]

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;
use tempfile::TempDir;

use super::super::{Payload, Traffic, read};
use super::*;

fn run() -> RunId {
    RunId::parse("demo").unwrap()
}

fn open(gate: &TempDir) -> Result<Recorder, Error> {
    open_on(gate, |file| Box::new(file))
}

fn open_on(gate: &TempDir, disk: fn(File) -> Box<dyn Disk>) -> Result<Recorder, Error> {
    Recorder::open(&RecorderOptions { gate: gate.path(), run: &run(), disk })
}

fn entry(text: &str) -> Entry {
    let mut fields = Map::new();
    fields.insert("target".into(), text.into());
    Entry { kind: Kind::EgressDenied, of: Some(("gather".into(), 1)), fields, body: None }
}

fn record(recorder: &Recorder, entry: Entry) -> Outcome {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(recorder.record(entry))
}

fn traffic(gate: &TempDir) -> Result<Traffic, Error> {
    read(&gate.path().join("traffic.jsonl"), &run())
}

fn path(gate: &TempDir) -> PathBuf {
    gate.path().join("traffic.jsonl")
}

/// Closes a recorder and waits until its writer has ended: it lets go of the lock last.
fn close(recorder: Recorder) {
    let file = File::open(recorder.path()).unwrap();
    drop(recorder);
    file.lock().unwrap();
}

#[test]
fn records_go_on_after_a_restart() {
    let gate = tempfile::tempdir().unwrap();
    for n in 1..=3 {
        let recorder = open(&gate).unwrap();
        assert_eq!(record(&recorder, entry("a:1")).unwrap(), n);
        assert_eq!(recorder.index(|i| i.denial_count("gather", 1)), n);
        close(recorder);
    }
    let traffic = traffic(&gate).unwrap();
    assert_eq!(traffic.records.iter().map(|r| r.seq).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(traffic.bytes, std::fs::metadata(path(&gate)).unwrap().len());
}

#[test]
fn one_file_has_one_gate() {
    let gate = tempfile::tempdir().unwrap();
    let recorder = open(&gate).unwrap();
    assert!(matches!(open(&gate), Err(Error::Locked { .. })));
    close(recorder);
    open(&gate).unwrap();
}

#[test]
fn bodies_are_there_before_the_record_that_names_them() {
    let gate = tempfile::tempdir().unwrap();
    let recorder = open(&gate).unwrap();
    for body in [vec![b'x'; 10], vec![b'x'; 5000], vec![0xff; 10], Vec::new()] {
        let payload = Some(Payload::whole(body.clone().into()));
        record(&recorder, Entry { body: payload, ..entry("a:1") }).unwrap();
        let traffic = traffic(&gate).unwrap();
        let known = traffic.records.last().unwrap().body().unwrap();
        assert_eq!(recorder.bodies().load(&known).unwrap(), body);
        assert_eq!(known.pack.is_some(), body.len() <= 4096);
        assert!(!std::fs::read_to_string(path(&gate)).unwrap().contains("xxxx"), "no body stands in a record");
    }
}

#[test]
fn a_changed_body_is_not_given_out() {
    let gate = tempfile::tempdir().unwrap();
    let recorder = open(&gate).unwrap();
    record(&recorder, Entry { body: Some(Payload::whole(vec![b'x'; 5000].into())), ..entry("a:1") }).unwrap();
    let known = traffic(&gate).unwrap().records[0].body().unwrap();
    std::fs::write(gate.path().join("bodies").join(known.sha256.as_str()), vec![b'y'; 5000]).unwrap();
    assert!(matches!(recorder.bodies().load(&known), Err(Error::Integrity { .. })));
    std::fs::remove_file(gate.path().join("bodies").join(known.sha256.as_str())).unwrap();
    assert!(matches!(recorder.bodies().load(&known), Err(Error::BodyMissing { .. })));
}

#[test]
fn a_body_can_be_taken_away_and_the_chain_holds() {
    let gate = tempfile::tempdir().unwrap();
    let recorder = open(&gate).unwrap();
    for body in [vec![b'a'; 10], vec![b'b'; 5000], vec![b'c'; 10], vec![0; 3]] {
        record(&recorder, Entry { body: Some(Payload::whole(body.into())), ..entry("a:1") }).unwrap();
    }
    let before = traffic(&gate).unwrap();
    let known: Vec<BodyRef> = before.records.iter().map(|r| r.body().unwrap()).collect();
    recorder.bodies().remove(&known[..2]).unwrap();
    recorder.bodies().remove(&known[..2]).unwrap();
    assert_eq!(traffic(&gate).unwrap(), before);
    let gone = |body: &BodyRef| matches!(recorder.bodies().load(body), Err(Error::BodyMissing { .. }));
    assert_eq!(known.iter().map(gone).collect::<Vec<_>>(), [true, true, false, false]);
    assert_eq!(recorder.bodies().load(&known[3]).unwrap(), [0; 3]);
    // What comes next does not land where something was.
    record(&recorder, Entry { body: Some(Payload::whole(vec![b'd'; 10].into())), ..entry("a:1") }).unwrap();
    assert!(gone(&known[0]) && !gone(&traffic(&gate).unwrap().records[4].body().unwrap()));
}

#[test]
fn small_bodies_lie_apart_also_after_a_restart() {
    let gate = tempfile::tempdir().unwrap();
    for n in 0..3_u8 {
        let recorder = open(&gate).unwrap();
        record(&recorder, Entry { body: Some(Payload::whole(vec![n + 1; 7].into())), ..entry("a:1") }).unwrap();
        for (n, known) in traffic(&gate).unwrap().records.iter().enumerate() {
            let expected = [u8::try_from(n).unwrap() + 1; 7];
            assert_eq!(recorder.bodies().load(&known.body().unwrap()).unwrap(), expected);
        }
        close(recorder);
    }
}

/// Three records, and the text of the file.
fn three() -> (TempDir, Vec<u8>) {
    let gate = tempfile::tempdir().unwrap();
    let recorder = open(&gate).unwrap();
    for target in ["a:1", "b:2", "ü:3"] {
        record(&recorder, entry(target)).unwrap();
    }
    close(recorder);
    let text = std::fs::read(path(&gate)).unwrap();
    (gate, text)
}

#[test]
fn every_torn_tail_is_voided_and_named() {
    let (_gate, text) = three();
    let last = text[..text.len() - 1].iter().rposition(|&b| b == b'\n').unwrap() + 1;
    for cut in (last + 1..text.len()).step_by(7).chain([last + 1, text.len() - 1]) {
        let gate = tempfile::tempdir().unwrap();
        std::fs::write(path(&gate), &text[..cut]).unwrap();
        let before = traffic(&gate).unwrap();
        assert_eq!((before.records.len(), before.torn.as_ref().map(|t| t.from)), (2, Some(last as u64)));
        let recorder = open(&gate).unwrap();
        assert_eq!(record(&recorder, entry("d:4")).unwrap(), 4);
        close(recorder);
        let after = traffic(&gate).unwrap();
        let kinds: Vec<&str> = after.records.iter().map(|r| r.kind.as_str()).collect();
        assert_eq!(kinds, ["egress.denied", "egress.denied", "traffic.voided", "egress.denied"]);
        let voided = &after.records[2].fields;
        assert_eq!(voided["from"], last);
        assert_eq!(voided["bytes"], cut - last);
        assert_eq!(voided["sha256"], Digest::of(&text[last..cut]).as_str());
        assert!(after.torn.is_none());
    }
}

#[test]
fn every_changed_byte_is_seen() {
    let (gate, text) = three();
    let whole = traffic(&gate).unwrap();
    for at in 0..text.len() {
        let mut changed = text.clone();
        changed[at] ^= 0x20;
        std::fs::write(path(&gate), &changed).unwrap();
        // In the last line only its own words can be changed unseen, until a line or the journal's head follows.
        let read = traffic(&gate);
        assert!(read.as_ref().map_or(true, |t| t.head != whole.head), "byte {at}");
        if at < text.len() - 1 && text[..at].iter().filter(|&&b| b == b'\n').count() < 2 {
            assert!(matches!(read, Err(Error::Integrity { .. })), "byte {at}");
            assert!(open(&gate).is_err());
        }
    }
    std::fs::write(path(&gate), &text).unwrap();
    assert_eq!(traffic(&gate).unwrap(), whole);
}

#[test]
fn records_of_another_run_are_refused() {
    let (gate, _) = three();
    assert!(matches!(read(&path(&gate), &RunId::parse("other").unwrap()), Err(Error::Integrity { .. })));
}

#[test]
fn a_symlink_is_not_written_through() {
    let gate = tempfile::tempdir().unwrap();
    let elsewhere = gate.path().join("elsewhere");
    std::fs::write(&elsewhere, "").unwrap();
    std::os::unix::fs::symlink(&elsewhere, path(&gate)).unwrap();
    assert!(open(&gate).is_err());
}

/// A disk that is full, or whose syncs fail, on every third call.
struct Faulty {
    file: File,
    calls: &'static AtomicU32,
    full: bool,
}

impl Disk for Faulty {
    fn write_at(&mut self, bytes: &[u8], at: u64) -> io::Result<()> {
        use std::os::unix::fs::FileExt as _;
        if self.full && self.calls.fetch_add(1, Ordering::Relaxed) % 3 == 1 {
            self.file.write_all_at(&bytes[..bytes.len() / 2], at)?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.write_all_at(bytes, at)
    }

    fn sync(&mut self) -> io::Result<()> {
        if !self.full && self.calls.fetch_add(1, Ordering::Relaxed) % 3 == 1 {
            return Err(io::Error::other("the sync failed"));
        }
        self.file.sync_data()
    }

    fn len(&mut self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }
}

fn acknowledged_are_there(disk: fn(File) -> Box<dyn Disk>) {
    let gate = tempfile::tempdir().unwrap();
    let recorder = open_on(&gate, disk).unwrap();
    let mut acknowledged = Vec::new();
    let mut refused = Vec::new();
    for n in 0..30 {
        let target = format!("host-{n}:1");
        match record(&recorder, entry(&target)) {
            Ok(seq) => acknowledged.push((seq, target)),
            Err(_) => refused.push(target),
        }
    }
    close(recorder);
    let traffic = traffic(&gate).unwrap();
    assert!(!refused.is_empty() && !acknowledged.is_empty());
    let on_disk: Vec<(u64, String)> =
        traffic.of(&Kind::EgressDenied).map(|r| (r.seq, r.text("target").unwrap().to_owned())).collect();
    assert_eq!(on_disk, acknowledged);
    assert!(traffic.of(&Kind::Voided).count() > 0);
}

#[test]
fn a_full_disk_loses_nothing_that_was_acknowledged() {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    acknowledged_are_there(|file| Box::new(Faulty { file, calls: &CALLS, full: true }));
}

#[test]
fn a_failed_sync_acknowledges_nothing_and_is_voided() {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    acknowledged_are_there(|file| Box::new(Faulty { file, calls: &CALLS, full: false }));
}

#[test]
fn who_waits_together_shares_a_sync() {
    static SYNCS: AtomicU32 = AtomicU32::new(0);
    struct Counting(File);
    impl Disk for Counting {
        fn write_at(&mut self, bytes: &[u8], at: u64) -> io::Result<()> {
            Disk::write_at(&mut self.0, bytes, at)
        }
        fn sync(&mut self) -> io::Result<()> {
            // The first commit is held up until the others are in the queue.
            if SYNCS.fetch_add(1, Ordering::SeqCst) == 0 {
                std::thread::sleep(Duration::from_millis(300));
            }
            Disk::sync(&mut self.0)
        }
        fn len(&mut self) -> io::Result<u64> {
            Disk::len(&mut self.0)
        }
    }
    let gate = tempfile::tempdir().unwrap();
    let recorder = open_on(&gate, |file| Box::new(Counting(file))).unwrap();
    let all = async {
        let waiting: Vec<_> = (0..100).map(|n| recorder.record(entry(&format!("h{n}:1")))).collect();
        futures_util::future::join_all(waiting).await
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let outcomes = runtime.block_on(all);
    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!(traffic(&gate).unwrap().records.len(), 100);
    assert!(SYNCS.load(Ordering::SeqCst) < 100);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn reading_never_panics(garbage in prop::collection::vec(any::<u8>(), 0..300), at in 0usize..400) {
        let (gate, mut text) = three();
        let at = at.min(text.len());
        text.splice(at..at, garbage);
        std::fs::write(path(&gate), &text).unwrap();
        if let Ok(traffic) = traffic(&gate) {
            prop_assert!(traffic.records.len() <= 3);
        }
    }
}

/// A conversation as clients send it: each request is the one before with more in its middle.
fn turn(messages: usize) -> Vec<u8> {
    let said: Vec<String> = (0..messages)
        .map(|n| format!("{{\"role\":\"user\",\"content\":\"{}\"}}", format!("word{n} ").repeat(120)))
        .collect();
    format!("{{\"model\":\"m\",\"messages\":[{}],\"tools\":[\"{}\"]}}", said.join(","), "tool ".repeat(500))
        .into_bytes()
}

fn ask(recorder: &Recorder, body: Vec<u8>) {
    let request = Entry { kind: Kind::LlmRequest, body: Some(Payload::whole(body.into())), ..entry("a:1") };
    record(recorder, request).unwrap();
}

fn size_of(gate: &tempfile::TempDir) -> u64 {
    let files = std::fs::read_dir(gate.path().join("bodies")).unwrap();
    files.map(|file| file.unwrap().metadata().unwrap().len()).sum()
}

#[test]
fn a_conversation_takes_room_for_what_is_new() {
    let gate = tempfile::tempdir().unwrap();
    let recorder = open(&gate).unwrap();
    let mut sizes = vec![0];
    for messages in 1..=100 {
        ask(&recorder, turn(messages));
        sizes.push(size_of(&gate));
    }
    let grown = |from: usize, to: usize| sizes[to] - sizes[from];
    assert!(grown(70, 100) < grown(10, 40) * 12 / 10, "{} {}", grown(70, 100), grown(10, 40));
    for (n, found) in traffic(&gate).unwrap().records.iter().enumerate() {
        let known = found.body().unwrap();
        assert_eq!(recorder.bodies().load(&known).unwrap(), turn(n + 1));
        assert_eq!(known.continues, n > 0);
    }
    // Another gate knows nothing of it, and begins anew.
    close(recorder);
    let recorder = open(&gate).unwrap();
    ask(&recorder, turn(101));
    ask(&recorder, turn(102));
    let records = traffic(&gate).unwrap().records;
    let known: Vec<BodyRef> = records[100..].iter().map(|record| record.body().unwrap()).collect();
    assert_eq!((known[0].continues, known[1].continues), (false, true));
    assert_eq!(recorder.bodies().load(&known[1]).unwrap(), turn(102));
}

#[test]
fn no_chain_of_bodies_is_longer_than_a_reader_follows() {
    let gate = tempfile::tempdir().unwrap();
    let recorder = open(&gate).unwrap();
    for messages in 1..=450 {
        ask(&recorder, turn(messages.min(40) + messages % 2));
    }
    let records = traffic(&gate).unwrap().records;
    let whole: Vec<usize> = (0..450).filter(|n| !records[*n].body().unwrap().continues).collect();
    assert_eq!(whole, [0, 201, 402]);
    for (n, found) in records.iter().enumerate() {
        let messages = n + 1;
        assert_eq!(recorder.bodies().load(&found.body().unwrap()).unwrap(), turn(messages.min(40) + messages % 2));
    }
}

#[test]
fn what_goes_on_from_a_body_that_is_taken_away_stays() {
    let gate = tempfile::tempdir().unwrap();
    let recorder = open(&gate).unwrap();
    (1..=6).for_each(|messages| ask(&recorder, turn(messages)));
    close(recorder);
    for gone in [3, 1] {
        crate::gate::redact(gate.path(), &run(), &[gone], "operator:ada", "a name").unwrap();
    }
    let records = traffic(&gate).unwrap().records;
    let bodies = Bodies::of(gate.path());
    for (n, record) in records[..6].iter().enumerate() {
        let loaded = bodies.load(&record.body().unwrap());
        match n + 1 {
            1 | 3 => assert!(matches!(loaded, Err(Error::BodyMissing { .. })), "{loaded:?}"),
            messages => assert_eq!(loaded.unwrap(), turn(messages), "{messages}"),
        }
    }
}

#[test]
fn a_continuation_that_was_changed_is_not_given_out() {
    let gate = tempfile::tempdir().unwrap();
    let recorder = open(&gate).unwrap();
    (1..=3).for_each(|messages| ask(&recorder, turn(messages)));
    let known = traffic(&gate).unwrap().records[2].body().unwrap();
    let pack = gate.path().join("bodies/pack");
    let sound = std::fs::read(&pack).unwrap();
    let from = usize::try_from(known.pack.unwrap()).unwrap();
    let mut dice = 7_u64;
    for place in from..sound.len() {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let mut changed = sound.clone();
        changed[place] ^= 1 << (dice >> 61);
        std::fs::write(&pack, &changed).unwrap();
        match recorder.bodies().load(&known) {
            Ok(bytes) => assert_eq!(bytes, turn(3), "byte {place}"),
            Err(Error::Integrity { .. } | Error::BodyMissing { .. } | Error::TooLarge { .. }) => {}
            Err(other) => panic!("{place}: {other}"),
        }
    }
    // One that goes on from itself, or from what comes after it.
    for at in [known.pack.unwrap(), known.pack.unwrap() + 1, u64::MAX] {
        let text = String::from_utf8_lossy(&sound[from..]).into_owned();
        let line = text.lines().next().unwrap();
        let mut link: serde_json::Value = serde_json::from_str(line).unwrap();
        link["from"]["pack"] = at.into();
        let mut changed = sound[..from].to_vec();
        changed.extend_from_slice(format!("{link}\n").as_bytes());
        changed.extend_from_slice(&vec![b'x'; 10_000]);
        std::fs::write(&pack, &changed).unwrap();
        assert!(matches!(recorder.bodies().load(&known), Err(Error::Integrity { .. })), "{at}");
    }
}

/// Root takes something away, and the gate, which is somebody else, has to read what is left.
#[test]
fn what_root_writes_belongs_to_the_gate() {
    assert!(rustix::process::geteuid().is_root(), "run this as root: it gives a folder to another user");
    let gate = tempfile::tempdir().unwrap();
    let recorder = open(&gate).unwrap();
    (1..=2).for_each(|messages| ask(&recorder, turn(messages)));
    close(recorder);
    std::os::unix::fs::chown(gate.path().join("bodies"), Some(12_345), Some(23_456)).unwrap();
    crate::gate::redact(gate.path(), &run(), &[1], "operator:ada", "a name").unwrap();
    let kept = traffic(&gate).unwrap().records[1].body().unwrap();
    let file = std::fs::metadata(gate.path().join("bodies").join(kept.sha256.as_str())).unwrap();
    let owner = |file: &std::fs::Metadata| std::os::unix::fs::MetadataExt::uid(file);
    assert_eq!((owner(&file), std::os::unix::fs::MetadataExt::gid(&file)), (12_345, 23_456));
}
