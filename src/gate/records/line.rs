//! A record's line: composing and understanding it.

use std::io;

use serde::Serialize as _;
use serde_json::ser::{CompactFormatter, Formatter};
use serde_json::{Map, Value};

use super::chain::Chain;
use super::{BodyRef, Entry, Kind, Record};
use crate::run::id::Digest;

/// No line is longer, in bytes: 4 KiB of inline body take at most six times that, and the fields are bounded.
pub(crate) const MOST_LINE: usize = 256 * 1024;

/// Composes the line of `entry` at the chain's end. Returns the line with its newline, and the record it holds.
pub(crate) fn compose(
    chain: &Chain,
    entry: &Entry,
    body: Option<&BodyRef>,
    time: &str,
) -> io::Result<(Vec<u8>, Record)> {
    let mut fields = entry.fields.clone();
    if let Some(body) = body {
        fields.insert("body".into(), serde_json::to_value(body)?);
    }
    let record = Record {
        seq: chain.seq + 1,
        at: chain.at,
        time: time.to_owned(),
        kind: entry.kind.clone(),
        node: entry.of.as_ref().map(|(node, _)| node.clone()),
        attempt: entry.of.as_ref().map(|(_, attempt)| *attempt),
        fields,
        prev: chain.digest(),
    };
    let mut line = render(&record)?;
    line.push(b'\n');
    if line.len() > MOST_LINE {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a record of more than 256 KiB"));
    }
    Ok((line, record))
}

fn render(record: &Record) -> io::Result<Vec<u8>> {
    let mut all = Map::new();
    all.insert("seq".into(), record.seq.into());
    all.insert("at".into(), record.at.into());
    all.insert("time".into(), record.time.as_str().into());
    all.insert("kind".into(), record.kind.as_str().into());
    if let Some(node) = &record.node {
        all.insert("node".into(), node.as_str().into());
    }
    if let Some(attempt) = record.attempt {
        all.insert("attempt".into(), attempt.into());
    }
    all.extend(record.fields.iter().map(|(key, value)| (key.clone(), value.clone())));
    all.insert("prev".into(), record.prev.as_str().into());
    let mut line = Vec::with_capacity(512);
    Value::Object(all).serialize(&mut serde_json::Serializer::with_formatter(&mut line, Ascii(CompactFormatter)))?;
    Ok(line)
}

/// Understands a line without its newline.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn understand(line: &[u8]) -> Result<Record, String> {
    if !line.is_ascii() {
        return Err("it holds bytes that are not ASCII".to_owned());
    }
    let mut fields: Map<String, Value> = serde_json::from_slice(line).map_err(|e| e.to_string())?;
    let mut number = |key: &str| fields.shift_remove(key).and_then(|v| v.as_u64());
    let (seq, at, attempt) = (number("seq"), number("at"), number("attempt"));
    let mut text = |key: &str| match fields.shift_remove(key) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    };
    let (time, kind, node, prev) = (text("time"), text("kind"), text("node"), text("prev"));
    let missing = |key: &str| format!("`{key}` is missing");
    Ok(Record {
        seq: seq.ok_or_else(|| missing("seq"))?,
        at: at.ok_or_else(|| missing("at"))?,
        time: time.ok_or_else(|| missing("time"))?,
        kind: Kind::of(&kind.ok_or_else(|| missing("kind"))?),
        node,
        attempt: attempt.and_then(|a| u32::try_from(a).ok()),
        fields,
        prev: Digest::parse(&prev.ok_or_else(|| missing("prev"))?).map_err(|e| e.to_string())?,
    })
}

/// Escapes all that is not ASCII: readers that split at U+2028 and the like then see one line as one line.
struct Ascii(CompactFormatter);

impl Formatter for Ascii {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut plain = 0;
        for (at, character) in fragment.char_indices() {
            // DEL is ASCII, and no terminal should see it.
            if character.is_ascii() && character != '\u{7f}' {
                continue;
            }
            self.0.write_string_fragment(writer, &fragment[plain..at])?;
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            plain = at + character.len_utf8();
        }
        self.0.write_string_fragment(writer, &fragment[plain..])
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::run::id::RunId;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_line_is_understood_as_what_it_was(node in "\\PC{1,20}", text in any::<String>(), attempt in 1u32..9, seq in 0u64..99) {
            let mut chain = Chain::start(&RunId::parse("demo").unwrap());
            chain.seq = seq;
            let mut fields = Map::new();
            fields.insert("text".into(), text.into());
            let entry = Entry { kind: Kind::EgressDenied, of: Some((node, attempt)), fields, body: None };
            let (line, record) = compose(&chain, &entry, None, "2026-01-01T00:00:00.000000Z").unwrap();
            prop_assert!(line.is_ascii());
            prop_assert_eq!(line.iter().filter(|b| **b == b'\n').count(), 1);
            prop_assert_eq!(understand(&line[..line.len() - 1]).unwrap(), record);
        }

        #[test]
        fn never_panics(line in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = understand(&line);
        }
    }
}
