//! What people read in an attempt's log. Output of tools is hostile: no control character of it reaches a terminal.
//! A log that cannot be written (its reader is gone, the disk is full) never ends the work.

use std::fmt::Display;
use std::io::Write;

use serde_json::Value;

/// Lines of a tool's result that are shown; the whole stands in the gate's records.
const LINES: usize = 12;
const COLUMNS: usize = 200;

/// Says on stderr what went wrong.
pub(crate) fn complain(what: &dyn Display) {
    let _ = writeln!(std::io::stderr().lock(), "taskforge agent: {what}");
}

/// The attempt's story, told on stdout.
pub(crate) struct Narration<'a> {
    out: &'a mut dyn Write,
}

impl<'a> Narration<'a> {
    pub(crate) fn new(out: &'a mut dyn Write) -> Self {
        Self { out }
    }

    /// One line: what happens now.
    pub(crate) fn step(&mut self, text: &str) {
        let _ = writeln!(self.out, "› {}", line(text));
        let _ = self.out.flush();
    }

    /// Some lines of what came of it, indented.
    pub(crate) fn detail(&mut self, text: &str) {
        let mut lines = text.trim_end().lines();
        for shown in lines.by_ref().take(LINES) {
            let _ = writeln!(self.out, "  {}", line(shown));
        }
        let hidden = lines.count();
        if hidden > 0 {
            let _ = writeln!(self.out, "  … {hidden} more lines");
        }
        let _ = self.out.flush();
    }
}

/// `text` as one printable line of bounded width.
pub(crate) fn line(text: &str) -> String {
    let mut line = String::new();
    for (column, c) in text.chars().enumerate() {
        if column == COLUMNS {
            line.push('…');
            break;
        }
        line.push(match c {
            '\n' | '\t' => ' ',
            // Control characters move cursors and set titles; the directional ones reorder what is read.
            c if c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') => '\u{fffd}',
            c => c,
        });
    }
    line
}

/// A tool's result as a person reads it.
pub(crate) fn readable(result: &Value) -> String {
    let Some(code) = result.get("exit") else {
        return result.get("content").and_then(Value::as_str).map_or_else(|| result.to_string(), str::to_owned);
    };
    let mut text = String::new();
    for stream in ["stdout", "stderr"] {
        text.push_str(result.get(stream).and_then(Value::as_str).unwrap_or_default());
    }
    for refusal in result.get("refused").and_then(Value::as_array).into_iter().flatten() {
        text.push_str(&format!("refused by the gate: {}\n", refusal.get("target").unwrap_or(&Value::Null)));
    }
    if code != 0 {
        text.push_str(&format!("exit {code}"));
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn long_output_is_shortened() {
        let mut out = Vec::new();
        Narration::new(&mut out).detail(&"x\n".repeat(20));
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().count(), 13);
        assert!(text.ends_with("  … 8 more lines\n"));
    }

    proptest! {
        #[test]
        fn a_line_is_one_line_without_controls(text in any::<String>()) {
            let line = line(&text);
            prop_assert!(!line.contains(|c: char| c.is_control()));
            prop_assert!(line.chars().count() <= COLUMNS + 1);
        }
    }
}
