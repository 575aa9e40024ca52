//! One request to the model through the gate. What may pass by itself is tried again a few times; what a person set
//! as a limit is final.

use std::time::Duration;

use serde_json::{Value, json};

use super::conversation::Conversation;
use super::error::AgentError;
use super::gate_client::GateClient;
use super::narration::complain;

const TRIES: u32 = 3;

/// Asks the model and lets the conversation take in what it answers.
///
/// # Errors
/// The gate's refusal, if it is final or outlasts the tries; [`AgentError::Model`] if the answers are unusable.
pub(crate) async fn ask(
    gate: &GateClient,
    model: &str,
    conversation: &mut Conversation,
    tools: &Value,
    backoff: Duration,
) -> Result<Value, AgentError> {
    let body = json!({
        "model": model,
        "messages": conversation.messages(),
        "tools": tools,
        "stream": false,
    });
    let mut pause = backoff;
    let mut tries = 0;
    loop {
        // Counted below: waiting for one's turn is no try.
        let error = match attempt(gate, &body, conversation).await {
            Ok(message) => return Ok(message),
            Err(AgentError::Refused(refusal)) if refusal.pause().is_some() => {
                // The attempt's deadline bounds it.
                tokio::time::sleep(refusal.pause().unwrap_or_default()).await;
                continue;
            }
            Err(error) if tries + 1 < TRIES && may_pass(&error) => error,
            Err(error) => return Err(error),
        };
        tries += 1;
        complain(&format_args!("{error}\n  trying again ({} of {TRIES})", tries + 1));
        tokio::time::sleep(pause).await;
        pause *= 4;
    }
}

async fn attempt(gate: &GateClient, body: &Value, conversation: &mut Conversation) -> Result<Value, AgentError> {
    let reply = gate.post_once("/v1/chat/completions", body).await?;
    let answer = match reply.json() {
        Err(AgentError::Unexpected { why, .. }) => return Err(unusable(&why)),
        other => other?,
    };
    conversation.accept(&answer).cloned().map_err(|why| unusable(&why))
}

fn unusable(why: &str) -> AgentError {
    AgentError::Model(format!("the model's answer cannot be used: {why}"))
}

fn may_pass(error: &AgentError) -> bool {
    match error {
        AgentError::Refused(refusal) => refusal.may_pass(),
        AgentError::Model(_) | AgentError::BrokenOff { .. } => true,
        _ => false,
    }
}
