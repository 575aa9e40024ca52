//! A record, before it has a place ([`Entry`]) and after ([`Record`]).

use serde_json::{Map, Value};

use super::body::Payload;
use super::{BodyRef, Kind};
use crate::run::id::Digest;

/// A fact about to be recorded.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) kind: Kind,
    /// The node and the attempt (from 1) it is about.
    pub(crate) of: Option<(String, u32)>,
    /// What else stands in the line. Every text in it is bounded by whoever makes the entry.
    pub(crate) fields: Map<String, Value>,
    /// Stands in the line as `body`.
    pub(crate) body: Option<Payload>,
}

/// A line as read back.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// From 1.
    pub seq: u64,
    /// The line's offset in bytes.
    pub at: u64,
    /// RFC 3339 in UTC, microseconds.
    pub time: String,
    pub kind: Kind,
    pub node: Option<String>,
    /// From 1.
    pub attempt: Option<u32>,
    /// What else the line holds, in its order.
    pub fields: Map<String, Value>,
    /// The digest of all bytes before the line.
    pub prev: Digest,
}

impl Record {
    /// The `llm.request` that this record ends.
    #[must_use]
    pub fn request(&self) -> Option<u64> {
        self.fields.get("request")?.as_u64()
    }

    /// The body it names.
    #[must_use]
    pub fn body(&self) -> Option<BodyRef> {
        serde_json::from_value(self.fields.get("body")?.clone()).ok()
    }

    /// A text field.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.fields.get(key)?.as_str()
    }
}
