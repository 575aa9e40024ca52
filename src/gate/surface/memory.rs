//! `memory`: what the agent remembers from one task to the next. Whose memory it is the socket says: another agent's
//! cannot be named.

use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use serde_json::{Map, Value, json};

use super::{Session, json as input};
use crate::gate::body::Body;
use crate::gate::inbox::Remembering;
use crate::gate::memory::MemoryUse;
use crate::gate::refusal::{Refusal, reply};
use crate::role::Action;
use crate::role::agent::{MOST_VALUE, MemoryError, MemoryKey};
use crate::run::id::NodeId;

/// The largest body: a value in which every byte is escaped.
const LARGEST: u64 = 6 * MOST_VALUE as u64 + 4096;
/// How often one attempt may change its memory.
const MOST_CHANGES: u64 = 500;

pub(super) async fn list(session: &Session) -> Result<Response<Body>, Refusal> {
    let own = own(session, Action::MemoryList)?;
    let found = session.gate.asked.remembered(&own.agent, &nodes(session, &own)).await;
    let found = found.map_err(|error| Refusal::inbox_failed(&error.to_string()))?;
    let entries: Vec<Value> =
        found.iter().map(|(key, entry)| json!({"key": key, "bytes": entry.value.len(), "at": entry.at})).collect();
    Ok(reply(StatusCode::OK, &json!({"agent": own.agent, "memory": entries})))
}

pub(super) async fn show(session: &Session, key: &str) -> Result<Response<Body>, Refusal> {
    let own = own(session, Action::MemoryGet)?;
    let key = parse(key)?;
    let found = session.gate.asked.remembered(&own.agent, &nodes(session, &own)).await;
    let found = found.map_err(|error| Refusal::inbox_failed(&error.to_string()))?;
    match found.get(&key) {
        Some(entry) => Ok(reply(StatusCode::OK, &json!({"key": key, "value": entry.value, "at": entry.at}))),
        None => Err(Refusal::not_found(format!("nothing is remembered under `{key}`"))),
    }
}

/// Remembers a value, or forgets a key whose value is null. Acknowledged means durable.
pub(super) async fn change(session: &Session, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
    let mut body = input::object(session, request, LARGEST).await?;
    let value = match body.remove("value") {
        None | Some(Value::Null) => None,
        Some(Value::String(value)) => Some(value),
        Some(_) => return Err(Refusal::bad_request("`value` is neither a text nor null")),
    };
    let own = own(session, if value.is_some() { Action::MemorySet } else { Action::MemoryRm })?;
    let key = parse(&input::text(&mut body, "key", 256)?)?;
    input::nothing_else(&body)?;
    let attempt = session.attempt();
    let mut message = Map::new();
    message.insert("key".into(), json!(key));
    message.insert("value".into(), json!(value));
    let asked = &session.gate.asked;
    let change = (key.clone(), value, message);
    let nodes = nodes(session, &own);
    let done = asked.remember(&own.agent, &nodes, (&attempt.node, attempt.attempt), change, MOST_CHANGES).await;
    match done.map_err(|error| Refusal::inbox_failed(&error.to_string()))? {
        Remembering::Done => Ok(reply(StatusCode::OK, &json!({"key": key, "stored": true}))),
        Remembering::Nothing => Err(Refusal::not_found(format!("nothing is remembered under `{key}`"))),
        Remembering::Refused(error) => Err(too_much(&error)),
        Remembering::Exhausted => {
            Err(Refusal::exhausted(format!("this attempt has changed its memory {MOST_CHANGES} times")))
        }
    }
}

fn too_much(error: &MemoryError) -> Refusal {
    let status = match error {
        MemoryError::Control { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        _ => StatusCode::PAYLOAD_TOO_LARGE,
    };
    Refusal::new(status, "memory_refused", error.to_string())
}

fn parse(key: &str) -> Result<MemoryKey, Refusal> {
    MemoryKey::parse(key).map_err(|error| Refusal::bad_request(error.to_string()))
}

/// The memory that this attempt reaches, if its role lets it do `action`.
fn own(session: &Session, action: Action) -> Result<MemoryUse, Refusal> {
    let attempt = session.attempt();
    let Some(memory) = &attempt.memory else {
        let message = "this attempt is no hired agent's, and has no memory beyond its workspace";
        return Err(Refusal::new(StatusCode::FORBIDDEN, "not_granted", message));
    };
    if memory.actions.contains(&action) {
        return Ok(memory.clone());
    }
    let message = format!("the role of agent `{}` does not allow {action}", memory.agent);
    Err(Refusal::new(StatusCode::FORBIDDEN, "not_granted", message))
}

/// The nodes whose messages are this memory's.
fn nodes(session: &Session, own: &MemoryUse) -> Vec<NodeId> {
    let rules = session.gate.rules();
    let of_agent = rules
        .policy
        .attempts
        .iter()
        .filter(|attempt| attempt.memory.as_ref().is_some_and(|memory| memory.agent == own.agent));
    of_agent.map(|attempt| attempt.node.clone()).collect()
}
