//! A note for whoever started the agent: which requests it made and whether it knows the answer. The file's name is in
//! the environment where somebody wants it; the truth is the gate's.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::path::Path;

use crate::agent::env;
use crate::run::id::RequestId;

const LARGEST: u64 = 1 << 20;

/// Adds a line, if somebody wants to know. A note that cannot be written changes no answer.
pub(super) fn note(id: &str, answered: bool) {
    let Some(path) = env::asked() else { return };
    let word = if answered { "answered" } else { "pending" };
    let file = OpenOptions::new().create(true).append(true).open(path);
    let _ = file.and_then(|mut file| writeln!(file, "{id} {word}"));
}

/// The requests whose last line says that they are undecided.
pub(crate) fn unanswered(path: &Path) -> Vec<String> {
    let mut text = String::new();
    let file = std::fs::File::open(path);
    let _ = file.map(|file| file.take(LARGEST).read_to_string(&mut text));
    let mut last: BTreeMap<&str, &str> = BTreeMap::new();
    last.extend(text.lines().filter_map(|line| line.split_once(' ')));
    let pending = last.into_iter().filter(|(id, word)| *word == "pending" && RequestId::parse(id).is_ok());
    pending.map(|(id, _)| id.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_last_word_counts() {
        let (one, two) = ("01JD2Z3V5Q8M4K7N9P1R2S3T4V", "01JD2Z3V5Q8M4K7N9P1R2S3T4W");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("asked");
        assert!(unanswered(&path).is_empty());
        std::fs::write(&path, format!("{one} pending\n{two} pending\n../x pending\n\n{one} answered\n")).unwrap();
        assert_eq!(unanswered(&path), [two]);
    }
}
