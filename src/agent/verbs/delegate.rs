//! `taskforge agent delegate ROLE TASK`.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::answer;
use crate::agent::error::AgentError;
use crate::agent::exit;
use crate::agent::gate_client::GateClient;

/// What a child is to do, and how much of its parent's it may take.
#[derive(Debug, Clone)]
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
        let mut body = json!({"role": asked.role, "task": asked.task});
        if let Some(requests) = asked.requests {
            body["requests"] = requests.into();
        }
        if let Some(seconds) = asked.seconds {
            body["wallMs"] = seconds.saturating_mul(1000).into();
        }
        let until = Instant::now() + patience;
        // Asked once: a second message would be a second child.
        let reply = gate.post_once("/taskforge/v1/children", &body).await?;
        if (400..500).contains(&reply.status) {
            let code = if matches!(reply.status, 403 | 429) { exit::DENIED } else { exit::USAGE };
            return Ok((super::described(&AgentError::Refused(Box::new(reply.refusal()))), code));
        }
        let mut known = reply.json()?;
        let id = known.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
        while Instant::now() < until {
            let left = (until - Instant::now()).as_secs().clamp(1, 5);
            let reply = gate.get(&format!("/taskforge/v1/children/{id}?wait={left}s")).await?;
            if reply.status == 404 {
                return Ok((super::described(&AgentError::Refused(Box::new(reply.refusal()))), exit::DENIED));
            }
            known = reply.json()?;
            match known.get("status").and_then(Value::as_str) {
                Some("completed") => return Ok((known, exit::DONE)),
                Some("failed" | "cancelled") => return Ok((known, exit::FAILED)),
                _ => {}
            }
        }
        Ok((known, exit::SUSPENDED))
    })
}
