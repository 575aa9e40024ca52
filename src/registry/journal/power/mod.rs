//! Power cuts. A test records the calls that a piece of work makes, cuts the power after each of them, and lets the disk
//! keep any legal part of what was not synced: bytes by the sector, names by the rename. What then stands on the disk is
//! opened again: what was acknowledged must be there, the rest whole or absent, the chain unbroken.
//!
//! Then each sync is taken out in turn, and the same test has to fail: a sync that nothing needs would be found, too.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod model;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use self::model::{Disk, ROOT};
use super::scan::{VOIDED, voided_ranges};
use super::tests::{FOREIGN, Room, draft, now, room};
use super::*;
use crate::registry::create::stage_run;
use crate::registry::faults::{Call, control};
use crate::registry::project::{write_durable, write_durable_new};
use crate::registry::{Registry, queries};

fn below(root: &Path, call: &Call) -> Call {
    let cut = |path: &PathBuf| path.strip_prefix(root).unwrap().to_owned();
    match call {
        Call::Create(path) => Call::Create(cut(path)),
        Call::MakeDir(path) => Call::MakeDir(cut(path)),
        Call::Write { path, offset, bytes } => Call::Write { path: cut(path), offset: *offset, bytes: bytes.clone() },
        Call::Sync(path) => Call::Sync(cut(path)),
        Call::SyncDir(path) => Call::SyncDir(cut(path)),
        Call::Rename(from, to) => Call::Rename(cut(from), cut(to)),
        Call::Remove(path) => Call::Remove(cut(path)),
        Call::Acknowledged => Call::Acknowledged,
    }
}

/// Cuts the power after each call, in every way, and hands each disk to `check` with how often the caller had been told
/// that its work was done. The first complaint, if there is one.
fn cut_everywhere(start: &Disk, calls: &[Call], check: &dyn Fn(&Path, usize) -> Result<(), String>) -> Option<String> {
    let mut disk = start.clone();
    let mut acknowledged = 0;
    for index in 0..=calls.len() {
        for outcome in disk.outcomes() {
            // In memory: these syncs are not the ones under test.
            let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
            outcome.store(ROOT, folder.path());
            if let Err(complaint) = check(folder.path(), acknowledged) {
                return Some(format!("after {index} calls: {complaint}"));
            }
        }
        if let Some(call) = calls.get(index) {
            acknowledged += usize::from(*call == Call::Acknowledged);
            disk.run(call);
        }
    }
    None
}

/// Records `work` on the registry at `root`, cuts the power everywhere, and then shows for each sync that it is needed.
fn survives(root: &Path, work: impl FnOnce(), check: &dyn Fn(&Path, usize) -> Result<(), String>) {
    let start = Disk::of(root);
    control::record(&[]);
    work();
    let calls: Vec<Call> = control::stop().iter().map(|call| below(root, call)).collect();
    assert_eq!(cut_everywhere(&start, &calls, check), None, "{}", names(&calls));
    let mut syncs = 0;
    for (index, call) in calls.iter().enumerate() {
        if matches!(call, Call::Sync(_) | Call::SyncDir(_)) {
            syncs += 1;
            let mut without = calls.clone();
            without.remove(index);
            let complaint = cut_everywhere(&start, &without, check);
            assert!(complaint.is_some(), "nothing needs call {index}, {call:?}, of {}", names(&calls));
        }
    }
    assert!(syncs > 0);
}

fn names(calls: &[Call]) -> String {
    let short = |call: &Call| match call {
        Call::Write { path, offset, bytes } => format!("write {} at {offset}: {}", path.display(), bytes.len()),
        other => format!("{other:?}"),
    };
    calls.iter().map(short).collect::<Vec<_>>().join("\n")
}

/// Opens the run as the next process would, and looks whether everything is as promised.
fn open_again(root: &Path, run: &RunId) -> Result<Vec<Record>, String> {
    let registry = Registry::at(root);
    let open = || {
        let lock = RunLock::acquire(&registry, run, std::time::Duration::ZERO).map_err(|error| error.to_string())?;
        Journal::open(lock, |_| true, "tick", now()).map_err(|error| error.to_string())
    };
    let (mut journal, _) = open()?;
    journal.commit(vec![draft("a", "after")], "tick", now()).map_err(|error| error.to_string())?;
    drop(journal);
    let path = registry.layout().run(run).journal();
    let scan = Journal::read(&path, run).map_err(|error| error.to_string())?;
    if let Some(finding) = scan.grave() {
        return Err(format!("line {} {}", finding.place.line, finding.what));
    }
    if !scan.torn.is_empty() {
        return Err("torn after mending".into());
    }
    if let Some(finding) = scan.findings.iter().find(|finding| finding.what == super::scan::Oddity::Opaque) {
        return Err(format!("line {} is garbage, and nothing says why", finding.place.line));
    }
    let bytes = fs::read(&path).unwrap();
    let saved = fs::read(registry.layout().run(run).torn()).unwrap_or_default();
    for record in scan.records.iter().filter(|record| record.event == VOIDED) {
        for (range, entry) in voided_ranges(record).iter().zip(record.data["ranges"].as_array().unwrap()) {
            let void = &bytes[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()];
            if !void.iter().all(|byte| matches!(byte, b' ' | b'\n')) {
                return Err(format!("{range:?} is not blank"));
            }
            let digest = entry["digest"].as_str().unwrap();
            let header = format!("{entry}\n");
            let mut places = saved.windows(header.len()).enumerate().filter(|(_, window)| *window == header.as_bytes());
            let kept = |(at, _): (usize, &[u8])| {
                let content = saved.get(at + header.len()..at + header.len() + void.len());
                content.is_some_and(|bytes| crate::run::id::Digest::of(bytes).as_str() == digest)
            };
            if !places.any(kept) {
                return Err(format!("the bytes of {range:?} are not in events.torn"));
            }
        }
    }
    open()?;
    Ok(scan.records)
}

