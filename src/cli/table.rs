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
        self.rows.push(cells.map(|cell| plain(&cell).replace(['\n', '\t'], " ")));
    }

    /// The table, or `empty` if it has no rows.
    pub(crate) fn or(self, empty: &str) -> String {
        if self.rows.is_empty() {
            return empty.to_owned();
        }
        let width = |i: usize| {
            let cells = self.rows.iter().map(|row| row[i].chars().count());
            cells.chain([self.head[i].chars().count()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..N).map(width).collect();
        let line = |cells: &[String]| {
            let mut text = String::new();
            for (cell, width) in cells.iter().zip(&widths) {
                let blanks = width - cell.chars().count() + 2;
                text.push_str(cell);
                text.push_str(&" ".repeat(blanks));
            }
            text.trim_end().to_owned()
        };
        let head = line(&self.head.map(str::to_owned));
        let mut text = format!("{BOLD}{head}{BOLD:#}\n");
        for row in &self.rows {
            text.push_str(&line(row));
            text.push('\n');
        }
        text
    }
}
