//! Asking a person. Only ever on a terminal; whoever is not at one passes what they decide as arguments.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

/// Whether a person can be asked.
pub(crate) fn is_interactive() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks `question` and gives the trimmed answer; empty at end of input.
pub(crate) fn ask(question: &str) -> std::io::Result<String> {
    let mut stderr = std::io::stderr().lock();
    write!(stderr, "{question} ")?;
    stderr.flush()?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim().to_owned())
}

/// `text` as it is safe to print: what an agent wrote can neither move the cursor nor turn the reading direction.
#[must_use]
pub(crate) fn plain(text: &str) -> String {
    crate::run::visible::visible(text)
}