/// Whether the acknowledged messages are there in order, and each batch whole or absent.
fn check_batches(root: &Path, run: &RunId, acknowledged: usize, batches: &[&[&str]]) -> Result<(), String> {
    let found: Vec<String> = open_again(root, run)?.into_iter().filter_map(|record| record.message).collect();
    let found: Vec<&str> = found.iter().map(String::as_str).filter(|text| !text.starts_with("Voided")).collect();
    for (index, batch) in batches.iter().enumerate() {
        let here: Vec<&&str> = batch.iter().filter(|message| found.contains(message)).collect();
        if here.len() != batch.len() && (index < acknowledged || !here.is_empty()) {
            return Err(format!(
                "batch {index} of {acknowledged} acknowledged ones: {here:?} of {batch:?} in {found:?}"
            ));
        }
    }
    let order: Vec<&str> = batches.concat().into_iter().filter(|message| found.contains(message)).collect();
    if found.iter().filter(|text| order.contains(text)).ne(order.iter()) {
        return Err(format!("out of order: {found:?}"));
    }
    Ok(())
}

fn commit(journal: &mut Journal, messages: &[&str]) {
    let drafts = messages.iter().map(|message| draft("node.progress", message)).collect();
    journal.commit(drafts, "tick", now()).unwrap();
    control::acknowledged();
}

/// Bytes of another program, unsynced.
fn foreign(room: &Room, bytes: &[u8]) {
    let path = room.path();
    disk::append(&disk::open_log(&path).unwrap(), &path, bytes).unwrap();
}

fn root(room: &Room) -> PathBuf {
    room.registry.root().to_owned()
}

#[test]
fn commits() {
    let room = room();
    let batches: [&[&str]; 2] = [&["one"], &["two", "three"]];
    survives(
        &root(&room),
        || {
            let mut journal = room.open();
            batches.iter().for_each(|batch| commit(&mut journal, batch));
        },
        &|root, acknowledged| check_batches(root, &room.run, acknowledged, &batches),
    );
}

#[test]
fn commits_behind_another_program_s_lines() {
    let room = room();
    let batches: [&[&str]; 2] = [&["one"], &["two"]];
    survives(
        &root(&room),
        || {
            for batch in batches {
                foreign(&room, FOREIGN);
                foreign(&room, &FOREIGN.repeat(5));
                commit(&mut room.open(), batch);
            }
        },
        &|root, acknowledged| check_batches(root, &room.run, acknowledged, &batches),
    );
}

#[test]
fn mending_a_torn_tail() {
    let room = room();
    commit(&mut room.open(), &["kept"]);
    let kept = fs::read(room.path()).unwrap();
    let head = Scan::of(&room.run, &kept).head;
    commit(&mut room.open(), &["torn 1", "torn 2"]);
    let all = fs::read(room.path()).unwrap();
    fs::write(room.path(), &all[..all.len() - 100]).unwrap();
    heads::write(&room.registry.layout().head(&room.run), &Kept::of(head.clone(), None)).unwrap();
    let batches: [&[&str]; 1] = [&["next"]];
    survives(&root(&room), || commit(&mut room.open(), batches[0]), &|root, acknowledged| {
        check_batches(root, &room.run, acknowledged, &batches)?;
        check_batches(root, &room.run, 1, &[&["kept"]])
    });
}

#[test]
fn going_on_after_a_crash_before_the_sync() {
    let room = room();
    let batches: [&[&str]; 2] = [&["written, not synced"], &["next"]];
    survives(
        &root(&room),
        || {
            // A process that is killed between its append and its sync.
            let journal = room.open();
            let records = journal.place(vec![draft("a", batches[0][0])], "tick", now()).unwrap();
            journal.write(format!("{}\n", line::encode(&records[0]).unwrap()).as_bytes()).unwrap();
            drop(journal);
            // The next one builds on what it sees.
            let (mut journal, _) = room.try_open().unwrap();
            control::acknowledged();
            commit(&mut journal, batches[1]);
        },
        &|root, acknowledged| check_batches(root, &room.run, acknowledged, &batches),
    );
}

