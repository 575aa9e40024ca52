//! Many processes, one journal: ours under the lock, others' without it, one that is killed in the middle.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::tests::{FOREIGN, Room, draft, now, room};
use super::*;
use crate::registry::Registry;

/// Names this process a child of the tests below: `<registry> <commits> <name>`.
const CHILD: &str = "TASKFORGE_TEST_JOURNAL_CHILD";

fn commits(registry: &Registry, run: &RunId, name: &str, count: usize) {
    for index in 0..count {
        let lock = RunLock::acquire(registry, run, Duration::from_secs(60)).unwrap();
        let (mut journal, _) = Journal::open(lock, |_| true, "tick", now()).unwrap();
        let drafts = (0..=index % 3).map(|part| draft("a", &format!("{name}-{index}-{part}"))).collect();
        journal.commit(drafts, "tick", now()).unwrap();
        // What a caller would be told.
        println!("{name}-{index}");
    }
}

/// Not a test of its own: the body of the processes that the tests start.
#[test]
fn child() {
    let Ok(task) = std::env::var(CHILD) else { return };
    let mut words = task.split(' ');
    let registry = Registry::at(Path::new(words.next().unwrap()));
    let count = words.next().unwrap().parse().unwrap();
    commits(&registry, &RunId::parse("demo-1").unwrap(), words.next().unwrap(), count);
}

fn start(room: &Room, count: usize, name: &str) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["registry::journal::concurrency::child", "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, format!("{} {count} {name}", room.registry.root().display()))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Every acknowledged batch is there once and whole, nothing is half there, and the chain holds.
fn check(room: &Room, acknowledged: &[String]) {
    room.open();
    let scan = room.scan();
    assert!(scan.grave().is_none() && scan.torn.is_empty(), "{:?}", scan.findings);
    let messages: Vec<String> = scan.records.iter().filter_map(|record| record.message.clone()).collect();
    for name in acknowledged {
        let index: usize = name.rsplit_once('-').unwrap().1.parse().unwrap();
        for part in 0..=index % 3 {
            let message = format!("{name}-{part}");
            assert_eq!(messages.iter().filter(|found| **found == message).count(), 1, "{message}");
        }
    }
    assert_eq!(
        scan.records.iter().map(|record| record.seq).collect::<Vec<_>>(),
        (1..=scan.head.seq).collect::<Vec<_>>()
    );
}

fn told(output: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(output);
    // A killed process may have been in the middle of telling.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().filter_map(|line| line.find("proc").map(|start| line[start..].to_owned())).collect()
}

#[test]
fn eight_processes() {
    let room = room();
    let children: Vec<_> = (0..8).map(|index| start(&room, 10, &format!("proc{index}"))).collect();
    let mut acknowledged = Vec::new();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        acknowledged.extend(told(&output.stdout));
    }
    assert_eq!(acknowledged.len(), 80);
    check(&room, &acknowledged);
}

#[test]
fn killed_processes() {
    let room = room();
    let mut acknowledged = Vec::new();
    for index in 0..20_u64 {
        let mut child = start(&room, 1000, &format!("proc{index}"));
        std::thread::sleep(Duration::from_millis(15 + index * 3));
        child.kill().unwrap();
        acknowledged.extend(told(&child.wait_with_output().unwrap().stdout));
    }
    check(&room, &acknowledged);
}

#[test]
fn other_programs_write_without_the_lock() {
    let room = room();
    let done = AtomicBool::new(false);
    let written = std::thread::scope(|scope| {
        let others: Vec<_> = (0..2)
            .map(|index| {
                let (room, done) = (&room, &done);
                scope.spawn(move || {
                    let mut written = 0;
                    while !done.load(Ordering::SeqCst) && written < 150 {
                        // Every other line in two writes, as a buffered program's long lines come.
                        if (written + index) % 2 == 0 {
                            room.foreign(FOREIGN);
                        } else {
                            let (first, second) = FOREIGN.split_at(50);
                            room.foreign(first);
                            room.foreign(second);
                        }
                        written += 1;
                        std::thread::sleep(Duration::from_millis(1));
                    }
                    written
                })
            })
            .collect();
        let ours: Vec<_> = (0..4)
            .map(|index| {
                let room = &room;
                scope.spawn(move || commits(&room.registry, &room.run, &format!("proc{index}"), 12))
            })
            .collect();
        ours.into_iter().for_each(|thread| thread.join().unwrap());
        done.store(true, Ordering::SeqCst);
        others.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>()
    });
    let acknowledged: Vec<String> =
        (0..4).flat_map(|index| (0..12).map(move |count| format!("proc{index}-{count}"))).collect();
    check(&room, &acknowledged);
    let whole = room.scan().foreign.iter().filter(|line| line.event.is_some()).count();
    assert!(whole > 0 && whole <= written, "{whole} of {written}");
}

#[test]
fn a_reader_of_a_growing_journal_sees_only_whole_batches_and_an_unbroken_chain() {
    let room = room();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut last = 0;
            while !done.load(Ordering::SeqCst) {
                let scan = room.scan();
                assert!(scan.grave().is_none(), "{:?}", scan.findings);
                assert!(scan.records.len() >= last);
                assert!(scan.records.last().is_none_or(|record| record.batch.0 == record.batch.1));
                last = scan.records.len();
            }
        });
        commits(&room.registry, &room.run, "proc0", 60);
        done.store(true, Ordering::SeqCst);
        reader.join().unwrap();
    });
}
