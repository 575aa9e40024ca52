//! Every small change of a small journal, one after the other: with this machine's head, with nothing but the journal,
//! and with a signed checkpoint of the head.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use super::*;

/// Two runs of six lines each, in batches of one, one, two and two lines, and the head of the first.
struct Small {
    bytes: Vec<u8>,
    head: Head,
    other: Vec<u8>,
}

fn small() -> &'static Small {
    static SMALL: OnceLock<Small> = OnceLock::new();
    SMALL.get_or_init(|| {
        let make = |words: [&str; 5]| {
            let room = Room::empty();
            let [one, two, three, four, five] = words;
            room.commit(&[one]);
            room.commit(&[two, three]);
            room.commit(&[four, five]);
            (fs::read(room.path()).unwrap(), room.open().1.head)
        };
        let (bytes, head) = make(["a", "b", "c", "d", "e"]);
        let (other, _) = make(["A", "B", "C", "D", "E"]);
        Small { bytes, head, other }
    })
}

/// The changes of the journal that are tried, each with a name.
fn changes(each: &mut dyn FnMut(String, &[u8])) {
    let Small { bytes, other, .. } = small();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        // What reads as something else, and what JSON reads as the same.
        for value in [bytes[at] ^ 1, bytes[at] ^ 0x20, bytes[at] ^ 0x80, b' ', b'\n', b'0'] {
            changed[at] = value;
            if value != bytes[at] {
                each(format!("byte {at} is {value}"), &changed);
            }
        }
        let (head, tail) = bytes.split_at(at);
        each(format!("byte {at} is gone"), &[head, &tail[1..]].concat());
        for noise in [&b" "[..], b"\n", b"{}\n"] {
            each(format!("{noise:?} before byte {at}"), &[head, noise, tail].concat());
        }
        if at + 1 < bytes.len() && bytes[at] != bytes[at + 1] {
            let mut swapped = bytes.clone();
            swapped.swap(at, at + 1);
            each(format!("bytes {at} and its neighbour are swapped"), &swapped);
        }
        each(format!("cut to {at}"), head);
    }
    let lines = |bytes: &'static [u8]| -> Vec<&'static [u8]> { bytes.split_inclusive(|b| *b == b'\n').collect() };
    let (ours, theirs) = (lines(bytes), lines(other));
    for index in 0..ours.len() {
        for place in 0..=ours.len() {
            let mut doubled = ours.clone();
            doubled.insert(place, ours[index]);
            each(format!("line {index} again at {place}"), &doubled.concat());
            let mut spliced = ours.clone();
            spliced.insert(place, theirs[index]);
            each(format!("the other's line {index} at {place}"), &spliced.concat());
        }
        for second in index + 1..ours.len() {
            let mut swapped = ours.clone();
            swapped.swap(index, second);
            each(format!("lines {index} and {second} swapped"), &swapped.concat());
            let mut removed = ours.clone();
            removed.drain(index..second);
            each(format!("lines {index} to {second} gone"), &removed.concat());
            let mut spliced = ours.clone();
            spliced.splice(index..second, theirs[index..second].iter().copied());
            each(format!("the other's lines {index} to {second}"), &spliced.concat());
        }
    }
    for from in 0..=ours.len() {
        for onward in 0..=theirs.len() {
            if from < ours.len() || onward < theirs.len() {
                each(
                    format!("{from} lines, and the other's from {onward}"),
                    &[ours[..from].concat(), theirs[onward..].concat()].concat(),
                );
            }
        }
    }
}

/// What is not found by `kept` and `known`.
fn missed(kept: Option<&Head>, known: &[Head]) -> BTreeSet<String> {
    let (_, _, run) = sample();
    let mut missed = BTreeSet::new();
    let mut tried = 0;
    changes(&mut |what, changed| {
        // What was appended behind the whole journal changes nothing that was written.
        if changed.starts_with(&small().bytes) {
            return;
        }
        tried += 1;
        if journal::verify(run, changed, kept, known).problems.is_empty() {
            missed.insert(what);
        }
    });
    assert!(tried > 5000, "{tried}");
    missed
}

#[test]
fn with_a_head_every_change_is_found() {
    let head = &small().head;
    assert_eq!(missed(Some(head), &[]), BTreeSet::new());
    assert_eq!(missed(None, std::slice::from_ref(head)), BTreeSet::new(), "by a checkpoint alone");
}

#[test]
fn without_a_head_the_last_batch_and_a_whole_rewrite_are_missed_and_nothing_else() {
    let Small { bytes, other, .. } = small();
    let (_, _, run) = sample();
    let last: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    let sealed_by_chain: usize = last[..4].iter().map(|line| line.len()).sum();
    changes(&mut |what, changed| {
        // Only the last batch, which no line covers yet.
        let untouched = changed.starts_with(&bytes[..sealed_by_chain - 1]);
        let rewritten = changed == other.as_slice() || other.starts_with(changed);
        let report = journal::verify(run, changed, None, &[]);
        // What counts is what stood there, and the rest reads as what a crash left: that is a cut tail.
        let end = usize::try_from(report.head.at).unwrap();
        let cut = changed.get(..end).is_some_and(|counted| bytes.starts_with(counted));
        // Where no batch is whole there is no run either: the journal does not fold, and `verify` says that.
        let found = !report.problems.is_empty() || report.ours == 0;
        assert!(found || untouched || cut || rewritten, "{what} is missed");
    });
}

#[test]
fn what_a_checkpoint_is_needed_for() {
    let Small { bytes, head, other } = small();
    let (_, _, run) = sample();
    let found = |bytes: &[u8], known: &[Head]| !journal::verify(run, bytes, None, known).problems.is_empty();
    let checkpoint = std::slice::from_ref(head);
    let ends: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] == b'\n').map(|at| at + 1).collect();
    // Cut behind a batch: lines 1, 2 and 4 end one.
    for line in [0, 1, 3] {
        assert!(!found(&bytes[..ends[line]], &[]), "line {line}");
        assert!(found(&bytes[..ends[line]], checkpoint), "line {line}");
    }
    assert!(!found(other, &[]));
    assert!(found(other, checkpoint));
    assert!(!found(bytes, checkpoint));
}
