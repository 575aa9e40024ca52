//! The digests of a chained file at each of its lines.

use crate::registry::journal::chain::Chain;
use crate::run::id::Digest;

/// A line with its newline, and what is before it.
pub(super) struct Step<'a> {
    /// Counted from 1.
    pub line: u64,
    pub at: u64,
    /// Without the newline.
    pub text: &'a [u8],
    /// Whether it ends with a newline.
    pub whole: bool,
}

impl Step<'_> {
    pub fn end(&self) -> u64 {
        self.at + self.text.len() as u64 + u64::from(self.whole)
    }
}

/// All lines, and the digest at each offset where one starts or the file ends behind a newline.
pub(super) struct Steps<'a> {
    pub lines: Vec<Step<'a>>,
    digests: Vec<(u64, Digest)>,
}

impl<'a> Steps<'a> {
    pub fn of(start: Chain, bytes: &'a [u8]) -> Self {
        let mut steps = Self { lines: Vec::new(), digests: vec![(0, start.digest())] };
        let mut chain = start;
        let mut at = 0;
        for (index, text) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
            let content = text.strip_suffix(b"\n");
            let step = Step { line: index as u64 + 1, at, text: content.unwrap_or(text), whole: content.is_some() };
            at = step.end();
            if step.whole {
                chain = chain.line(text);
                steps.digests.push((at, chain.digest()));
            }
            steps.lines.push(step);
        }
        steps
    }

    pub fn digest(&self, at: u64) -> Option<&Digest> {
        let index = self.digests.binary_search_by_key(&at, |(offset, _)| *offset).ok()?;
        Some(&self.digests[index].1)
    }
}
