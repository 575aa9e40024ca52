//! What passed through the gate: one chained line a fact in `traffic.jsonl`, bodies beside it by their digest.
//!
//! Line: `{"seq","at","time","kind","node","attempt",…,"prev"}`, ASCII only. `at` is the line's offset in bytes;
//! `prev` is the digest of all bytes before it: D0 = SHA-256("taskforge-traffic-v1\n" + run id + "\n"),
//! Dn = SHA-256(Dn-1 + line with its newline). A line of spaces is void: bytes that were never acknowledged.
//!
//! Nothing here is ever best effort: who asks for a record gets it durable, or an error.

mod body;
mod chain;
mod continued;
mod disk;
mod index;
mod kind;
mod line;
mod reader;
mod record;
mod rejoined;
mod scan;
mod sink;
mod usage;
mod writer;

pub use body::{Bodies, BodyRef};
pub use kind::Kind;
pub use reader::{Traffic, read};
pub use record::Record;
pub use usage::{Taken, Tokens, Usage};

pub(crate) use body::Payload;
pub(crate) use index::{Denial, Index, Node, Spent};
pub(crate) use line::{MOST_LINE, understand};
pub(crate) use record::Entry;
pub(crate) use sink::Sink;
pub(crate) use writer::{Recorder, RecorderOptions};
