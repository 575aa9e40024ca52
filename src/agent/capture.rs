//! A stream of unknown length in bounded memory: its beginning, where a program says what it does, and its end, where
//! it says how that went.

use std::collections::VecDeque;

/// Bytes kept of each end.
pub(crate) const HALF: usize = 8 * 1024;

/// Keeps the first and the last [`HALF`] bytes of what it is fed.
#[derive(Debug, Default)]
pub(crate) struct Capture {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    total: u64,
}

impl Capture {
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        let (first, rest) = bytes.split_at(bytes.len().min(HALF - self.head.len()));
        self.head.extend_from_slice(first);
        let rest = &rest[rest.len().saturating_sub(HALF)..];
        let surplus = (self.tail.len() + rest.len()).saturating_sub(HALF);
        self.tail.drain(..surplus);
        self.tail.extend(rest);
    }

    pub(crate) fn is_truncated(&self) -> bool {
        self.total > (self.head.len() + self.tail.len()) as u64
    }

    /// The text, with a line that says how much is missing where something is. Bytes that are not UTF-8 become
    /// U+FFFD; a character that the cut went through is left out, so that the same output gives the same text.
    pub(crate) fn into_text(mut self) -> String {
        if !self.is_truncated() {
            self.head.extend(self.tail);
            return String::from_utf8_lossy(&self.head).into_owned();
        }
        let mut missing = self.total - (self.head.len() + self.tail.len()) as u64;
        if let Err(error) = std::str::from_utf8(&self.head)
            && error.error_len().is_none()
        {
            missing += (self.head.len() - error.valid_up_to()) as u64;
            self.head.truncate(error.valid_up_to());
        }
        let tail = self.tail.make_contiguous();
        // At most three bytes of a character follow its first.
        let orphans = tail.iter().take(3).take_while(|byte| (0x80..0xc0).contains(*byte)).count();
        missing += orphans as u64;
        format!(
            "{}\n[… {missing} bytes cut …]\n{}",
            String::from_utf8_lossy(&self.head),
            String::from_utf8_lossy(&tail[orphans..])
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn captured(chunks: &[&[u8]]) -> Capture {
        let mut capture = Capture::default();
        for chunk in chunks {
            capture.feed(chunk);
        }
        capture
    }

    #[test]
    fn cuts_between_characters() {
        let text = "ä".repeat(HALF * 2);
        let cut = captured(&[b"x", text.as_bytes(), b"y"]).into_text();
        assert!(!cut.contains('\u{fffd}'), "a character was cut through");
        let (head, rest) = cut.split_once("\n[… ").unwrap_or_default();
        let (missing, tail) = rest.split_once(" bytes cut …]\n").unwrap_or_default();
        assert_eq!(missing.parse().unwrap_or(0) + head.len() + tail.len(), text.len() + 2);
    }

    proptest! {
        #[test]
        fn short_text_is_kept_whole(text in "\\PC{0,400}", at in 0usize..400) {
            let (a, b) = text.as_bytes().split_at(at.min(text.len()));
            let capture = captured(&[a, b]);
            prop_assert!(!capture.is_truncated());
            prop_assert_eq!(capture.into_text(), text);
        }

        #[test]
        fn memory_and_text_are_bounded_and_chunking_is_invisible(
            bytes in proptest::collection::vec(any::<u8>(), 0..40_000), size in 1usize..9_000,
        ) {
            let chunks: Vec<&[u8]> = bytes.chunks(size).collect();
            let capture = captured(&chunks);
            prop_assert!(capture.head.len() <= HALF && capture.tail.len() <= HALF);
            prop_assert_eq!(capture.is_truncated(), bytes.len() > 2 * HALF);
            let text = capture.into_text();
            // Each byte becomes at most one U+FFFD of three bytes.
            prop_assert!(text.len() <= 6 * HALF + 64);
            prop_assert_eq!(text, captured(&[&bytes]).into_text());
        }
    }
}
