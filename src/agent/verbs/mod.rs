//! The verbs for whatever runs in the container: a script, OpenClaw, a person with a shell. Each asks the gate one
//! thing, prints one line of JSON and returns an exit code; none of them can decide anything.

mod action;
mod asked;
mod delegate;
mod memory;
mod progress;
mod request;
mod result;

use std::future::Future;
use std::io::Write;
use std::time::Duration;

use serde_json::{Value, json};

use super::error::AgentError;

pub use action::{ActionCall, action};
pub(crate) use asked::unanswered;
pub use delegate::{Delegated, delegate};
pub(crate) use delegate::{begin as begin_child, follow as follow_child, id as child_id, look as look_at_child};
pub(crate) use memory::ask as ask_memory;
pub use memory::{MemoryVerb, memory};
pub use progress::progress;
pub use request::{With as RequestedWith, request};
pub use result::result;

/// For how long a gate that cannot be reached is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs one verb: prints its JSON, or the error as JSON, and gives its exit code.
fn answer(out: &mut dyn Write, verb: impl Future<Output = Result<(Value, u8), AgentError>>) -> u8 {
    let (value, code) = match super::runtime().and_then(|runtime| runtime.block_on(verb)) {
        Ok(answer) => answer,
        Err(error) => (described(&error), error.exit_code()),
    };
    match writeln!(out, "{value}") {
        Ok(()) => code,
        // What was asked for happened, but the caller cannot know it.
        Err(_) => code.max(super::exit::FAILED),
    }
}

fn described(error: &AgentError) -> Value {
    let mut told = json!({});
    if let AgentError::Refused(refusal) = error {
        told["code"] = refusal.code.clone().into();
        told["message"] = refusal.message.clone().into();
        if let Some(hint) = &refusal.hint {
            told["hint"] = hint.clone().into();
        }
    } else {
        told["code"] = if matches!(error, AgentError::Usage(_)) { "usage" } else { "failed" }.into();
        told["message"] = error.to_string().into();
    }
    json!({ "error": told })
}
