//! One line of `allowed_signers`: names, options, a public key (ssh-keygen(1), ALLOWED SIGNERS).

use ssh_key::PublicKey;
use ssh_key::public::KeyData;

use super::pattern::matches_list;
use super::validity::{self, Validity};

/// Who may sign with which key, for what and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// From 1.
    pub line: usize,
    /// A pattern list.
    pub principals: String,
    pub key: KeyData,
    /// What follows the key.
    pub comment: String,
    /// A pattern list; none allows every namespace.
    pub namespaces: Option<String>,
    pub validity: Validity,
    /// A certificate authority's key: it signs for nobody by itself.
    pub is_authority: bool,
}

const BLANK: [char; 2] = [' ', '\t'];

impl Entry {
    /// The entry of a line; none of an empty one and of a comment.
    pub(super) fn parse(line: usize, text: &str) -> Result<Option<Self>, String> {
        let text = text.trim_end_matches('\r').trim_matches(BLANK);
        if text.is_empty() || text.starts_with('#') {
            return Ok(None);
        }
        let (principals, rest) = word(text)?;
        if principals.split(',').any(|name| name.is_empty() || name == "!") {
            return Err("an empty name".to_owned());
        }
        let mut entry = Self {
            line,
            principals: principals.to_owned(),
            key: KeyData::Ed25519(ssh_key::public::Ed25519PublicKey([0; 32])),
            comment: String::new(),
            namespaces: None,
            validity: Validity::default(),
            is_authority: false,
        };
        let key = match public_key(rest) {
            Some(key) => key,
            None => {
                let after = entry.options(rest)?;
                public_key(after).ok_or_else(|| "no key of a type that is known".to_owned())?
            }
        };
        key.comment().clone_into(&mut entry.comment);
        entry.key = key.key_data().clone();
        Ok(Some(entry))
    }

    /// Reads options up to the blank behind them; what follows.
    fn options<'a>(&mut self, mut text: &'a str) -> Result<&'a str, String> {
        loop {
            let end = text.find(['=', ',', ' ', '\t']).unwrap_or(text.len());
            let (name, rest) = text.split_at(end);
            let name = name.to_ascii_lowercase();
            let (value, rest) = match rest.strip_prefix('=') {
                Some(quoted) => {
                    let (value, rest) =
                        quoted_value(quoted).ok_or_else(|| format!("option `{name}` has no \"value\""))?;
                    (Some(value), rest)
                }
                None => (None, rest),
            };
            self.option(&name, value)?;
            match rest.strip_prefix(',') {
                Some(next) => text = next,
                None if rest.starts_with(BLANK) => return Ok(rest.trim_start_matches(BLANK)),
                None => return Err("no key follows the options".to_owned()),
            }
        }
    }

    fn option(&mut self, name: &str, value: Option<String>) -> Result<(), String> {
        let time = |value: &str| validity::parse(value).ok_or_else(|| format!("`{name}`: {value:?} is no time"));
        let again = || Err(format!("option `{name}` stands there twice"));
        match (name, value) {
            ("cert-authority", None) => self.is_authority = true,
            ("namespaces", Some(list)) if self.namespaces.is_none() => self.namespaces = Some(list),
            ("valid-after", Some(value)) if self.validity.after.is_none() => self.validity.after = Some(time(&value)?),
            ("valid-before", Some(value)) if self.validity.before.is_none() => {
                self.validity.before = Some(time(&value)?)
            }
            ("namespaces" | "valid-after" | "valid-before", Some(_)) => return again(),
            _ => return Err(format!("neither a key nor an option that is known: `{}`", shown(name))),
        }
        if let (Some(after), Some(before)) = (self.validity.after, self.validity.before)
            && before <= after
        {
            return Err("`valid-before` is not behind `valid-after`".to_owned());
        }
        Ok(())
    }

    /// Whether the key is `name`'s.
    #[must_use]
    pub fn is_of(&self, name: &str) -> bool {
        matches_list(name, &self.principals)
    }

    #[must_use]
    pub fn allows(&self, namespace: &str) -> bool {
        self.namespaces.as_deref().is_none_or(|list| matches_list(namespace, list))
    }

    /// The one name that the key is of, if the line names no patterns: the first of several.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        let first = self.principals.split(',').next()?;
        let plain = !first.contains(['*', '?']) && !first.starts_with('!');
        (plain && self.is_of(first)).then_some(first)
    }
}

/// The first word and what follows it; quotes hold blanks together.
fn word(text: &str) -> Result<(&str, &str), String> {
    let (word, rest) = match text.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"').ok_or_else(|| "a quote is not closed".to_owned())?,
        None => text.split_at(text.find(BLANK).ok_or_else(|| "a name, and no key".to_owned())?),
    };
    Ok((word, rest.trim_start_matches(BLANK)))
}

/// `"…"` at the beginning, with `\"` inside for a quote; what follows.
fn quoted_value(text: &str) -> Option<(String, &str)> {
    let inside = text.strip_prefix('"')?;
    let mut value = String::new();
    let mut characters = inside.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &inside[at + 1..])),
            '\\' if characters.peek().is_some_and(|(_, next)| *next == '"') => {
                characters.next();
                value.push('"');
            }
            other => value.push(other),
        }
    }
    None
}

/// `type base64 comment`; nothing of a type that is not known.
fn public_key(text: &str) -> Option<PublicKey> {
    let key = PublicKey::from_openssh(text).ok()?;
    let known = !matches!(key.key_data(), KeyData::Other(_));
    known.then_some(key)
}

fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}
