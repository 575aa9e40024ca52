//! Where the YAML of a file ends and its Markdown begins.

use std::borrow::Cow;

use super::problem::{Problem, Spot};

/// A file cut at its fences.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frontmatter<'t> {
    pub(crate) yaml: &'t str,
    /// How many lines of the file stand before `yaml`.
    pub(crate) lines_before: usize,
    /// The Markdown after the closing fence.
    pub(crate) body: &'t str,
}

/// `text` without a byte order mark and with `\n` for `\r\n` and `\r`, so that every later step counts the same lines.
pub(crate) fn normalised(text: &str) -> Cow<'_, str> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.contains('\r') { Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n")) } else { Cow::Borrowed(text) }
}

/// Cuts a normalised text at its two fences. A fence is a line that holds `---` from its first column, and white space
/// after it. No line of a prompt is one: a block scalar is indented, and YAML forbids `---` at the first column of a
/// quoted string. Blank lines before the first fence are passed over, as OpenTask does.
pub(crate) fn split(text: &str) -> Result<Frontmatter<'_>, Problem> {
    let mut lines = Lines { text, at: 0, number: 0 };
    let opening = loop {
        match lines.next() {
            Some(line) if line.text.trim().is_empty() => {}
            Some(line) => break Some(line),
            None => break None,
        }
    };
    let Some(opening) = opening else {
        let hint = "it is Markdown with YAML between two lines of `---`";
        return Err(Problem::new(Spot { line: 1, column: 1 }, "the file is empty", Some(hint.into())));
    };
    if !is_fence(opening.text) {
        let hint = "it starts with its YAML, between two lines that hold only `---`";
        let spot = Spot { line: opening.number, column: 1 };
        return Err(Problem::new(spot, "the file does not start with a line of `---`", Some(hint.into())));
    }
    let start = lines.at;
    while let Some(line) = lines.next() {
        if is_fence(line.text) {
            let yaml = &text[start..line.start];
            return Ok(Frontmatter { yaml, lines_before: opening.number, body: &text[lines.at..] });
        }
    }
    let hint = "add a line of `---` below the YAML, at the first column";
    let spot = Spot { line: opening.number, column: 1 };
    Err(Problem::new(spot, "the frontmatter is never closed", Some(hint.into())))
}

fn is_fence(line: &str) -> bool {
    line.trim_end() == "---"
}

struct Line<'t> {
    text: &'t str,
    start: usize,
    /// From 1.
    number: usize,
}

struct Lines<'t> {
    text: &'t str,
    at: usize,
    number: usize,
}

impl<'t> Iterator for Lines<'t> {
    type Item = Line<'t>;

    fn next(&mut self) -> Option<Line<'t>> {
        let rest = &self.text[self.at..];
        if rest.is_empty() {
            return None;
        }
        let start = self.at;
        let (text, length) = rest.split_once('\n').map_or((rest, rest.len()), |(line, _)| (line, line.len() + 1));
        self.at += length;
        self.number += 1;
        Some(Line { text, start, number: self.number })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn cuts_at_the_fences() {
        let cut = split("---\na: 1\n---\nbody\n").unwrap();
        assert_eq!(cut, Frontmatter { yaml: "a: 1\n", lines_before: 1, body: "body\n" });
    }

    #[test]
    fn blank_lines_marks_and_missing_ends_are_fine() {
        let text = normalised("\u{feff}\r\n  \r\n---  \r\na: 1\r\n---");
        let cut = split(&text).unwrap();
        assert_eq!(cut, Frontmatter { yaml: "a: 1\n", lines_before: 3, body: "" });
        assert_eq!(normalised("a\rb\r\nc"), "a\nb\nc");
    }

    #[test]
    fn dashes_elsewhere_are_no_fence() {
        let cut = split("---\na: |\n  ---\n  x\nb: '--- '\n----\n--- x\n---\n").unwrap();
        assert_eq!(cut.yaml, "a: |\n  ---\n  x\nb: '--- '\n----\n--- x\n");
    }

    #[test]
    fn says_what_is_missing() {
        for (text, line, message) in [
            ("", 1, "the file is empty"),
            ("\n \n", 1, "the file is empty"),
            ("\n# Title\n", 2, "the file does not start with a line of `---`"),
            ("---\na: 1\n", 1, "the frontmatter is never closed"),
        ] {
            let problem = split(text).unwrap_err();
            assert_eq!((problem.line, problem.message.as_str()), (line, message), "{text:?}");
        }
    }
}