#[test]
fn going_on_after_a_batch_that_lacks_its_newline() {
    let room = room();
    let old = room.scan().head;
    room.commit(&["one", "two"]);
    let all = fs::read(room.path()).unwrap();
    fs::write(room.path(), &all[..all.len() - 1]).unwrap();
    heads::write(&room.registry.layout().head(&room.run), &Kept::of(old.clone(), None)).unwrap();
    let batches: [&[&str]; 2] = [&["one", "two"], &["three"]];
    survives(
        &root(&room),
        || {
            let (mut journal, _) = room.try_open().unwrap();
            control::acknowledged();
            commit(&mut journal, batches[1]);
        },
        &|root, acknowledged| check_batches(root, &room.run, acknowledged, &batches),
    );
}

#[test]
fn a_new_run() {
    let room = room();
    let new = RunId::parse("new").unwrap();
    let big = "x".repeat(700);
    survives(
        &root(&room),
        || {
            let mut staged = stage_run(&room.registry, &new).unwrap();
            staged.write_file("workflow.lock.md", big.as_bytes()).unwrap();
            staged.write_file("nodes/a/handoff.md", b"handoff").unwrap();
            let created = Draft { data: json!({"format": 1}).as_object().unwrap().clone(), ..draft("run.created", "") };
            staged.begin_journal(vec![created], "operator:ada", now()).unwrap();
            staged.publish().unwrap();
            control::acknowledged();
        },
        &|root, acknowledged| {
            let registry = Registry::at(root);
            let run = registry.layout().run(&new);
            match (run.root().exists(), acknowledged) {
                (false, 0) => return Ok(()),
                (false, _) => return Err("the run is gone".into()),
                (true, _) => {}
            }
            let whole = fs::read(run.workflow()).is_ok_and(|text| text == big.as_bytes())
                && fs::read(run.nodes().join("a/handoff.md")).is_ok_and(|text| text == b"handoff");
            if !whole || !queries::list_runs(&registry).unwrap().contains(&new) {
                return Err("the run is not whole".into());
            }
            let records = open_again(root, &new)?;
            if records.first().is_none_or(|record| record.event != "run.created") {
                return Err("the run has no beginning".into());
            }
            Ok(())
        },
    );
}

#[test]
fn durable_files() {
    let room = room();
    let (old, new) = ("o".repeat(1500), "n".repeat(1500));
    let path = room.registry.layout().run(&room.run).root().join("policy.json");
    fs::write(&path, &old).unwrap();
    let other = path.with_file_name("decision.json");
    survives(
        &root(&room),
        || {
            write_durable(&path, new.as_bytes()).unwrap();
            control::acknowledged();
            write_durable_new(&other, new.as_bytes()).unwrap();
            control::acknowledged();
        },
        &|root, acknowledged| {
            let read = |name: &str| fs::read_to_string(root.join("runs/demo-1").join(name)).ok();
            match (read("policy.json"), acknowledged) {
                (Some(text), _) if text == new => {}
                (Some(text), 0) if text == old => {}
                (found, _) => return Err(format!("policy.json has {:?} bytes", found.map(|text| text.len()))),
            }
            match (read("decision.json"), acknowledged) {
                (Some(text), _) if text == new => Ok(()),
                (None, 0 | 1) => Ok(()),
                (found, _) => Err(format!("decision.json has {:?} bytes", found.map(|text| text.len()))),
            }
        },
    );
}

#[test]
fn the_kill_file() {
    let room = room();
    survives(
        &root(&room),
        || {
            crate::registry::kill::engage(room.registry.layout(), "test", "operator:ada", now()).unwrap();
            control::acknowledged();
        },
        &|root, acknowledged| {
            let layout = crate::registry::Layout::new(root);
            match (crate::registry::kill::read(&layout).unwrap(), acknowledged) {
                (Some(kill), _) if kill.reason == "test" => Ok(()),
                (None, 0) => Ok(()),
                (found, _) => Err(format!("{found:?}")),
            }
        },
    );
}

#[test]
fn lifting_the_kill_switch() {
    let room = room();
    crate::registry::kill::engage(room.registry.layout(), "test", "operator:ada", now()).unwrap();
    survives(
        &root(&room),
        || {
            crate::registry::kill::lift(room.registry.layout()).unwrap();
            control::acknowledged();
        },
        &|root, acknowledged| {
            let killed = crate::registry::kill::read(&crate::registry::Layout::new(root)).unwrap().is_some();
            if killed && acknowledged > 0 { Err("killed again".into()) } else { Ok(()) }
        },
    );
}

#[test]
fn collected_files() {
    let room = room();
    let node = room.registry.layout().run(&room.run).root().join("nodes");
    fs::create_dir_all(node.join("workspace")).unwrap();
    let text = "r".repeat(1300);
    fs::write(node.join("workspace/report.md"), &text).unwrap();
    survives(
        &root(&room),
        || {
            crate::registry::collect::collect(&node.join("workspace"), "report.md", &node, 4096).unwrap().unwrap();
            control::acknowledged();
        },
        &|root, acknowledged| match (fs::read_to_string(root.join("runs/demo-1/nodes/report.md")).ok(), acknowledged) {
            (Some(found), _) if found == text => Ok(()),
            (None, 0) => Ok(()),
            (found, _) => Err(format!("{:?} bytes", found.map(|text| text.len()))),
        },
    );
}
