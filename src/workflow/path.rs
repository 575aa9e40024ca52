//! A path within a run's folder.

use std::fmt;

use serde::Serialize;
use thiserror::Error;

/// A path relative to the run's folder that cannot leave it: components separated by `/`, none of them empty, `.` or
/// `..`, no backslash, no control character, at most 512 bytes and 16 components. A leading `./` is dropped.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct RelativePath(String);

/// Why a text is not a [`RelativePath`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PathError {
    #[error("is empty")]
    Empty,
    #[error("is absolute; it must be relative to the run's folder")]
    Absolute,
    #[error("leaves the run's folder")]
    Escapes,
    #[error("holds a backslash or a control character")]
    Character,
    #[error("has an empty component or `.`")]
    Component,
    #[error("is too long: at most 512 bytes, 255 a component, 16 components")]
    TooLong,
}

impl RelativePath {
    /// Parses `text`.
    ///
    /// # Errors
    /// [`PathError`] names the rule that `text` breaks.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        if text.trim().is_empty() {
            return Err(PathError::Empty);
        }
        if text.starts_with(['/', '~']) || (text.as_bytes().get(1) == Some(&b':') && text.contains('\\')) {
            return Err(PathError::Absolute);
        }
        if text.split(['/', '\\']).any(|component| component == "..") {
            return Err(PathError::Escapes);
        }
        if text.chars().any(|c| c == '\\' || super::text::is_unsafe(c)) {
            return Err(PathError::Character);
        }
        let text = text.strip_prefix("./").unwrap_or(text);
        if text.split('/').any(|component| component.trim().is_empty() || component == ".") {
            return Err(PathError::Component);
        }
        if text.len() > 512 || text.split('/').count() > 16 || text.split('/').any(|component| component.len() > 255) {
            return Err(PathError::TooLong);
        }
        Ok(Self(text.to_owned()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `self` is a folder on the way to `other`.
    pub(super) fn holds(&self, other: &Self) -> bool {
        other.0.strip_prefix(&self.0).is_some_and(|rest| rest.starts_with('/'))
    }
}

impl fmt::Display for RelativePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl AsRef<str> for RelativePath {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn accepts_what_stays_inside() {
        for good in ["a", "nodes/a/report.md", "nodes/größe/日本.md", "a/.hidden", "a/..b", "a b/c"] {
            assert_eq!(RelativePath::parse(good).unwrap().as_str(), good);
        }
        assert_eq!(RelativePath::parse("./a/b").unwrap().as_str(), "a/b");
    }

    #[test]
    fn refuses_the_rest() {
        for (bad, why) in [
            ("", PathError::Empty),
            ("  ", PathError::Empty),
            ("/etc/passwd", PathError::Absolute),
            ("~/x", PathError::Absolute),
            ("C:\\x", PathError::Absolute),
            ("..", PathError::Escapes),
            ("a/../../x", PathError::Escapes),
            ("a\\..\\x", PathError::Escapes),
            ("a\\b", PathError::Character),
            ("a\0b", PathError::Character),
            ("a\u{202e}b", PathError::Character),
            ("a//b", PathError::Component),
            ("a/", PathError::Component),
            ("a/./b", PathError::Component),
            (".", PathError::Component),
            ("././a", PathError::Component),
        ] {
            assert_eq!(RelativePath::parse(bad), Err(why), "{bad:?}");
        }
        assert_eq!(RelativePath::parse(&"a/".repeat(17)[..33]), Err(PathError::TooLong));
    }

    proptest! {
        #[test]
        fn a_parsed_path_has_only_normal_components(text in "[a./\\\\~ ]{0,20}") {
            if let Ok(path) = RelativePath::parse(&text) {
                let path = std::path::Path::new(path.as_str());
                prop_assert!(path.components().all(|c| matches!(c, std::path::Component::Normal(_))));
            }
        }
    }
}
