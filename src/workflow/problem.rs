//! What is wrong with a workflow file, where, and what to do about it.

use std::fmt;

use serde::{Serialize, Serializer};

use super::text::is_unsafe;

/// A place in a file: line and column from 1, the column counted in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Spot {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// One thing that is wrong, at its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    excerpt: Option<Excerpt>,
}

/// The part of a line that is shown below a message, safe for a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Excerpt {
    text: String,
    /// How many characters of `text` stand before the place.
    caret: usize,
}

impl Problem {
    pub(crate) fn new(spot: Spot, message: impl Into<String>, hint: Option<String>) -> Self {
        Self { line: spot.line, column: spot.column, message: message.into(), hint, excerpt: None }
    }
}

impl Excerpt {
    /// A line may be a megabyte long and hold anything; what is shown of it is neither.
    fn cut(line: &str, column: usize) -> Self {
        const BEFORE: usize = 60;
        const WIDTH: usize = 100;
        let place = column.saturating_sub(1);
        let start = if place < WIDTH - 10 { 0 } else { place - BEFORE };
        let mut text = String::new();
        if start > 0 {
            text.push('…');
        }
        let mut rest = line.chars().skip(start);
        text.extend(rest.by_ref().take(WIDTH).map(|c| match c {
            '\t' => ' ',
            c if is_unsafe(c) => '\u{fffd}',
            c => c,
        }));
        if rest.next().is_some() {
            text.push('…');
        }
        Self { text, caret: place - start + usize::from(start > 0) }
    }
}

/// Everything that is wrong with one file, in the order of the places. Never empty when a parse fails.
///
/// `Display` writes each as `file:line:column: error: message`, the line, a caret and the hint; serialised it is a list
/// of `{file, line, column, message, hint}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    file: String,
    problems: Vec<Problem>,
    /// How many more there are than are kept.
    left_out: usize,
}

impl Problems {
    /// More than this many are counted and not kept: no person reads them, and a hostile file has a hundred thousand.
    const LIMIT: usize = 200;

    /// `text` is the file in which the problems are, with `\n` at its line ends.
    pub(crate) fn new(file: &str, mut problems: Vec<Problem>, text: &str) -> Self {
        problems.sort_by(|a, b| (a.line, a.column, &a.message).cmp(&(b.line, b.column, &b.message)));
        problems.dedup_by(|b, a| (a.line, a.column, &a.message) == (b.line, b.column, &b.message));
        let left_out = problems.len().saturating_sub(Self::LIMIT);
        problems.truncate(Self::LIMIT);
        // Only now: a hundred thousand problems on one line of a megabyte would take minutes to show.
        let lines: Vec<&str> = text.split('\n').collect();
        for problem in &mut problems {
            let line = problem.line.checked_sub(1).and_then(|index| lines.get(index));
            problem.excerpt = line.map(|line| Excerpt::cut(line, problem.column));
        }
        let file = file.chars().map(|c| if is_unsafe(c) { '\u{fffd}' } else { c }).collect();
        Self { file, problems, left_out }
    }

    /// The label under which the file was parsed.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The first problems, at most 200, in the order of their places.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.problems.iter()
    }

    /// How many there are, those included that [`iter`](Self::iter) leaves out.
    #[must_use]
    pub fn count(&self) -> usize {
        self.problems.len() + self.left_out
    }
}

impl<'p> IntoIterator for &'p Problems {
    type Item = &'p Problem;
    type IntoIter = std::slice::Iter<'p, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{}:{}:{}: error: {}", self.file, problem.line, problem.column, problem.message)?;
            if let Some(excerpt) = &problem.excerpt {
                write!(f, "\n{:>5} | {}", problem.line, excerpt.text)?;
                write!(f, "\n      | {:caret$}^", "", caret = excerpt.caret)?;
            }
            if let Some(hint) = &problem.hint {
                write!(f, "\n  hint: {hint}")?;
            }
        }
        if self.left_out > 0 {
            write!(f, "\n{}: {} more problems are not shown", self.file, self.left_out)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

impl Serialize for Problems {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Located<'p> {
            file: &'p str,
            line: usize,
            column: usize,
            message: &'p str,
            hint: Option<&'p str>,
        }
        serializer.collect_seq(self.problems.iter().map(|problem| Located {
            file: &self.file,
            line: problem.line,
            column: problem.column,
            message: &problem.message,
            hint: problem.hint.as_deref(),
        }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn problem(line: usize, column: usize, message: &str) -> Problem {
        Problem::new(Spot { line, column }, message, None)
    }

    #[test]
    fn sorts_shows_and_points() {
        let mut second = problem(3, 3, "unknown key");
        second.hint = Some("drop it".into());
        let source = "---\na:\n\tx\u{1b}: 1\n";
        let problems = Problems::new("a.task.md", vec![second, problem(2, 9, "missing")], source);
        let text = "a.task.md:2:9: error: missing\n    2 | a:\n      |         ^\n\
                    a.task.md:3:3: error: unknown key\n    3 |  x\u{fffd}: 1\n      |   ^\n  hint: drop it";
        assert_eq!(problems.to_string(), text);
        assert_eq!(
            serde_json::to_string(&problems).unwrap(),
            r#"[{"file":"a.task.md","line":2,"column":9,"message":"missing","hint":null},{"file":"a.task.md","line":3,"column":3,"message":"unknown key","hint":"drop it"}]"#
        );
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let line = "x".repeat(100_000);
        let excerpt = Excerpt::cut(&line, 50_000);
        assert_eq!(excerpt.text.chars().count(), 102);
        assert_eq!(excerpt.caret, 61);
        assert!(Excerpt::cut("ab", 500).text.chars().count() < 10);
    }

    #[test]
    fn keeps_two_hundred_and_counts_the_rest() {
        let problems = Problems::new("f", (1..=1000).map(|line| problem(line, 1, "no")).collect(), "");
        assert_eq!((problems.iter().len(), problems.count()), (200, 1000));
        assert!(problems.to_string().ends_with("f: 800 more problems are not shown"));
    }
}
