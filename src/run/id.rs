//! Names, parsed once at the edge. A value of one of these types cannot escape a folder, hide in a terminal or
//! be mistaken for another kind of name; what the core is given has already been checked.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why a text is not a name of the asked kind.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IdError {
    #[error("{what} is empty")]
    Empty { what: &'static str },
    #[error("{what} {text:?} is longer than {limit} characters")]
    TooLong { what: &'static str, text: String, limit: usize },
    #[error(
        "{what} {text:?} may hold only letters, digits, `.`, `_` and `-`, and starts with a letter, a digit or `_`"
    )]
    Grammar { what: &'static str, text: String },
    #[error("{what} {text:?} is not {expected}")]
    Form { what: &'static str, text: String, expected: &'static str },
}

/// The shared grammar of run, node and workflow ids: `[A-Za-z0-9_][A-Za-z0-9._-]{0,127}`, any letter or digit of
/// Unicode standing in for `A-Za-z0-9`. `.` and `..` cannot match, since the first character is never a dot.
fn check_name(what: &'static str, text: &str) -> Result<(), IdError> {
    const LIMIT: usize = 128;
    let mut characters = text.chars();
    let Some(first) = characters.next() else {
        return Err(IdError::Empty { what });
    };
    // A file name has 255 bytes on every file system in use; 128 characters of four bytes would not fit.
    if text.chars().count() > LIMIT || text.len() > 240 {
        let text = text.chars().take(40).collect();
        return Err(IdError::TooLong { what, text, limit: LIMIT });
    }
    let first_fits = first.is_alphanumeric() || first == '_';
    if !first_fits || !characters.all(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-')) {
        return Err(IdError::Grammar { what, text: text.to_owned() });
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// Parses `text`.
            ///
            /// # Errors
            /// [`IdError`] names the rule that `text` breaks.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                let check: fn(&'static str, &str) -> Result<(), IdError> = $check;
                check($what, text)?;
                Ok(Self(text.to_owned()))
            }

            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl FromStr for $type {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }

        impl TryFrom<String> for $type {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::parse(&text)
            }
        }

        impl From<$type> for String {
            fn from(id: $type) -> String {
                id.0
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name! {
    /// The id of a run: the name of its folder under `runs/`.
    RunId, "run id", check_name
}
name! {
    /// The id of a node within a workflow: the name of its folder under `nodes/`.
    NodeId, "node id", check_name
}
name! {
    /// The id of a workflow, as its frontmatter gives it.
    WorkflowId, "workflow id", check_name
}
name! {
    /// The id of something a person decides: a ULID for a capability request (26 characters of Crockford's base 32),
    /// `ap-` and 16 hex digits for an approval node.
    RequestId, "request id", check_request
}
name! {
    /// A SHA-256 digest as 64 lower-case hex digits.
    Digest, "digest", check_digest
}

name! {
    /// The name of a role: that of its file `roles/<name>.role.md`.
    RoleName, "role", check_label
}
name! {
    /// The name of a hired agent: that of its folder under `agents/`.
    AgentName, "agent name", check_label
}
name! {
    /// The name of a skill: that of its folder under `skills/`.
    SkillName, "skill", check_label
}

/// `[a-z0-9][a-z0-9-]{0,62}`: one spelling a name on every file system, and nothing that is read as an option.
fn check_label(what: &'static str, text: &str) -> Result<(), IdError> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if !text.is_empty() && text.len() <= 63 && text.bytes().all(fits) && !text.starts_with('-') {
        return Ok(());
    }
    let text = text.chars().take(64).collect();
    Err(IdError::Form { what, text, expected: "1 to 63 lower-case letters, digits and `-`, the first no `-`" })
}

fn check_request(what: &'static str, text: &str) -> Result<(), IdError> {
    let ulid = text.len() == 26
        && text.bytes().all(|b| b.is_ascii_digit() || (b.is_ascii_uppercase() && !b"ILOU".contains(&b)));
    let approval = text.strip_prefix("ap-").is_some_and(|hex| hex.len() == 16 && hex.bytes().all(is_lower_hex));
    if ulid || approval {
        return Ok(());
    }
    let text = text.chars().take(64).collect();
    Err(IdError::Form { what, text, expected: "a ULID or `ap-` with 16 hex digits" })
}

fn check_digest(what: &'static str, text: &str) -> Result<(), IdError> {
    if text.len() == 64 && text.bytes().all(is_lower_hex) {
        return Ok(());
    }
    let text = text.chars().take(80).collect();
    Err(IdError::Form { what, text, expected: "64 lower-case hex digits" })
}

fn is_lower_hex(b: u8) -> bool {
    matches!(b, b'0'..=b'9' | b'a'..=b'f')
}

impl RequestId {
    /// The id of an approval node, from a digest of what makes it unique.
    #[must_use]
    pub fn approval(digest: &Digest) -> Self {
        Self(format!("ap-{}", &digest.0[..16]))
    }

    /// Whether this is the id of an approval node rather than of a capability request.
    #[must_use]
    pub fn is_approval(&self) -> bool {
        self.0.starts_with("ap-")
    }
}

impl Digest {
    /// SHA-256 of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Self::from_bytes(&sha2::Sha256::digest(bytes).into())
    }

    /// The digest whose 32 bytes are given.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut text = String::with_capacity(64);
        for byte in bytes {
            text.push(char::from(HEX[usize::from(byte >> 4)]));
            text.push(char::from(HEX[usize::from(byte & 15)]));
        }
        Self(text)
    }

    /// The first 12 digits: enough to tell things apart for people and in file names, never to decide anything.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn accepts_the_grammar() {
        for good in ["a", "demo-1", "_x", "9.9", "größe", "日本", &"a".repeat(128)] {
            assert!(RunId::parse(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn refuses_what_could_escape_or_confuse() {
        for bad in ["", ".", "..", "../x", "a/b", "-x", ".hidden", "a b", "a\n", "a\u{202e}b", "a\0b", &"a".repeat(129)]
        {
            assert!(NodeId::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn digest_is_sha256() {
        assert_eq!(Digest::of(b"").short(), "e3b0c44298fc");
    }

    #[test]
    fn labels() {
        for good in ["ada", "code-review-engineer", "9", &"a".repeat(63)] {
            assert!(AgentName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "Ada", "a.b", "a_b", "../x", "a/b", "größe", "a b", "a\n", &"a".repeat(64)] {
            assert!(RoleName::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn request_ids() {
        assert!(RequestId::parse("01JD2Z3V5Q8M4K7N9P1R2S3T4V").is_ok());
        assert!(RequestId::parse("ap-0123456789abcdef").is_ok());
        assert!(RequestId::parse("ap-0123456789abcdeg").is_err());
        assert!(RequestId::parse("../../etc").is_err());
    }

    proptest! {
        #[test]
        fn a_parsed_name_is_one_path_component(text in "\\PC{0,140}") {
            if let Ok(id) = RunId::parse(&text) {
                let path = std::path::Path::new(id.as_str());
                prop_assert_eq!(path.components().count(), 1);
                prop_assert!(matches!(path.components().next(), Some(std::path::Component::Normal(_))));
            }
        }
    }
}
