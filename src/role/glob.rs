//! Patterns of what an action may be about: a repository, a channel, a recipient, a URL.

use std::fmt;

use serde::{Serialize, Serializer};
use thiserror::Error;

use crate::run::capability::{ActionRules, fits};

/// A pattern in which `*` stands for any run of characters that holds no `/`, and everything else for itself. Its grammar
/// is that of an action's rules, which a gate holds arguments against.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Glob(String);

/// Why a text is no pattern of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum GlobError {
    #[error("is no repository; write it like `owner/name` or `owner/*`")]
    Repository,
    #[error("is no channel; write Slack's id of it, like `C0123ABCD`")]
    Channel,
    #[error("is no recipient; write it like `ada@example.com` or `*@example.com`")]
    Recipient,
    #[error("is no URL; write it as it is, like `https://hooks.example.com/x`, without a query")]
    Url,
}

impl Glob {
    /// `owner/name`, in which `*` stands for any characters but `/`.
    ///
    /// # Errors
    /// [`GlobError`] names the form.
    pub fn repository(text: &str) -> Result<Self, GlobError> {
        let rules = ActionRules { repositories: vec![text.to_owned()], ..ActionRules::default() };
        Self::checked(text, &rules, GlobError::Repository)
    }

    /// Slack's id of a channel, or `#` and its name.
    ///
    /// # Errors
    /// [`GlobError`] names the form.
    pub fn channel(text: &str) -> Result<Self, GlobError> {
        let rules = ActionRules { channels: vec![text.to_owned()], ..ActionRules::default() };
        Self::checked(text, &rules, GlobError::Channel)
    }

    /// An address, or `*@` and a domain.
    ///
    /// # Errors
    /// [`GlobError`] names the form.
    pub fn recipient(text: &str) -> Result<Self, GlobError> {
        let rules = ActionRules { recipients: vec![text.to_owned()], ..ActionRules::default() };
        Self::checked(text, &rules, GlobError::Recipient)
    }

    /// A URL as it is.
    ///
    /// # Errors
    /// [`GlobError`] names the form.
    pub fn url(text: &str) -> Result<Self, GlobError> {
        let rules = ActionRules { urls: vec![text.to_owned()], ..ActionRules::default() };
        Self::checked(text, &rules, GlobError::Url)
    }

    /// What a gate would not take as a rule is none here either: one grammar for grants and for roles.
    fn checked(text: &str, rules: &ActionRules, wrong: GlobError) -> Result<Self, GlobError> {
        rules.check().map_err(|_| wrong)?;
        Ok(Self(text.to_owned()))
    }

    /// Whether `text` matches, letter by letter: no case is folded and nothing is decoded.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        fits(&self.0, text)
    }

    /// Whether everything that this pattern matches is matched by `other`, as far as the patterns show it: equal, or
    /// `other` matches ours read as a text. Never true where it is not so.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        self == other || other.matches(&self.0)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Serialize for Glob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_star_stays_within_its_part() {
        for (pattern, text, expected) in [
            ("acme/*", "acme/api", true),
            ("acme/*", "acme/api/x", false),
            ("acme/*", "evil/acme/api", false),
            ("*/api", "acme/api", true),
            ("*/api", "a/b/api", false),
            ("acme/a*i-*", "acme/api-x", true),
            ("acme/a*i-*", "acme/api", false),
            ("acme/api", "Acme/api", false),
        ] {
            assert_eq!(Glob::repository(pattern).unwrap().matches(text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn each_kind_has_its_form() {
        for bad in ["", "acme", "acme/", "/x", "a/b/c", "a/..", "a b/c", "a/b?x", "a/b#", "a/ü", "a/%2e"] {
            assert!(Glob::repository(bad).is_err(), "{bad}");
        }
        for bad in ["", "#", "#Team", "c0123", "C01 23", "C0123*"] {
            assert!(Glob::channel(bad).is_err(), "{bad}");
        }
        for bad in ["ada", "@x.org", "ada@", "a@b@c", "ada@.org", "a b@c.org", "ada@x.org,b@y.org"] {
            assert!(Glob::recipient(bad).is_err(), "{bad}");
        }
        for bad in
            ["hooks.example.com/x", "ftp://a/x", "https://*.a/x", "https://u@a/x", "https://a/../x", "https://a/x?y"]
        {
            assert!(Glob::url(bad).is_err(), "{bad}");
        }
        assert!(Glob::url("http://127.0.0.1:8080/hook").unwrap().matches("http://127.0.0.1:8080/hook"));
        assert!(Glob::recipient("*@example.com").unwrap().matches("ada@example.com"));
        assert!(Glob::channel("C0123ABCD").unwrap().matches("C0123ABCD"));
    }

    proptest! {
        #[test]
        fn what_is_within_matches_no_more(a in "[ab*]{1,3}/[ab*]{1,3}", b in "[ab*]{1,3}/[ab*]{1,3}", text in "[ab]{1,4}/[ab]{1,4}") {
            let (a, b) = (Glob::repository(&a).unwrap(), Glob::repository(&b).unwrap());
            if a.is_within(&b) && a.matches(&text) {
                prop_assert!(b.matches(&text), "{a} {b} {text}");
            }
        }
    }
}
