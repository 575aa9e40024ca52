//! The gate's greeting, and the watch over it. A gate greets only while the kill file is absent, so a container that
//! the Engine starts late ends by itself; a gate that is merely away (restarting, upgraded) ends nothing.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};

use super::error::AgentError;
use super::gate_client::GateClient;
use super::refusal::Refusal;

const HELLO: &str = "/taskforge/v1/hello";
const EVERY: Duration = Duration::from_secs(1);

/// Waits for the gate and its greeting.
///
/// # Errors
/// The gate cannot be reached within the client's patience, or its answer is not 200.
pub(crate) async fn greet(gate: &GateClient) -> Result<(), AgentError> {
    gate.get(HELLO).await?.json().map(drop)
}

/// Asks every second and returns only when the gate says explicitly that this attempt is over.
pub(crate) async fn until_ended(socket: &std::path::Path) -> Refusal {
    // No patience: whatever fails is asked again at the next tick anyway.
    let gate = GateClient::new(socket, Duration::ZERO);
    let mut ticks = tokio::time::interval_at(Instant::now() + EVERY, EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Ok(reply) = gate.get(HELLO).await
            && !reply.is_success()
        {
            let refusal = reply.refusal();
            if refusal.ends_the_attempt() {
                return refusal;
            }
        }
    }
}
