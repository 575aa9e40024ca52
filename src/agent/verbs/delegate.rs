//! `taskforge agent delegate ROLE TASK`.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::answer;
use crate::agent::error::AgentError;
use crate::agent::exit;
use crate::agent::gate_client::{GateClient, Reply};

/// What a child is to do, and how much of its parent's it may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delegated {
    pub role: String,
    pub task: String,
    /// Requests to models; half of what is left if it is not said.
    pub requests: Option<u64>,
    /// Seconds of wall clock; what is left of the attempt's if it is not said.
    pub seconds: Option<u64>,
}

/// Asks for a child and waits up to `patience` for its end. Prints what is known of it. Exit code 0 if it is completed,
/// 1 if it failed or was cancelled, 75 if it is still at work, 4 if there may be none.
#[must_use]
pub fn delegate(socket: &Path, asked: &Delegated, patience: Duration, out: &mut dyn Write) -> u8 {
    let gate = GateClient::new(socket, super::PATIENCE);
    answer(out, async {
        let until = Instant::now() + patience;
        let reply = begin(&gate, asked).await?;
        if (400..500).contains(&reply.status) {
            let code = if matches!(reply.status, 403 | 429) { exit::DENIED } else { exit::USAGE };
            return Ok((super::described(&AgentError::Refused(Box::new(reply.refusal()))), code));
        }
        let mut known = reply.json()?;
        if let Some(reply) = follow(&gate, &id(&known), until).await? {
            if reply.status == 404 {
                return Ok((super::described(&AgentError::Refused(Box::new(reply.refusal()))), exit::DENIED));
            }
            known = reply.json()?;
        }
        let code = match known.get("status").and_then(Value::as_str) {
            Some("completed") => exit::DONE,
            Some("failed" | "cancelled") => exit::FAILED,
            _ => exit::SUSPENDED,
        };
        Ok((known, code))
    })
}

/// Asks for a child; the gate's answer, whatever it says.
pub(crate) async fn begin(gate: &GateClient, asked: &Delegated) -> Result<Reply, AgentError> {
    let mut body = json!({"role": asked.role, "task": asked.task});
    if let Some(requests) = asked.requests {
        body["requests"] = requests.into();
    }
    if let Some(seconds) = asked.seconds {
        body["wallMs"] = seconds.saturating_mul(1000).into();
    }
    // Asked once: a second message would be a second child.
    gate.post_once("/taskforge/v1/children", &body).await
}

/// The id of a child in what the gate says of it.
pub(crate) fn id(known: &Value) -> String {
    known.get("id").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Waits until `until` for the end of a child; what the gate said of it last. None if there was no time to ask.
pub(crate) async fn follow(gate: &GateClient, id: &str, until: Instant) -> Result<Option<Reply>, AgentError> {
    let mut last = None;
    while Instant::now() < until {
        let left = (until - Instant::now()).as_secs().clamp(1, 5);
        let reply = look(gate, id, left).await?;
        let over = |known: &Value| matches!(known["status"].as_str(), Some("completed" | "failed" | "cancelled"));
        let done = reply.status == 404 || over(&reply.json()?);
        last = Some(reply);
        if done {
            break;
        }
    }
    Ok(last)
}

/// How a child stands, at its end or after `seconds`.
pub(crate) async fn look(gate: &GateClient, id: &str, seconds: u64) -> Result<Reply, AgentError> {
    gate.get(&format!("/taskforge/v1/children/{id}?wait={seconds}s")).await
}
