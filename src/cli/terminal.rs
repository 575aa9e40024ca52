//! Asking a person. Only ever on a terminal; whoever is not at one passes what they decide as arguments.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::Path;

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

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

/// As [`ask`], and nothing at end of input, which is no answer.
pub(crate) fn ask_or_end(question: &str) -> std::io::Result<Option<String>> {
    let mut stderr = std::io::stderr().lock();
    write!(stderr, "{question} ")?;
    stderr.flush()?;
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line)?;
    // A line that breaks off is not what somebody meant to say.
    Ok(line.ends_with('\n').then(|| line.trim().to_owned()).filter(|_| read > 0))
}

/// The passphrase of a key file, asked for without showing it; nothing where nobody can be asked.
pub(crate) fn passphrase(path: &Path) -> Option<Zeroizing<String>> {
    secret(&format!("Passphrase of {}:", path.display())).filter(|phrase| !phrase.is_empty())
}

/// What a person types without it being shown; nothing where nobody can be asked.
pub(crate) fn secret(question: &str) -> Option<Zeroizing<String>> {
    if !is_interactive() {
        return None;
    }
    let stdin = std::io::stdin();
    let mut stderr = std::io::stderr().lock();
    write!(stderr, "{question} ").and_then(|()| stderr.flush()).ok()?;
    let shown = tcgetattr(&stdin).ok()?;
    let mut hidden = shown.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&stdin, OptionalActions::Drain, &hidden).ok()?;
    let mut line = Zeroizing::new(String::new());
    let read = stdin.lock().read_line(&mut line);
    let _ = tcsetattr(&stdin, OptionalActions::Drain, &shown);
    let _ = writeln!(stderr);
    read.ok()?;
    Some(Zeroizing::new(line.trim_end_matches(['\n', '\r']).to_owned()))
}

/// `text` as it is safe to print: what an agent wrote can neither move the cursor nor turn the reading direction.
#[must_use]
pub(crate) fn plain(text: &str) -> String {
    crate::run::visible::visible(text)
}
