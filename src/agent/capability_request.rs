//! Asking the gate how a request for a capability stands.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::decision::{Standing, standing};
use super::error::AgentError;
use super::gate_client::{GateClient, Reply};
use crate::run::id::RequestId;

/// Asks the gate how a request stands, waiting until `until` while it is pending.
pub(crate) async fn poll(gate: &GateClient, request: &str, until: Instant) -> Result<Standing, AgentError> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        // The gate polls at most 30 s at a time.
        let seconds = left.as_millis().div_ceil(1000).min(30);
        let wait = if seconds == 0 { String::new() } else { format!("?wait={seconds}s") };
        let reply = gate.get(&format!("/taskforge/v1/capabilities/{request}{wait}")).await?;
        let body = reply.json()?;
        let now = standing(&body).map_err(|why| reply.unexpected(why))?;
        // One that is granted for the next attempt is waited for in vain.
        let next = body.get("answer").is_some_and(|answer| !answer.is_null());
        if now != Standing::Pending || next || Instant::now() >= until {
            return Ok(now);
        }
        // A gate that does not wait is not asked in a tight circle.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The id in the answer to a capability request. It becomes part of a path, so its grammar is held to.
pub(crate) fn request_id(reply: &Reply, body: &Value) -> Result<String, AgentError> {
    let id = body.get("id").and_then(Value::as_str).unwrap_or_default();
    RequestId::parse(id).map(String::from).map_err(|error| reply.unexpected(error.to_string()))
}
