//! How results and failures reach the caller: text for people on a terminal, JSON for programs, never both.

use std::io::Write as _;

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use crate::failure::{Failure, Kind};
use crate::run::visible::visible_json;

use super::terminal::plain;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default();
pub(crate) const DIM: Style = Style::new().dimmed();
pub(crate) const BOLD: Style = Style::new().bold();
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
pub(crate) const BAD: Style = AnsiColor::Red.on_default();
pub(crate) const WAITING: Style = AnsiColor::Yellow.on_default();

/// Where output goes and in which form. Colours appear on a terminal only (and not with `NO_COLOR`).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) const fn new(json: bool) -> Self {
        Self { json }
    }

    pub(crate) const fn is_json(self) -> bool {
        self.json
    }

    /// The result of a command: `text` for a person, `value` with `--json`.
    ///
    /// # Errors
    /// When standard output is closed or full.
    pub(crate) fn result<T: Serialize>(self, value: &T, text: impl FnOnce() -> String) -> Result<(), Failure> {
        let mut stdout = anstream::stdout().lock();
        let written = if self.json {
            // It may hold what a container or a file said, and be read on a terminal.
            let json = serde_json::to_string_pretty(value)
                .map(visible_json)
                .map_err(|error| Failure::new(Kind::Failed, format!("the result is not JSON: {error}")))?;
            writeln!(stdout, "{json}")
        } else {
            let text = text();
            if text.is_empty() || text.ends_with('\n') { write!(stdout, "{text}") } else { writeln!(stdout, "{text}") }
        };
        match written.and_then(|()| stdout.flush()) {
            // `taskforge run list | head` is not a failure.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            other => other.map_err(|error| Failure::new(Kind::Failed, format!("cannot write the result: {error}"))),
        }
    }

    /// A line about what is going on, on standard error; nothing with `--json`.
    pub(crate) fn note(self, text: impl std::fmt::Display) {
        if !self.json {
            let _ = writeln!(anstream::stderr().lock(), "{text}");
        }
    }

    /// As [`note`](Self::note), of a text without styles that may hold what a container or a file said.
    pub(crate) fn warn(self, text: &str) {
        self.note(plain(text));
    }

    /// A failure, on standard error.
    pub(crate) fn failure(self, failure: &Failure) {
        let mut stderr = anstream::stderr().lock();
        if self.json {
            let value = serde_json::json!({"error": {
                "code": failure.kind.code(), "exit": failure.kind.exit_code(),
                "message": failure.message, "hints": failure.hints,
            }});
            let _ = writeln!(stderr, "{}", visible_json(value.to_string()));
            return;
        }
        // A message may hold what a container, an upstream or a file said.
        let _ = writeln!(stderr, "{ERROR}error:{ERROR:#} {}", plain(&failure.message));
        for hint in &failure.hints {
            let _ = writeln!(stderr, "{HINT}hint:{HINT:#} {}", plain(hint));
        }
    }
}
