//! What a person reads in the end.

use std::fmt;

use crate::rows::Needed;
use crate::scene::Outcome;

pub struct Line {
    pub name: &'static str,
    pub without: Outcome,
    pub with: Outcome,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<48} without: {:<40} with: {}", self.name, self.without.to_string(), self.with)
    }
}

const fn word(outcome: &Outcome) -> &'static str {
    if outcome.succeeded { "succeeds" } else { "fails" }
}

pub fn of_attacks(lines: &[Line]) -> String {
    let mut text = "| attack | without protection | with | on record |\n|---|---|---|---|\n".to_owned();
    for line in lines {
        let recorded = match line.with.recorded {
            None => "",
            Some(true) => "yes",
            Some(false) => "no",
        };
        text.push_str(&format!("| {} | {} | {} | {recorded} |\n", line.name, word(&line.without), word(&line.with)));
    }
    let real = lines.iter().filter(|line| line.without.succeeded).count();
    let through = lines.iter().filter(|line| line.with.succeeded).count();
    text.push_str(&format!("\n{} attacks; {real} succeed without protection, {through} with.\n", lines.len()));
    text
}

pub fn of_rows(rows: &[(&Needed, Option<Outcome>, Outcome)]) -> String {
    let mut text = "| row taken away | attack | then |\n|---|---|---|\n".to_owned();
    for (row, _, green) in rows {
        text.push_str(&format!("| {} | {} | {} |\n", row.name(), row.attack, word(green)));
    }
    text
}

/// Puts both tables into the document that shows them.
pub fn write(attacks: &str, rows: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/redteam.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = ("<!-- tables -->", "<!-- end of the tables -->");
    let (head, rest) = text.split_once(begin).unwrap();
    let tail = rest.split_once(end).unwrap().1;
    std::fs::write(path, format!("{head}{begin}\n\n{attacks}\n{rows}\n{end}{tail}")).unwrap();
}
