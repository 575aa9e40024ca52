//! Something that was found: what makes it this work and no other, and what a template can say of it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use crate::run::id::{Digest, IdError, RunId};
use crate::workflow::text::is_unsafe;

/// The most of an item that a run's name shows, in characters.
const SHOWN: usize = 40;
/// The longest text of somebody else that goes into a field, in characters.
const LONGEST: usize = 200;

/// A piece of work.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    /// Equal for equal work, however often and by whomever it is found: a pull request's holds the commit at its head.
    pub(crate) key: String,
    /// A few words for people.
    pub(crate) what: String,
    pub(crate) fields: BTreeMap<String, Value>,
    /// What the run is given as an input, and what that has to hold: somebody else may change it at any time.
    pub(crate) input: Option<(PathBuf, Digest)>,
}

impl Item {
    /// The run that this work is, for the watch `watch`. The file system makes a name once, so whoever else finds the same
    /// work, at once or after a restart that forgot it, cannot make another. The digest is long enough that nobody makes
    /// two commits whose work has one name.
    pub(crate) fn run(&self, watch: &str) -> Result<RunId, IdError> {
        let digest = Digest::of(format!("{watch}\0{}", self.key).as_bytes());
        let mut slug = String::new();
        for c in self.what.chars().take(4 * SHOWN) {
            if c.is_ascii_alphanumeric() {
                slug.push(c.to_ascii_lowercase());
            } else if !slug.is_empty() && !slug.ends_with('-') {
                slug.push('-');
            }
        }
        let slug: String = slug.chars().take(SHOWN).collect();
        let slug = slug.trim_end_matches('-');
        let (between, digest) = (if slug.is_empty() { "" } else { "-" }, &digest.as_str()[..32]);
        RunId::parse(&format!("{watch}{between}{slug}-{digest}"))
    }
}

/// Somebody else's text as a field: one line, of bounded length, with nothing that hides or moves.
pub(super) fn tame(text: &str) -> String {
    let clean: String = text.chars().map(|c| if is_unsafe(c) || c.is_control() { ' ' } else { c }).take(4096).collect();
    let words = clean.split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn item(key: &str, what: &str) -> Item {
        Item { key: key.to_owned(), what: what.to_owned(), fields: BTreeMap::new(), input: None }
    }

    #[test]
    fn equal_work_has_one_name_and_other_work_another() {
        let one = item("github.pr:acme/tool#12@aa", "acme/tool#12").run("reviews").unwrap();
        assert_eq!(one, item("github.pr:acme/tool#12@aa", "acme/tool#12").run("reviews").unwrap());
        assert!(one.as_str().starts_with("reviews-acme-tool-12-"), "{one}");
        assert_ne!(one, item("github.pr:acme/tool#12@ab", "acme/tool#12").run("reviews").unwrap());
        assert_ne!(one, item("github.pr:acme/tool#12@aa", "acme/tool#12").run("others").unwrap());
        for what in ["", "../../etc", "größe", &"x".repeat(5000), "\u{202e}\n"] {
            item("k", what).run(&"w".repeat(40)).unwrap();
        }
    }

    #[test]
    fn a_foreign_text_is_one_short_line() {
        assert_eq!(tame("a\n\u{202e}b\x1b[2J  c"), "a b [2J c");
        assert_eq!(tame(&"x".repeat(10_000)).len(), LONGEST);
    }
}
