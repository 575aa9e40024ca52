//! What the gate does on an agent's behalf, with credentials that only the gate has: one file a family of services. Nothing
//! happens that no rule names, that is not on record first, or that was done already.

mod arguments;
pub(crate) mod email;
pub(crate) mod github;
mod hook;
pub(crate) mod http;
mod ledger;
mod perform;
mod queue;
mod seen;
pub(crate) mod slack;
mod smtp;
pub(crate) mod webhook;

#[cfg(any(test, fuzzing))]
pub(crate) use arguments::Action;
pub(crate) use perform::{Asked, Doing, deny, of, perform, within};
pub(crate) use queue::Queue;
pub(crate) use seen::Acts;

use std::time::Duration;

use serde_json::Value;

/// How an action that was begun has ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It is done; what came of it.
    Done(Value),
    /// It was not done, and asking again may do it.
    NotDone(Failure),
    /// It may have been done or not: nothing that was heard says which.
    Unclear(Failure),
}

/// Why something was not done, or why that is not known.
#[derive(Debug)]
pub(crate) struct Failure {
    /// A stable name.
    pub(crate) code: &'static str,
    pub(crate) message: String,
    /// The service's own status, where it has such.
    pub(crate) status: Option<u16>,
    /// When it makes sense to try again.
    pub(crate) retry_after: Option<Duration>,
}

impl Failure {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), status: None, retry_after: None }
    }
}

/// Whether something that may have been done was, as the service itself says.
#[derive(Debug)]
pub(crate) enum Found {
    Done(Value),
    NotThere,
    /// It cannot be told, with the reason.
    Unknown(String),
}
