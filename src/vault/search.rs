//! Looks for secrets where none should be: in any form that [`traces`](super::traces) knows, and, of long random ones, any
//! piece of sixteen characters, so that one that was split is found as well. What was broken into lines, however short, is
//! found by looking at the text without its white space, too.

use std::collections::HashMap;
use std::io::{self, Read};

use zeroize::Zeroizing;

use super::traces::traces;

/// Forms shorter than this are not looked for: they would be found in ordinary text.
const SHORTEST: usize = 8;
/// How much of a needle tells it from the others, in bytes.
const HEAD: usize = 8;
/// A piece of a secret that was split, in characters.
const PIECE: usize = 16;
/// Secrets of fewer characters are not looked for in pieces.
const LONG: usize = 32;
/// Forms shorter than this are not looked for across white space: words that stand side by side would be found.
const SHORTEST_SPLIT: usize = 16;
/// How much is read at a time, in bytes.
const CHUNK: usize = 1 << 20;

/// A secret that was found, by name, and the form that it was in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hit {
    pub secret: String,
    pub form: &'static str,
}

/// What is looked for.
pub struct Search {
    needles: Vec<Needle>,
    /// By their first bytes; most places are told by these to hold nothing.
    heads: HashMap<[u8; HEAD], Vec<usize>>,
    /// Whether any needle begins with these two bytes.
    starts: Vec<bool>,
    longest: usize,
}

struct Needle {
    secret: usize,
    form: &'static str,
    bytes: Zeroizing<Vec<u8>>,
}

/// The names of what is looked for.
pub struct Names(Vec<String>);

impl Search {
    /// A search for values by name.
    #[must_use]
    pub fn new<'v>(values: impl IntoIterator<Item = (String, &'v str)>) -> (Self, Names) {
        let (mut needles, mut names) = (Vec::new(), Vec::new());
        for (name, value) in values {
            let secret = names.len();
            names.push(name);
            for trace in traces(value) {
                needles.push(Needle { secret, form: trace.form, bytes: trace.bytes });
            }
            if is_random(value) {
                let pieces = value.as_bytes().windows(PIECE);
                needles.extend(pieces.map(|piece| Needle {
                    secret,
                    form: "piece",
                    bytes: Zeroizing::new(piece.to_vec()),
                }));
            }
        }
        needles.retain(|needle| needle.bytes.len() >= SHORTEST);
        let mut heads: HashMap<[u8; HEAD], Vec<usize>> = HashMap::new();
        let mut starts = vec![false; 1 << 16];
        for (at, needle) in needles.iter().enumerate() {
            let Some(head) = needle.bytes.first_chunk::<HEAD>() else { continue };
            heads.entry(*head).or_default().push(at);
            starts[usize::from(head[0]) << 8 | usize::from(head[1])] = true;
        }
        let longest = needles.iter().map(|needle| needle.bytes.len()).max().unwrap_or(0);
        (Self { needles, heads, starts, longest }, Names(names))
    }

    /// Whether there is nothing to look for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.needles.is_empty()
    }

    /// What `bytes` hold; each secret once, in the form that was found first.
    #[must_use]
    pub fn within(&self, names: &Names, bytes: &[u8]) -> Vec<Hit> {
        let mut found: HashMap<usize, &'static str> = HashMap::new();
        self.look(bytes, &mut found, false);
        Squeezed::default().look(self, bytes, &mut found);
        hits(names, found)
    }

    /// [`Search::within`] for what is read, up to `limit` bytes; with how many there were.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(&self, names: &Names, mut from: impl Read, limit: u64) -> io::Result<(Vec<Hit>, u64)> {
        let mut found = HashMap::new();
        let (mut buffer, mut kept, mut total) = (vec![0; CHUNK + self.longest], 0, 0_u64);
        let mut squeezed = Squeezed::default();
        while total < limit {
            let room = CHUNK.min(usize::try_from(limit - total).unwrap_or(CHUNK));
            let count = match from.read(&mut buffer[kept..kept + room]) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            total += count as u64;
            let end = kept + count;
            self.look(&buffer[..end], &mut found, false);
            squeezed.look(self, &buffer[kept..end], &mut found);
            // What may be the beginning of something is looked at again with what follows.
            kept = self.longest.saturating_sub(1).min(end);
            buffer.copy_within(end - kept..end, 0);
        }
        Ok((hits(names, found), total))
    }

    /// `split` says that white space was taken out of `bytes`.
    fn look(&self, bytes: &[u8], found: &mut HashMap<usize, &'static str>, split: bool) {
        for at in 0..bytes.len().saturating_sub(HEAD - 1) {
            if !self.starts[usize::from(bytes[at]) << 8 | usize::from(bytes[at + 1])] {
                continue;
            }
            let Some(head) = bytes[at..].first_chunk::<HEAD>() else { return };
            let Some(all) = self.heads.get(head) else { continue };
            let counts = |needle: &&Needle| !split || needle.form != "piece" && needle.bytes.len() >= SHORTEST_SPLIT;
            let fits = |needle: &&Needle| counts(needle) && bytes[at..].starts_with(&needle.bytes);
            for needle in all.iter().filter_map(|index| self.needles.get(*index)).filter(fits) {
                let own = if split { "split" } else { needle.form };
                let form = found.entry(needle.secret).or_insert(own);
                // A whole one says more than a piece of it, and one in one piece more than one that was split.
                if *form == "piece" || (*form == "split" && own != "piece") {
                    *form = own;
                }
            }
        }
    }
}

