//! What a command wrote, bounded: the beginning and the end are kept, the middle is counted.

use std::collections::VecDeque;

use crate::run::visible::visible;

/// A stream of which at most `limit` bytes are kept, a quarter of them from its beginning.
#[derive(Debug)]
pub(super) struct Bounded {
    limit: usize,
    head: Vec<u8>,
    tail: VecDeque<u8>,
    dropped: u64,
}

impl Bounded {
    pub(super) const fn new(limit: usize) -> Self {
        Self { limit, head: Vec::new(), tail: VecDeque::new(), dropped: 0 }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        let room = (self.limit / 4).saturating_sub(self.head.len());
        let (first, rest) = bytes.split_at(room.min(bytes.len()));
        self.head.extend_from_slice(first);
        self.tail.extend(rest);
        let over = self.tail.len().saturating_sub(self.limit - self.limit / 4);
        self.tail.drain(..over);
        self.dropped += over as u64;
    }

    /// Everything, if nothing was dropped.
    pub(super) fn whole(&self) -> Option<Vec<u8>> {
        (self.dropped == 0).then(|| self.head.iter().chain(&self.tail).copied().collect())
    }

    /// What is left, safe to show, with a mark where something was dropped.
    pub(super) fn text(&self) -> String {
        let tail: Vec<u8> = self.tail.iter().copied().collect();
        if self.dropped == 0 {
            let whole: Vec<u8> = self.head.iter().chain(&tail).copied().collect();
            return visible(&String::from_utf8_lossy(&whole));
        }
        let shown = |bytes: &[u8]| visible(&String::from_utf8_lossy(bytes));
        format!("{}\n[{} bytes left out]\n{}", shown(&self.head), self.dropped, shown(&tail))
    }
}

/// What a command did.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) exit: i64,
    pub(super) stdout: Bounded,
    pub(super) stderr: Bounded,
}

impl Output {
    /// Why the command failed, in its own words: its error lines, or else the last it wrote.
    pub(super) fn words(&self) -> String {
        let text = self.stderr.text();
        let text = if text.trim().is_empty() { self.stdout.text() } else { text };
        let words = words(&text);
        match self.exit {
            // A shell's way of saying which signal ended a program, and the Engine's: 9 is what the kernel sends to
            // whoever has too much memory.
            137 => {
                let why = "it was ended by the kernel, most likely for using more memory than `packages.buildMemory`";
                if words.is_empty() { why.to_owned() } else { format!("{words}; {why}") }
            }
            exit if words.is_empty() => format!("it said nothing and ended with exit code {exit}"),
            _ => words,
        }
    }
}

/// The lines that tools mark as errors (`ERROR:` of pip, `E:` of apt), or else the last ten; at most 2,000 characters.
pub(super) fn words(text: &str) -> String {
    const LIMIT: usize = 2000;
    let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|l| !l.is_empty()).collect();
    let marked: Vec<&str> = lines
        .iter()
        .filter_map(|l| l.strip_prefix("ERROR: ").or_else(|| l.strip_prefix("E: ")))
        .filter(|l| !l.starts_with("ResolutionImpossible:"))
        .collect();
    let chosen = if marked.is_empty() { &lines[lines.len().saturating_sub(10)..] } else { &marked[..] };
    let mut words = chosen.join("; ");
    // pip marks the head of a Python traceback, and says what it is about in the last line.
    if let Some(last) = lines.last().filter(|_| words.ends_with("Exception:")) {
        words = format!("{words} {last}");
    }
    if let Some((end, _)) = words.char_indices().nth(LIMIT) {
        words.truncate(end);
        words.push('…');
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_are_the_marked_lines() {
        assert_eq!(words("Reading…\nE: Unable to locate package x\n"), "Unable to locate package x");
        assert_eq!(words("a\n\nb\n"), "a; b");
        assert_eq!(words("ERROR: Exception:\nTraceback\n  x\nOSError: full\n"), "Exception: OSError: full");
        assert_eq!(words(""), "");
        assert!(words(&"ä".repeat(5000)).chars().count() == 2001);
    }

    #[test]
    fn keeps_both_ends() {
        let mut log = Bounded::new(8);
        log.push(b"abcdefghijklmnop");
        assert_eq!(log.text(), "ab\n[8 bytes left out]\nklmnop");
        assert!(log.whole().is_none());
    }

    proptest! {
        #[test]
        fn never_keeps_more_than_its_limit(limit in 0usize..64, parts in prop::collection::vec("[a-z]{0,20}", 0..12)) {
            let mut log = Bounded::new(limit);
            parts.iter().for_each(|p| log.push(p.as_bytes()));
            let whole = parts.concat();
            prop_assert!(log.head.len() + log.tail.len() <= limit);
            prop_assert_eq!(log.head.len() as u64 + log.tail.len() as u64 + log.dropped, whole.len() as u64);
            if whole.len() <= limit / 4 {
                prop_assert_eq!(log.whole(), Some(whole.into_bytes()));
            }
        }
    }
}
