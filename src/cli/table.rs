//! Columns for people: as wide as what stands in them, no borders, no trailing blanks.

use super::output::BOLD;
use super::terminal::plain;

pub(crate) struct Table<const N: usize> {
    head: [&'static str; N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    pub(crate) const fn new(head: [&'static str; N]) -> Self {
        Self { head, rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells.map(|cell| if is_plain(&cell) { cell } else { plain(&cell).replace(['\n', '\t'], " ") }));
    }

    /// The table, or `empty` if it has no rows.
    pub(crate) fn or(self, empty: &str) -> String {
        if self.rows.is_empty() {
            return empty.to_owned();
        }
        let mut widths = self.head.map(count);
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = count(cell).max(*width);
            }
        }
        let mut text = format!("{BOLD}");
        line(&mut text, &self.head, &widths);
        text.push_str(&format!("{BOLD:#}\n"));
        for row in &self.rows {
            line(&mut text, row, &widths);
            text.push('\n');
        }
        text
    }
}

/// Whether a text is as good as what [`plain`] makes of it, without a look at each character's kind.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// How many columns a text takes: one a character.
fn count(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.chars().count() }
}

/// Adds a line without its newline and without trailing blanks.
fn line<S: AsRef<str>>(text: &mut String, cells: &[S], widths: &[usize]) {
    let mut blanks = 0;
    for (cell, width) in cells.iter().map(S::as_ref).zip(widths) {
        if !cell.is_empty() {
            text.extend(std::iter::repeat_n(' ', blanks));
            text.push_str(cell);
            blanks = 0;
        }
        blanks += width - count(cell) + 2;
    }
    text.truncate(text.trim_end_matches(' ').len());
}
