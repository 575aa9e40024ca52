//! Hides a provider's key in the bytes that an upstream sends back: an upstream that echoes a request, or names the
//! key it refused, must not hand it to an agent or have it recorded. Lengths stay as they were.

use bytes::{Bytes, BytesMut};
use zeroize::Zeroizing;

/// Keys shorter than this are not looked for: they would match ordinary text.
const SHORTEST: usize = 8;

/// A mask over a stream of bytes; remembers what could be the beginning of the key at a chunk's end.
pub struct Mask {
    key: Zeroizing<Vec<u8>>,
    held: BytesMut,
}

impl Mask {
    /// Passes everything through.
    #[must_use]
    pub fn none() -> Self {
        Self { key: Zeroizing::new(Vec::new()), held: BytesMut::new() }
    }

    /// Replaces each occurrence of `key` by as many asterisks.
    #[must_use]
    pub fn of(key: &str) -> Self {
        let key = if key.len() < SHORTEST { Vec::new() } else { key.as_bytes().to_vec() };
        Self { key: Zeroizing::new(key), held: BytesMut::new() }
    }

    /// Takes a chunk and gives back what may be passed on.
    pub fn push(&mut self, chunk: Bytes) -> Bytes {
        if self.key.is_empty() {
            return chunk;
        }
        let mut data = std::mem::take(&mut self.held);
        data.extend_from_slice(&chunk);
        self.cover(&mut data);
        let keep = self.open_end(&data);
        self.held = data.split_off(data.len() - keep);
        data.freeze()
    }

    /// Covers the key in text that is there as a whole.
    #[must_use]
    pub fn whole(&self, text: &[u8]) -> Vec<u8> {
        let mut data = text.to_vec();
        self.cover(&mut data);
        data
    }

    fn cover(&self, data: &mut [u8]) {
        let Some(&first) = self.key.first() else {
            return;
        };
        let mut at = 0;
        while let Some(step) = data[at..].iter().position(|&b| b == first) {
            at += step;
            if data[at..].starts_with(&self.key) {
                data[at..at + self.key.len()].fill(b'*');
                at += self.key.len();
            } else {
                at += 1;
            }
        }
    }

    /// The length of the longest end of `data` with which the key begins.
    fn open_end(&self, data: &[u8]) -> usize {
        let longest = data.len().min(self.key.len().saturating_sub(1));
        (1..=longest).rev().find(|&n| self.key.starts_with(&data[data.len() - n..])).unwrap_or(0)
    }

    /// What was held back, at the stream's end.
    pub fn finish(&mut self) -> Bytes {
        std::mem::take(&mut self.held).freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn through(mask: &mut Mask, chunks: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        for chunk in chunks {
            out.extend_from_slice(&mask.push(Bytes::copy_from_slice(chunk)));
        }
        out.extend_from_slice(&mask.finish());
        out
    }

    #[test]
    fn covers_a_key_split_over_chunks() {
        let mut mask = Mask::of("sk-secret-1");
        assert_eq!(through(&mut mask, &[b"a sk-s", b"ecret", b"-1 b"]), b"a *********** b");
    }

    proptest! {
        #[test]
        fn no_split_lets_a_key_through(text in "(abababac|ab|c|x){0,12}", cuts in prop::collection::vec(0usize..40, 0..5)) {
            let key = "abababac";
            let whole = text.replace(key, "********");
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(text.len())).collect();
            cuts.sort_unstable();
            let mut chunks = Vec::new();
            let mut from = 0;
            for cut in cuts {
                chunks.push(&text.as_bytes()[from..cut]);
                from = cut;
            }
            chunks.push(&text.as_bytes()[from..]);
            let out = through(&mut Mask::of(key), &chunks);
            prop_assert_eq!(String::from_utf8_lossy(&out), whole);
        }

        #[test]
        fn without_a_key_nothing_changes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(through(&mut Mask::none(), &[&bytes]), bytes.clone());
            prop_assert_eq!(through(&mut Mask::of("a key that is not in there"), &[&bytes]), bytes);
        }
    }
}
