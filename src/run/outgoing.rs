//! What a run wants from OpenClaw: a session woken, a message sent, its cron job changed. Asked for by an event, done by
//! a tick under the id that the event gave it, and answered by another event.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::apply::ApplyError;
use super::event::Event;
use super::id::NodeId;
use super::state::State;

/// Tries of one request before it is given up.
pub const TRIES: u32 = 3;

/// What is asked of OpenClaw.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Outgoing {
    /// Start a turn in `session`, so that it takes the run on.
    Wake { session: String, nodes: Vec<NodeId> },
    /// Say `text` in `session`.
    SendMessage { session: String, text: String },
    /// Change the cron job that drives the run.
    PatchCron { job: String, patch: Map<String, Value> },
}

impl Outgoing {
    /// The word for it in messages.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Wake { .. } => "wake",
            Self::SendMessage { .. } => "send_message",
            Self::PatchCron { .. } => "patch_cron",
        }
    }
}

/// One request and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "OutgoingRequest"))]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// The control's id, or `<run>/wake/<n>`: what makes doing it twice harmless, where the other side looks at it.
    pub id: String,
    pub request: Outgoing,
    pub at: DateTime<Utc>,
    #[serde(default)]
    pub tries: u32,
    #[serde(default)]
    pub delivered: bool,
    /// Why the last try failed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub problem: String,
}

impl Request {
    /// Whether a tick has to see to it.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        !self.delivered && self.tries < TRIES
    }
}

impl State {
    /// What was asked of OpenClaw, and what came of it.
    pub(super) fn apply_outgoing(&mut self, event: &Event, at: DateTime<Utc>) -> Result<(), ApplyError> {
        if let Event::OpenclawRequested { id, request } = event {
            if let Outgoing::Wake { nodes, .. } = request {
                for node in nodes {
                    self.find(event, node)?.woken_at = Some(at);
                }
            }
            self.outgoing.push(Request {
                id: id.clone(),
                request: request.clone(),
                at,
                tries: 0,
                delivered: false,
                problem: String::new(),
            });
            return Ok(());
        }
        let (Event::OpenclawDelivered { id } | Event::OpenclawFailed { id, .. }) = event else { return Ok(()) };
        let Some(request) = self.outgoing.iter_mut().find(|request| request.id == *id) else {
            return Err(self.misfit(event, "nothing was asked of OpenClaw under this id"));
        };
        request.tries += 1;
        match event {
            Event::OpenclawFailed { reason, .. } => request.problem.clone_from(reason),
            _ => request.delivered = true,
        }
        Ok(())
    }
}
