//! Hides a provider's key in the bytes that an upstream sends back: an upstream that echoes a request, or names the
//! key it refused, must not hand it to an agent or have it recorded. Lengths stay as they were.

use bytes::{Bytes, BytesMut};
use zeroize::Zeroizing;

use crate::vault::traces::traces;

/// Keys shorter than this are not looked for: they would match ordinary text.
const SHORTEST: usize = 8;

/// A mask over a stream of bytes; remembers what could be the beginning of a key at a chunk's end.
pub struct Mask {
    /// The longest first: what one begins with may be another.
    keys: Vec<Zeroizing<Vec<u8>>>,
    held: BytesMut,
}

impl Mask {
    /// Passes everything through.
    #[must_use]
    pub fn none() -> Self {
        Self { keys: Vec::new(), held: BytesMut::new() }
    }

    /// Replaces each occurrence of `key` by as many asterisks.
    #[must_use]
    pub fn of(key: &str) -> Self {
        Self::of_all(std::iter::once(Zeroizing::new(key.as_bytes().to_vec())))
    }

    /// The same for every form in which `key` may turn up: an upstream that shows what it got may show it in base64.
    #[must_use]
    pub fn of_forms(key: &str) -> Self {
        Self::of_all(traces(key).into_iter().map(|trace| trace.bytes))
    }

    /// The same for several.
    #[must_use]
    pub fn of_all(keys: impl IntoIterator<Item = Zeroizing<Vec<u8>>>) -> Self {
        let mut keys: Vec<Zeroizing<Vec<u8>>> = keys.into_iter().filter(|key| key.len() >= SHORTEST).collect();
        keys.sort_by_key(|key| std::cmp::Reverse(key.len()));
        Self { keys, held: BytesMut::new() }
    }

    /// Takes a chunk and gives back what may be passed on.
    pub fn push(&mut self, chunk: Bytes) -> Bytes {
        if self.keys.is_empty() {
            return chunk;
        }
        let mut data = std::mem::take(&mut self.held);
        data.extend_from_slice(&chunk);
        let open = self.cover(&mut data, true);
        self.held = data.split_off(open);
        data.freeze()
    }

    /// Covers the keys in text that is there as a whole.
    #[must_use]
    pub fn whole(&self, text: &[u8]) -> Vec<u8> {
        let mut data = text.to_vec();
        self.cover(&mut data, false);
        data
    }

    /// Covers what is there, up to where a key may begin that goes on behind the end, if `more` may come; where that is.
    fn cover(&self, data: &mut [u8], more: bool) -> usize {
        let mut at = 0;
        while at < data.len() {
            let rest = &data[at..];
            if more && self.keys.iter().any(|key| key.len() > rest.len() && key.starts_with(rest)) {
                return at;
            }
            match self.keys.iter().find(|key| rest.starts_with(key)).map(|key| key.len()) {
                Some(length) => {
                    data[at..at + length].fill(b'*');
                    at += length;
                }
                None => at += 1,
            }
        }
        at
    }

    /// What was held back, at the stream's end.
    pub fn finish(&mut self) -> Bytes {
        let mut data = std::mem::take(&mut self.held);
        self.cover(&mut data, false);
        data.freeze()
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

    #[test]
    fn covers_a_key_in_the_forms_that_it_may_have() {
        use base64::Engine as _;
        let key = "sk-secret/1+more";
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("user:{key}"));
        let hex: String = key.bytes().map(|byte| format!("{byte:02x}")).collect();
        let text = format!("{key} {basic} {hex} sk-secret%2F1%2Bmore");
        let clear = through(&mut Mask::of_forms(key), &[&text.as_bytes()[..30], &text.as_bytes()[30..]]);
        let clear = String::from_utf8_lossy(&clear).into_owned();
        assert_eq!(clear.len(), text.len());
        for form in [key, &basic[8..basic.len() - 3], &hex, "sk-secret%2F1%2Bmore"] {
            assert!(!clear.contains(form), "{form} in {clear}");
        }
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

        /// However it is cut, it is what it is in one piece; of two keys of which one begins the other, all is covered.
        #[test]
        fn several_keys_are_covered_however_they_are_cut(text in "(abababac|ababababz|abababab|ab|c|x){0,12}", cuts in prop::collection::vec(0usize..60, 0..5)) {
            let keys = || ["abababab", "ababababz", "abababac"].map(|key| Zeroizing::new(key.as_bytes().to_vec()));
            let whole = Mask::of_all(keys()).whole(text.as_bytes());
            for key in keys() {
                prop_assert!(!whole.windows(key.len()).any(|window| window == key.as_slice()));
            }
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(text.len())).collect();
            cuts.sort_unstable();
            let ends = cuts.iter().copied().chain([text.len()]);
            let mut from = 0;
            let chunks: Vec<&[u8]> = ends.map(|end| { let chunk = &text.as_bytes()[from..end]; from = end; chunk }).collect();
            prop_assert_eq!(through(&mut Mask::of_all(keys()), &chunks), whole);
        }

        #[test]
        fn without_a_key_nothing_changes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(through(&mut Mask::none(), &[&bytes]), bytes.clone());
            prop_assert_eq!(through(&mut Mask::of("a key that is not in there"), &[&bytes]), bytes);
        }
    }
}
