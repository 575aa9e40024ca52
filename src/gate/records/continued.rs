//! Bodies that go on where an earlier one of the same node stopped: each request of a conversation repeats all that was
//! said before, and what it repeats is not written again. In the pack stands a line that names the earlier body and how
//! many bytes are shared at the beginning and at the end, and behind it the bytes between. A conversation of any length
//! then takes room in proportion to what was said.

use std::collections::HashMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::BodyRef;

/// How many bodies one may go on from, one behind the other: what a reader has to follow.
pub(super) const MOST_LINKS: usize = 200;
/// The longest such line, newline included, in bytes.
pub(super) const MOST_LINK: usize = 512;
/// The most that stands between what is shared, in bytes.
pub(super) const MOST_BETWEEN: usize = 256 * 1024;
/// Below this there is nothing to gain, in bytes.
const LEAST: usize = 1024;
/// The bodies that are held to be gone on from, all together, in bytes.
const HELD: usize = 4 << 20;

/// The line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Link {
    /// The body that it goes on from.
    pub(super) from: BodyRef,
    /// How many bytes of it stand at the beginning, too.
    pub(super) start: u64,
    /// How many bytes of its end stand at the end, too.
    pub(super) end: u64,
}

impl Link {
    /// Whether a body of `bytes` bytes, whose line stands at `at`, can have this line; and if so, how many bytes stand
    /// between what it shares. Each goes on from one that was there before it, so that none goes in circles.
    pub(super) fn between(&self, at: u64, bytes: u64) -> Option<u64> {
        let shared = self.start.checked_add(self.end)?;
        let earlier = self.from.pack.is_none_or(|from| from < at);
        let fits = shared <= self.from.bytes && !self.from.truncated && self.from.text.is_none() && earlier;
        let between = bytes.checked_sub(shared)?;
        (fits && between <= MOST_BETWEEN as u64).then_some(between)
    }
}

/// A body as it may be gone on from.
#[derive(Debug, Clone)]
struct Held {
    known: BodyRef,
    bytes: Bytes,
    links: usize,
    /// When it came; the lowest number goes first.
    age: u64,
}

/// The newest request of each node.
#[derive(Debug, Default)]
pub(super) struct Newest {
    by_node: HashMap<String, Held>,
    clock: u64,
}

/// What to put into the pack for a body that goes on, and what is to be remembered of it.
pub(super) struct Continuation {
    pub(super) packed: Vec<u8>,
    links: usize,
}

impl Newest {
    /// `bytes` as a continuation of the newest request of `node`; `None` if that would save little.
    pub(super) fn goes_on(&self, node: &str, bytes: &[u8]) -> Option<Continuation> {
        let held = self.by_node.get(node).filter(|held| held.links < MOST_LINKS)?;
        let start = shared_start(&held.bytes, bytes);
        let end = shared_end(&held.bytes[start..], &bytes[start..]);
        let between = &bytes[start..bytes.len() - end];
        let link = Link { from: held.known.clone(), start: start as u64, end: end as u64 };
        let mut packed = serde_json::to_vec(&link).ok()?;
        packed.push(b'\n');
        let worth = packed.len() + between.len() <= bytes.len() / 2;
        if !worth || packed.len() > MOST_LINK || between.len() > MOST_BETWEEN {
            return None;
        }
        packed.extend_from_slice(between);
        Some(Continuation { packed, links: held.links + 1 })
    }

    /// From now on requests of `node` go on from this one, which is on record as `known`.
    pub(super) fn hold(&mut self, node: String, known: BodyRef, bytes: Bytes, through: Option<&Continuation>) {
        if bytes.len() < LEAST || bytes.len() > HELD / 2 || known.truncated {
            self.by_node.remove(&node);
            return;
        }
        self.clock += 1;
        let links = through.map_or(0, |continuation| continuation.links);
        self.by_node.insert(node, Held { known, bytes, links, age: self.clock });
        while self.by_node.values().map(|held| held.bytes.len()).sum::<usize>() > HELD {
            let Some(oldest) = self.by_node.iter().min_by_key(|(_, held)| held.age).map(|(node, _)| node.clone())
            else {
                break;
            };
            self.by_node.remove(&oldest);
        }
    }
}

/// Compared a page at a time, which is one instruction for many bytes.
const PAGE: usize = 4096;

fn shared_start(one: &[u8], other: &[u8]) -> usize {
    let pages = one.chunks_exact(PAGE).zip(other.chunks_exact(PAGE)).take_while(|(a, b)| a == b).count() * PAGE;
    pages + one[pages..].iter().zip(&other[pages..]).take_while(|(a, b)| a == b).count()
}

fn shared_end(one: &[u8], other: &[u8]) -> usize {
    let pages = one.rchunks_exact(PAGE).zip(other.rchunks_exact(PAGE)).take_while(|(a, b)| a == b).count() * PAGE;
    let (one, other) = (&one[..one.len() - pages], &other[..other.len() - pages]);
    pages + one.iter().rev().zip(other.iter().rev()).take_while(|(a, b)| a == b).count()
}

/// A part of a body, and where it goes in the whole that is put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    /// From where, in the body that it is read from.
    pub(super) from: u64,
    pub(super) length: u64,
    /// To where, in the whole.
    pub(super) into: u64,
}

/// What is to be read of a body with `link` for `parts` of it: from between (counted from there), and from the body
/// before. `bytes` is the body's length.
pub(super) fn split(link: &Link, bytes: u64, parts: &[Part]) -> (Vec<Part>, Vec<Part>) {
    let (mut between, mut before) = (Vec::new(), Vec::new());
    let tail = bytes - link.end;
    // The three stretches of the body: where each begins and ends, and where that beginning is in what holds it.
    let stretches =
        [(0, link.start, Some(0)), (link.start, tail, None), (tail, bytes, Some(link.from.bytes - link.end))];
    for part in parts {
        for (begin, end, earlier) in stretches {
            let (from, to) = (part.from.max(begin), (part.from + part.length).min(end));
            if from >= to {
                continue;
            }
            let found = |place: u64| Part { from: place, length: to - from, into: part.into + (from - part.from) };
            match earlier {
                Some(earlier) => before.push(found(earlier + (from - begin))),
                None => between.push(found(from - begin)),
            }
        }
    }
    (between, before)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_shared_is_shared_and_no_more(a in "[ab]{0,40}", b in "[ab]{0,40}", pages in 0..3_usize) {
            let (a, b) = ("x".repeat(pages * PAGE) + &a, "x".repeat(pages * PAGE) + &b);
            let (a, b) = (a.as_bytes(), b.as_bytes());
            let start = shared_start(a, b);
            prop_assert_eq!(&a[..start], &b[..start]);
            prop_assert!(start == a.len() || start == b.len() || a[start] != b[start]);
            let (a, b) = (&a[start..], &b[start..]);
            let end = shared_end(a, b);
            prop_assert_eq!(&a[a.len() - end..], &b[b.len() - end..]);
            prop_assert!(end == a.len() || end == b.len() || a[a.len() - end - 1] != b[b.len() - end - 1]);
        }
    }
}
