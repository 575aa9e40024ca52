//! JSON as Python's `json.dumps(ensure_ascii=True)` writes it, which is what OpenTask's files hold: pure ASCII (its
//! readers split lines at U+0085, U+2028 and the like), lower-case `\uXXXX`, surrogate pairs, floats as `repr` gives.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Value;
use serde_json::ser::Formatter;

/// One line without its newline, separators `", "` and `": "`: a line of a `.jsonl` file.
///
/// # Errors
/// Those of `value`'s own `Serialize`; a [`Value`] has none.
pub fn to_json_line<T: Serialize + ?Sized>(value: &T) -> serde_json::Result<String> {
    write(value, false)
}

/// A whole `.json` file as OpenTask writes it: indented by two, empty containers inline, a newline at the end.
/// `value` must be one that JSON can hold, as a [`Value`] is: keys are strings.
#[must_use]
pub fn to_opentask_json<T: Serialize + ?Sized>(value: &T) -> String {
    let mut text = write(value, true).unwrap_or_default();
    text.push('\n');
    text
}

/// [`to_opentask_json`] as OpenTask's helper prints it: letters beyond ASCII stand for themselves.
#[must_use]
pub fn to_printed_json(value: &Value) -> String {
    let mut text = write_as(value, Python { pretty: true, ascii: false, depth: 0, filled: false }).unwrap_or_default();
    text.push('\n');
    text
}

/// Whether `line` is, to the byte, [`to_json_line`] of `value`.
pub fn is_json_line<T: Serialize + ?Sized>(value: &T, line: &[u8]) -> bool {
    let mut rest = Expected(line);
    let style = Python { pretty: false, ascii: true, depth: 0, filled: false };
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut rest, style)).is_ok() && rest.0.is_empty()
}

/// Takes only what is expected, and keeps what is still to come.
struct Expected<'a>(&'a [u8]);

impl Write for Expected<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.strip_prefix(bytes).ok_or(io::ErrorKind::InvalidData)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write<T: Serialize + ?Sized>(value: &T, pretty: bool) -> serde_json::Result<String> {
    write_as(value, Python { pretty, ascii: true, depth: 0, filled: false })
}

fn write_as<T: Serialize + ?Sized>(value: &T, style: Python) -> serde_json::Result<String> {
    let mut bytes = Vec::with_capacity(256);
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, style))?;
    // The formatter writes whole characters only.
    String::from_utf8(bytes).map_err(serde::ser::Error::custom)
}

struct Python {
    pretty: bool,
    ascii: bool,
    depth: usize,
    filled: bool,
}

impl Python {
    fn open<W: ?Sized + Write>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth += 1;
        self.filled = false;
        writer.write_all(bracket)
    }

    fn close<W: ?Sized + Write>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth -= 1;
        if self.pretty && self.filled {
            self.new_line(writer)?;
        }
        self.filled = true;
        writer.write_all(bracket)
    }

    fn separate<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        match (first, self.pretty) {
            (true, false) => Ok(()),
            (false, false) => writer.write_all(b", "),
            (true, true) => self.new_line(writer),
            (false, true) => {
                writer.write_all(b",")?;
                self.new_line(writer)
            }
        }
    }

    fn new_line<W: ?Sized + Write>(&self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b"\n")?;
        (0..self.depth).try_for_each(|_| writer.write_all(b"  "))
    }
}

impl Formatter for Python {
    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open(writer, b"[")
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.close(writer, b"]")
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.separate(writer, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.filled = true;
        Ok(())
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open(writer, b"{")
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.close(writer, b"}")
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.separate(writer, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.filled = true;
        Ok(())
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        if !self.ascii || fragment.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return writer.write_all(fragment.as_bytes());
        }
        let mut plain = 0;
        for (index, character) in fragment.char_indices() {
            if matches!(character, ' '..='~') {
                continue;
            }
            writer.write_all(&fragment.as_bytes()[plain..index])?;
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            plain = index + character.len_utf8();
        }
        writer.write_all(&fragment.as_bytes()[plain..])
    }

    fn write_f64<W: ?Sized + Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        writer.write_all(python_repr(value).as_bytes())
    }
}

/// `repr(float)`: the shortest digits that read back the same, an exponent below 1e-4 and from 1e16 on.
fn python_repr(value: f64) -> String {
    let scientific = format!("{value:e}");
    let exponent = scientific.split_once('e').and_then(|(digits, e)| Some((digits, e.parse::<i32>().ok()?)));
    match exponent {
        Some((digits, e)) if !(-4..16).contains(&e) => {
            format!("{digits}e{}{:02}", if e < 0 { '-' } else { '+' }, e.abs())
        }
        _ => {
            let fixed = value.to_string();
            if fixed.contains('.') { fixed } else { fixed + ".0" }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn lines_are_python_s() {
        let value = json!({"a": [1, 2.5, null, true], "é\u{7f}": "x\u{2028}\u{1f600}\n\u{1}/\"\\", "e": {}, "l": []});
        assert_eq!(
            to_json_line(&value).unwrap(),
            r#"{"a": [1, 2.5, null, true], "\u00e9\u007f": "x\u2028\ud83d\ude00\n\u0001/\"\\", "e": {}, "l": []}"#
        );
    }

    #[test]
    fn files_are_python_s() {
        let value = json!({"a": [], "b": {}, "c": [1, {"d": "ü"}], "e": [[]]});
        let expected = "{\n  \"a\": [],\n  \"b\": {},\n  \"c\": [\n    1,\n    {\n      \"d\": \"\\u00fc\"\n    }\n  ],\n  \"e\": [\n    []\n  ]\n}\n";
        assert_eq!(to_opentask_json(&value), expected);
        assert_eq!(to_opentask_json(&json!([])), "[]\n");
    }

    #[test]
    fn floats_are_repr() {
        for (value, text) in [
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e-5, "1.5e-05"),
            (0.0001, "0.0001"),
            (1e100, "1e+100"),
            (0.1, "0.1"),
            (123456.789, "123456.789"),
        ] {
            assert_eq!(python_repr(value), text);
        }
    }

    proptest! {
        #[test]
        fn a_line_is_printable_ascii_and_reads_back(text in any::<String>(), number in any::<f64>()) {
            prop_assume!(number.is_finite());
            let value = json!({ text.clone(): [text, number] });
            let line = to_json_line(&value).unwrap();
            prop_assert!(line.bytes().all(|b| (b' '..=b'~').contains(&b)));
            let back: Value = serde_json::from_str(&line).unwrap();
            prop_assert_eq!(&back, &value);
            prop_assert_eq!(to_json_line(&back).unwrap(), line);
            let file: Value = serde_json::from_str(&to_opentask_json(&value)).unwrap();
            prop_assert_eq!(file, value);
        }
    }
}
