//! References to images, checked before they stand in a request's path or in a file.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// `[host[:port]/]name[/name…][:tag][@sha256:<64 hex>]`, or an image id `sha256:<64 hex>`; at most 255 characters.
/// This is the Engine's own grammar, so that a reference cannot walk out of a URL's path.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageRef(String);

/// A text that is not an image reference.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{text:?} is not an image reference like `name:tag` or `host/name@sha256:…`")]
pub struct ImageRefError {
    pub text: String,
}

impl ImageRef {
    /// Parses `text`.
    ///
    /// # Errors
    /// [`ImageRefError`] if it is none.
    pub fn parse(text: &str) -> Result<Self, ImageRefError> {
        let fits = text.len() <= 255 && (is_id(text) || is_reference(text));
        if fits {
            return Ok(Self(text.to_owned()));
        }
        Err(ImageRefError { text: text.chars().take(80).collect() })
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Repository and tag; the tag is `latest` where none is written. `None` for an id or a digest, which cannot be
    /// given to an image.
    #[must_use]
    pub fn repository_and_tag(&self) -> Option<(&str, &str)> {
        if self.0.contains('@') || is_id(&self.0) {
            return None;
        }
        match self.0.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => Some((repository, tag)),
            _ => Some((&self.0, "latest")),
        }
    }
}

fn is_id(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(is_hex64)
}

fn is_hex64(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_reference(text: &str) -> bool {
    let (name, digest) = match text.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (text, None),
    };
    if digest.is_some_and(|digest| !is_id(digest)) {
        return false;
    }
    let (name, tag) = match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (name, None),
    };
    if tag.is_some_and(|tag| !is_tag(tag)) {
        return false;
    }
    let parts: Vec<&str> = name.split('/').collect();
    let (host, path) = match parts.as_slice() {
        [first, rest @ ..] if !rest.is_empty() && (first.contains(['.', ':']) || *first == "localhost") => {
            (Some(*first), rest)
        }
        all => (None, all),
    };
    host.is_none_or(is_host) && path.iter().all(|part| is_component(part))
}

fn is_tag(tag: &str) -> bool {
    let mut bytes = tag.bytes();
    tag.len() <= 128
        && bytes.next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

fn is_host(host: &str) -> bool {
    let (name, port) = host.split_once(':').unwrap_or((host, "1"));
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    name.split('.').all(label) && port.parse::<u16>().is_ok_and(|port| port > 0)
}

fn is_component(part: &str) -> bool {
    let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    edge(part.bytes().next())
        && edge(part.bytes().last())
        && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-'))
        && !part.contains("..")
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl std::str::FromStr for ImageRef {
    type Err = ImageRefError;
    fn from_str(text: &str) -> Result<Self, ImageRefError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for ImageRef {
    type Error = ImageRefError;
    fn try_from(text: String) -> Result<Self, ImageRefError> {
        Self::parse(&text)
    }
}

impl From<ImageRef> for String {
    fn from(image: ImageRef) -> Self {
        image.0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn references() {
        let id = format!("sha256:{}", "0a".repeat(32));
        let digest = format!("debian@{id}");
        let tagged = format!("registry.example:5000/team/base:1.2@{id}");
        for good in ["taskforge/base:default", "debian", "localhost/x", "localhost:5000/x:y", &id, &digest, &tagged] {
            ImageRef::parse(good).unwrap();
        }
        for bad in [
            "",
            "a b",
            "../x",
            "a/../b",
            "A",
            "a:",
            "a:b:c",
            "a@sha256:1",
            "-a",
            "a/",
            "/a",
            "a?b",
            "a#b",
            "a%2fb",
            "a:..",
            "host.:5000/a",
            "host:0/a",
            "a:\u{202e}",
            &"a".repeat(256),
        ] {
            assert!(ImageRef::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn repository_and_tag() {
        let of = |text| ImageRef::parse(text).unwrap().repository_and_tag().map(|(r, t)| (r.to_owned(), t.to_owned()));
        assert_eq!(of("a/b:c"), Some(("a/b".into(), "c".into())));
        assert_eq!(of("localhost:5000/b"), Some(("localhost:5000/b".into(), "latest".into())));
        assert_eq!(of(&format!("a@sha256:{}", "0".repeat(64))), None);
    }

    proptest! {
        #[test]
        fn a_reference_stays_in_its_place_in_a_url(text in "\\PC{0,40}") {
            if ImageRef::parse(&text).is_ok() {
                prop_assert!(!text.contains(['?', '#', '%', ' ', '\\']) && !text.contains(".."));
                prop_assert!(!text.starts_with('/'));
            }
        }
    }
}
