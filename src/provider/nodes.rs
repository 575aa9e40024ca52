//! How deep and how large a JSON text may be before it is parsed into values: a body of eight mebibytes holds four
//! million empty arrays, which would be hundreds of mebibytes of memory as a tree.

use thiserror::Error;

/// The deepest nesting an agent may send.
pub const MAX_DEPTH: usize = 64;
/// The most values (and keys) an agent may send in one body.
pub const MAX_VALUES: usize = 100_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TooComplex {
    #[error("the JSON nests deeper than {0} levels")]
    Depth(usize),
    #[error("the JSON, with what stands in its texts, holds more than {MAX_VALUES} values")]
    Values,
}

/// Counts brackets and separators outside of strings, without parsing. Says nothing about validity.
///
/// # Errors
/// [`TooComplex`] as soon as a bound is passed.
pub fn check_complexity(json: &[u8]) -> Result<(), TooComplex> {
    check_complexity_within(json, MAX_DEPTH)
}

/// The same with another bound on the depth.
///
/// # Errors
/// As [`check_complexity`].
pub fn check_complexity_within(json: &[u8], deepest: usize) -> Result<(), TooComplex> {
    count(json, deepest, MAX_VALUES).map(drop)
}

/// What the JSON inside of the texts of one JSON may hold: all of it together no more than one body may. A text that is
/// parsed is a tree like any other, however it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Values {
    left: usize,
}

impl Values {
    /// What is left beside `json` itself.
    pub(crate) fn beside(json: &[u8]) -> Result<Self, TooComplex> {
        Ok(Self { left: MAX_VALUES - count(json, MAX_DEPTH, MAX_VALUES)? })
    }

    /// Takes what `inner` holds.
    pub(crate) fn take(&mut self, inner: &[u8]) -> Result<(), TooComplex> {
        self.left -= count(inner, MAX_DEPTH, self.left)?;
        Ok(())
    }
}

/// How many values `json` holds, if they are no more than `most`.
fn count(json: &[u8], deepest: usize, most: usize) -> Result<usize, TooComplex> {
    let (mut depth, mut values) = (0_usize, 0_usize);
    let (mut inside, mut escaped) = (false, false);
    for &byte in json {
        if inside {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => inside = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => inside = true,
            b'[' | b'{' => {
                depth += 1;
                values += 1;
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b',' | b':' => values += 1,
            _ => {}
        }
        if depth > deepest {
            return Err(TooComplex::Depth(deepest));
        }
        if values > most {
            return Err(TooComplex::Values);
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_depth_and_count_outside_of_strings() {
        assert_eq!(check_complexity(&b"[".repeat(MAX_DEPTH)), Ok(()));
        assert_eq!(check_complexity(&b"[".repeat(MAX_DEPTH + 1)), Err(TooComplex::Depth(MAX_DEPTH)));
        assert_eq!(check_complexity(&b"[],".repeat(MAX_VALUES)), Err(TooComplex::Values));
        let text = format!("\"{}\"", "[{,\\\"".repeat(MAX_VALUES));
        assert_eq!(check_complexity(text.as_bytes()), Ok(()));
    }

    #[test]
    fn what_stands_in_texts_counts_with_the_rest() {
        let inner = b"[],".repeat(MAX_VALUES / 4 + 1);
        let mut values = Values::beside(&inner).unwrap_or(Values { left: 0 });
        assert_eq!(values.take(&inner), Err(TooComplex::Values), "more than half of it is gone, a comma each");
        let mut values = Values { left: 10 };
        assert_eq!(values.take(b"[1,2,3]"), Ok(()));
        assert_eq!(values, Values { left: 7 });
        assert_eq!(values.take(&b"[".repeat(MAX_DEPTH + 1)), Err(TooComplex::Values));
    }
}
