//! Files that nodes left: which of them a page shows, and how much.

use crate::run::definition::Artifact;
use crate::run::id::{Digest, NodeId};

pub use super::picture::Format;

/// What was found where the journal says a file lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Its bytes have the journal's digest.
    Text(String),
    /// A picture; its bytes have the journal's digest.
    Picture(Format, Vec<u8>),
    /// Neither.
    Binary,
    /// Larger than a page shows.
    Large,
    /// Its bytes are not those that the journal names.
    Changed,
    /// It is not there, or is not a regular file.
    Gone,
}

impl Content {
    /// The largest text that is shown, in bytes.
    pub const LARGEST: u64 = 64 << 10;

    /// The largest picture that is shown, in bytes.
    pub const LARGEST_PICTURE: u64 = 256 << 10;

    /// The most that all files together may have, in bytes.
    pub const MOST: u64 = 1 << 20;

    /// What `bytes` are to the page, of the file called `name` that should have `digest`.
    #[must_use]
    pub fn of(name: &str, bytes: Vec<u8>, digest: &Digest) -> Self {
        if Digest::of(&bytes) != *digest {
            return Self::Changed;
        }
        if let Some(format) = Format::of(name, &bytes) {
            return Self::Picture(format, bytes);
        }
        if bytes.len() as u64 > Self::LARGEST {
            return Self::Large;
        }
        match String::from_utf8(bytes) {
            Ok(text) if !text.contains('\0') => Self::Text(text),
            _ => Self::Binary,
        }
    }

    /// Why there is nothing to see; empty if there is.
    pub(super) const fn excuse(&self) -> &'static str {
        match self {
            Self::Text(_) | Self::Picture(..) => "",
            Self::Binary => "neither text nor picture",
            Self::Large => "too large to be shown here",
            Self::Changed => "changed since the journal recorded it",
            Self::Gone => "not there any more",
        }
    }
}

/// One file a node left.
#[derive(Debug)]
pub(super) struct Deliverable<'a> {
    pub(super) node: &'a NodeId,
    pub(super) artifact: &'a Artifact,
    /// None if nobody looked.
    pub(super) content: Option<&'a Content>,
}

impl Deliverable<'_> {
    /// The path without the folders that every node's files lie in.
    pub(super) fn name(&self) -> &str {
        let path = self.artifact.path.as_str();
        let rest = path.strip_prefix("nodes/").and_then(|rest| rest.strip_prefix(self.node.as_str()));
        rest.and_then(|rest| rest.strip_prefix('/')).unwrap_or(path)
    }

    pub(super) fn is_markdown(&self) -> bool {
        let name = self.artifact.path.to_ascii_lowercase();
        name.ends_with(".md") || name.ends_with(".markdown")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_journal_names_is_shown() {
        let of = |bytes: &[u8], said: &[u8]| Content::of("a.txt", bytes.to_vec(), &Digest::of(said));
        assert_eq!(of(b"text", b"text"), Content::Text("text".to_owned()));
        assert_eq!(of(b"text", b"other"), Content::Changed);
        assert_eq!(of(b"\xff\xfe", b"\xff\xfe"), Content::Binary);
        assert_eq!(of(b"a\0b", b"a\0b"), Content::Binary);
        let (long, svg) = (vec![b'x'; 65 << 10], b"<svg/>".to_vec());
        assert_eq!(of(&long, &long), Content::Large);
        assert_eq!(Content::of("a.svg", svg.clone(), &Digest::of(&svg)), Content::Picture(Format::Svg, svg));
    }
}
