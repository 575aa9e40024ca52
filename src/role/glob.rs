//! Patterns of what an action may be about: a repository, a channel, a recipient, a URL.

use std::fmt;

use serde::{Serialize, Serializer};
use thiserror::Error;

/// A pattern in which `*` stands for any run of characters that holds no `/` (of a URL: within its path only), and
/// everything else for itself. ASCII and printable, at most 256 characters, so that nothing it matches or is shown as
/// can hide.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Glob(String);

/// Why a text is no pattern of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum GlobError {
    #[error("holds more than 256 characters, or one that is no printable ASCII, or a space")]
    Characters,
    #[error("is no repository; write it like `owner/name` or `owner/*`")]
    Repository,
    #[error("is no channel; write it like `#team` or `C0123ABCD`")]
    Channel,
    #[error("is no recipient; write it like `ada@example.com` or `*@example.com`")]
    Recipient,
    #[error("is no URL; write it like `https://hooks.example.com/x/*`, the host without `*`")]
    Url,
}

impl Glob {
    fn plain(text: &str) -> Result<(), GlobError> {
        let fits = text.len() <= 256 && !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        if fits { Ok(()) } else { Err(GlobError::Characters) }
    }

    /// `owner/name`, each of letters, digits, `.`, `_`, `-` and `*`; no part is `.` or `..`.
    ///
    /// # Errors
    /// [`GlobError`] names the form.
    pub fn repository(text: &str) -> Result<Self, GlobError> {
        Self::plain(text)?;
        let part = |part: &str| {
            let fits = |b: u8| b.is_ascii_alphanumeric() || b"._-*".contains(&b);
            !part.is_empty() && part.bytes().all(fits) && !matches!(part, "." | "..")
        };
        match text.split_once('/') {
            Some((owner, name)) if part(owner) && part(name) => Ok(Self(text.to_owned())),
            _ => Err(GlobError::Repository),
        }
    }

    /// `#name` or an id, of letters, digits, `.`, `_`, `-` and `*`.
    ///
    /// # Errors
    /// [`GlobError`] names the form.
    pub fn channel(text: &str) -> Result<Self, GlobError> {
        Self::plain(text)?;
        let name = text.strip_prefix('#').unwrap_or(text);
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"._-*".contains(&b);
        if !name.is_empty() && name.bytes().all(fits) { Ok(Self(text.to_owned())) } else { Err(GlobError::Channel) }
    }

    /// `local@domain`, either of which may hold `*`.
    ///
    /// # Errors
    /// [`GlobError`] names the form.
    pub fn recipient(text: &str) -> Result<Self, GlobError> {
        Self::plain(text)?;
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"._-*".contains(&b);
        let local = |b: u8| fits(b) || b"!#$%&'+=?^`{|}~".contains(&b);
        match text.split_once('@') {
            Some((name, domain))
                if !name.is_empty()
                    && name.bytes().all(local)
                    && !domain.is_empty()
                    && domain.bytes().all(fits)
                    && !domain.starts_with(['.', '-'])
                    && !domain.ends_with(['.', '-']) =>
            {
                Ok(Self(text.to_owned()))
            }
            _ => Err(GlobError::Recipient),
        }
    }

    /// `http(s)://host[:port]/path`, in whose path `*` may stand; no user, no query, no fragment, no `..`.
    ///
    /// # Errors
    /// [`GlobError`] names the form.
    pub fn url(text: &str) -> Result<Self, GlobError> {
        Self::plain(text)?;
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).ok_or(GlobError::Url)?;
        let (host, path) = rest.split_once('/').ok_or(GlobError::Url)?;
        let host_fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-:[]".contains(&b);
        let path_fits = |b: u8| b.is_ascii_alphanumeric() || b"/._~-*".contains(&b);
        let dots = path.split('/').any(|part| matches!(part, "." | ".."));
        if !host.is_empty() && host.bytes().all(host_fits) && path.bytes().all(path_fits) && !dots {
            return Ok(Self(text.to_owned()));
        }
        Err(GlobError::Url)
    }

    /// Whether `text` matches, letter by letter: no case is folded and nothing is decoded.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let (pattern, text) = (self.0.as_bytes(), text.as_bytes());
        let (mut p, mut t) = (0, 0);
        // Where the last star stood, and up to where it has taken.
        let mut star: Option<(usize, usize)> = None;
        while t < text.len() {
            if p < pattern.len() && pattern[p] == b'*' {
                star = Some((p, t));
                p += 1;
            } else if p < pattern.len() && pattern[p] == text[t] {
                (p, t) = (p + 1, t + 1);
            } else if let Some((at, taken)) = star.filter(|(_, taken)| text[*taken] != b'/') {
                (p, t, star) = (at + 1, taken + 1, Some((at, taken + 1)));
            } else {
                return false;
            }
        }
        pattern[p..].iter().all(|byte| *byte == b'*')
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
            ("acme/*", "acme/", true),
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
        for bad in ["#", "##x", "a b", "#a/b"] {
            assert!(Glob::channel(bad).is_err(), "{bad}");
        }
        for bad in ["ada", "@x.org", "ada@", "a@b@c", "ada@.org", "a b@c.org", "ada@x.org,b@y.org"] {
            assert!(Glob::recipient(bad).is_err(), "{bad}");
        }
        for bad in [
            "hooks.example.com/x",
            "ftp://a/x",
            "https://*.a/x",
            "https://a",
            "https://u@a/x",
            "https://a/../x",
            "https://a/x?y",
        ] {
            assert!(Glob::url(bad).is_err(), "{bad}");
        }
        assert!(Glob::url("http://127.0.0.1:8080/hook/*").unwrap().matches("http://127.0.0.1:8080/hook/1"));
        assert!(Glob::recipient("*@example.com").unwrap().matches("ada@example.com"));
        assert!(Glob::channel("#team-*").unwrap().matches("#team-a"));
    }

    proptest! {
        #[test]
        fn what_is_within_matches_no_more(a in "[ab*]{1,4}/[ab*]{1,4}", b in "[ab*]{1,4}/[ab*]{1,4}", text in "[ab]{1,4}/[ab]{1,4}") {
            let (a, b) = (Glob::repository(&a).unwrap(), Glob::repository(&b).unwrap());
            if a.is_within(&b) && a.matches(&text) {
                prop_assert!(b.matches(&text), "{a} {b} {text}");
            }
        }
    }
}