/// What was read without its white space, line breaks of JSON included.
#[derive(Default)]
struct Squeezed {
    /// What may be the beginning of something.
    text: Vec<u8>,
    /// A backslash came last.
    escaped: bool,
}

impl Squeezed {
    fn look(&mut self, search: &Search, bytes: &[u8], found: &mut HashMap<usize, &'static str>) {
        for byte in bytes {
            let escaped = std::mem::take(&mut self.escaped);
            match byte {
                b'n' | b'r' | b't' if escaped => continue,
                _ if escaped => self.text.push(b'\\'),
                _ => {}
            }
            match byte {
                b'\\' if !escaped => self.escaped = true,
                b' ' | b'\n' | b'\r' | b'\t' => {}
                _ => self.text.push(*byte),
            }
        }
        search.look(&self.text, found, true);
        let kept = search.longest.saturating_sub(1).min(self.text.len());
        self.text.drain(..self.text.len() - kept);
    }
}

impl Drop for Squeezed {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.text);
    }
}

fn hits(names: &Names, found: HashMap<usize, &'static str>) -> Vec<Hit> {
    let hit = |(secret, form): (usize, &'static str)| Some(Hit { secret: names.0.get(secret)?.clone(), form });
    let mut hits: Vec<Hit> = found.into_iter().filter_map(hit).collect();
    hits.sort();
    hits
}

/// Whether a part of `value` is as telling as the whole: one long word of many characters.
fn is_random(value: &str) -> bool {
    let mut seen = [false; 256];
    value.bytes().for_each(|byte| seen[usize::from(byte)] = true);
    let distinct = seen.into_iter().filter(|seen| *seen).count();
    (LONG..=512).contains(&value.len()) && distinct >= 12 && value.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    const VALUE: &str = "k3y-Zq81/plus+0123456789abcdefXYZ";

    fn forms(bytes: &[u8]) -> Vec<&'static str> {
        let (search, names) =
            Search::new([("one".to_owned(), VALUE), ("other".to_owned(), "another-value-of-a-secret")]);
        let (streamed, total) = search.read(&names, Trickle(bytes), u64::MAX).unwrap();
        assert_eq!((search.within(&names, bytes), total), (streamed.clone(), bytes.len() as u64));
        streamed.into_iter().map(|hit| hit.form).collect()
    }

    /// Gives seven bytes at a time.
    struct Trickle<'b>(&'b [u8]);

    impl Read for Trickle<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.0.len().min(7).min(buffer.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    #[test]
    fn finds_each_form_and_nothing_in_ordinary_text() {
        assert_eq!(forms(format!("x{VALUE}y").as_bytes()), ["raw"]);
        for pad in ["", "a", "ab", "abc"] {
            assert_eq!(forms(STANDARD.encode(format!("{pad}{VALUE}\n")).as_bytes()), ["base64"]);
        }
        let hex: String = VALUE.bytes().map(|b| format!("{b:02X}")).collect();
        assert_eq!(forms(hex.as_bytes()), ["hex"]);
        assert_eq!(forms(VALUE.replace('/', "%2f").replace('+', "%2b").as_bytes()), ["url"]);
        assert_eq!(forms(format!("{}\n{}", &VALUE[..16], &VALUE[17..]).as_bytes()), ["piece"]);
        assert_eq!(forms(format!("{} {VALUE}", &VALUE[..20]).as_bytes()), ["raw"]);
        let hex: String = VALUE.bytes().map(|b| format!("{b:02x}")).collect();
        let url = VALUE.replace('/', "%2F").replace('+', "%2B");
        for whole in [VALUE.to_owned(), hex, url, STANDARD.encode(format!("a{VALUE}"))] {
            for (width, between) in [(5, "\n"), (7, "\r\n  "), (3, " "), (4, "\\n")] {
                let lines: Vec<&str> =
                    whole.as_bytes().chunks(width).map(|line| std::str::from_utf8(line).unwrap()).collect();
                assert_eq!(forms(format!("x{}y", lines.join(between)).as_bytes()), ["split"], "{width} {between:?}");
            }
        }
        assert_eq!(forms(b"the quick brown fox jumps over the lazy dog k3y-Zq81/plus+0"), [""; 0]);
        assert_eq!(forms(format!("{VALUE} another-value-of-a-secret").as_bytes()).len(), 2);
    }

    #[test]
    fn a_bound_is_kept() {
        let (search, names) = Search::new([("one".to_owned(), VALUE)]);
        let text = format!("{}{VALUE}", " ".repeat(100));
        assert_eq!(search.read(&names, text.as_bytes(), 100).unwrap(), (Vec::new(), 100));
        assert_eq!(search.read(&names, text.as_bytes(), 1000).unwrap().0.len(), 1);
    }
}
