//! `memory`: what the agent remembers from one task to the next. Whose memory it is the socket says: another agent's
//! cannot be named.

use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use serde_json::{Map, Value, json};

use super::{Session, json as input};
use crate::gate::Error;
use crate::gate::action::{Doing, deny, of, within};
use crate::gate::body::Body;
use crate::gate::inbox::{MOST_CHANGES, MOST_WRITTEN, Memorable, Remembering};
use crate::gate::memory::MemoryUse;
use crate::gate::records::{Entry, Kind};
use crate::gate::refusal::{Refusal, reply};
use crate::role::Action;
use crate::role::agent::{MOST_VALUE, MemoryError, MemoryKey};
use crate::run::id::NodeId;

/// The largest body: a value in which every byte is escaped.
const LARGEST: u64 = 6 * MOST_VALUE as u64 + 4096;

pub(super) async fn list(session: &Session) -> Result<Response<Body>, Refusal> {
    let own = own(session, Action::MemoryList, "").await?;
    let intent = reading(session, Action::MemoryList, &own, None).await?;
    let found = session.gate.asked.remembered(&own.agent, &nodes(session, &own)).await;
    let found = found.map_err(|error| Refusal::inbox_failed(&error.to_string()))?;
    let entries: Vec<Value> =
        found.iter().map(|(key, entry)| json!({"key": key, "bytes": entry.value.len(), "at": entry.at})).collect();
    read(session, Action::MemoryList, intent, None).await?;
    Ok(reply(StatusCode::OK, &json!({"agent": own.agent, "memory": entries})))
}

pub(super) async fn show(session: &Session, key: &str) -> Result<Response<Body>, Refusal> {
    let key = parse(key)?;
    let own = own(session, Action::MemoryGet, key.as_str()).await?;
    let intent = reading(session, Action::MemoryGet, &own, Some(&key)).await?;
    let found = session.gate.asked.remembered(&own.agent, &nodes(session, &own)).await;
    let found = found.map_err(|error| Refusal::inbox_failed(&error.to_string()))?;
    match found.get(&key) {
        Some(entry) => {
            read(session, Action::MemoryGet, intent, None).await?;
            Ok(reply(StatusCode::OK, &json!({"key": key, "value": entry.value, "at": entry.at})))
        }
        None => {
            let refusal = Refusal::not_found(format!("nothing is remembered under `{key}`"));
            read(session, Action::MemoryGet, intent, Some(&refusal)).await?;
            Err(refusal)
        }
    }
}

/// Puts on record that the memory is to be read, and of which key; nothing after so many reads of one attempt.
async fn reading(
    session: &Session,
    action: Action,
    own: &MemoryUse,
    key: Option<&MemoryKey>,
) -> Result<Option<u64>, Refusal> {
    if !session.socket.may_record_a_read() {
        return Ok(None);
    }
    let by = ("by", json!(format!("agent {}", own.agent)));
    // A list is of all keys.
    let target = ("target", json!(key.map_or("*", MemoryKey::as_str)));
    Ok(Some(record(session, Kind::ActionRequested, action, [by, target]).await?))
}

/// And how that ended; not what was read.
async fn read(
    session: &Session,
    action: Action,
    intent: Option<u64>,
    refusal: Option<&Refusal>,
) -> Result<(), Refusal> {
    let Some(intent) = intent else { return Ok(()) };
    let intent = ("intent", json!(intent));
    match refusal {
        None => record(session, Kind::ActionDone, action, [intent]).await?,
        Some(refusal) => {
            let why = [intent, ("code", json!(refusal.code())), ("message", json!(refusal.message()))];
            record(session, Kind::ActionFailed, action, why).await?
        }
    };
    Ok(())
}

/// Remembers a value, or forgets a key whose value is null. Acknowledged means durable.
pub(super) async fn change(session: &Session, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
    let mut body = input::object(session, request, LARGEST).await?;
    let value = match body.remove("value") {
        None | Some(Value::Null) => None,
        Some(Value::String(value)) => Some(value),
        Some(_) => return Err(Refusal::bad_request("`value` is neither a text nor null")),
    };
    let key = parse(&input::text(&mut body, "key", 256)?)?;
    input::nothing_else(&body)?;
    let action = if value.is_some() { Action::MemorySet } else { Action::MemoryRm };
    let own = own(session, action, key.as_str()).await?;
    let attempt = session.attempt();
    let by = format!("agent {}", own.agent);
    let nodes = nodes(session, &own);
    let of = (&attempt.node, attempt.attempt);
    let change = Memorable { agent: &own.agent, nodes: &nodes, of, key: key.clone(), value };
    let asked = &session.gate.asked;
    // What cannot be is no intent: so many refusals are on record, and no more, however often it is tried.
    if let Some(refusal) = refusal(asked.may_remember(&change).await, &key) {
        let doing = Doing { name: action.as_str(), target: key.as_str() };
        deny(&session.gate, &session.socket, doing, refusal.code(), refusal.message()).await?;
        return Err(refusal);
    }
    let intent = record(session, Kind::ActionRequested, action, [("target", json!(key)), ("by", json!(by))]).await?;
    let Some(refusal) = refusal(asked.remember(&change).await, &key) else {
        record(session, Kind::ActionDone, action, [("intent", json!(intent))]).await?;
        return Ok(reply(StatusCode::OK, &json!({"key": key, "stored": true})));
    };
    let why = [("intent", json!(intent)), ("code", json!(refusal.code())), ("message", json!(refusal.message()))];
    record(session, Kind::ActionFailed, action, why).await?;
    Err(refusal)
}

/// Why it is not done, if it is not.
fn refusal(outcome: Result<Remembering, Error>, key: &MemoryKey) -> Option<Refusal> {
    match outcome {
        Ok(Remembering::Done) => None,
        Ok(Remembering::Nothing) => Some(Refusal::not_found(format!("nothing is remembered under `{key}`"))),
        Ok(Remembering::Refused(error)) => Some(too_much(&error)),
        Ok(Remembering::Exhausted) => Some(Refusal::exhausted(format!(
            "this attempt has changed its memory {MOST_CHANGES} times, or by {MOST_WRITTEN} bytes in all"
        ))),
        Err(error) => Some(Refusal::inbox_failed(&error.to_string())),
    }
}

/// Puts on record what is done with a memory, as what is done with a service: first that it is to be, then how it ended.
async fn record<const N: usize>(
    session: &Session,
    kind: Kind,
    action: Action,
    more: [(&str, Value); N],
) -> Result<u64, Refusal> {
    let mut fields = Map::new();
    fields.insert("action".into(), action.as_str().into());
    fields.extend(more.map(|(key, value)| (key.to_owned(), value)));
    let entry = Entry { kind, of: Some(of(&session.attempt())), fields, body: None };
    session.gate.recorder.record(entry).await.map_err(|reason| Refusal::record_failed(&reason))
}

fn too_much(error: &MemoryError) -> Refusal {
    let status = match error {
        MemoryError::Control { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        MemoryError::Day | MemoryError::Journal => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::PAYLOAD_TOO_LARGE,
    };
    Refusal::new(status, "memory_refused", error.to_string())
}

fn parse(key: &str) -> Result<MemoryKey, Refusal> {
    MemoryKey::parse(key).map_err(|error| Refusal::bad_request(error.to_string()))
}

/// The memory that this attempt reaches, if its role lets it do `action` and that not too often; a no is on record.
async fn own(session: &Session, action: Action, key: &str) -> Result<MemoryUse, Refusal> {
    let attempt = session.attempt();
    let doing = Doing { name: action.as_str(), target: key };
    let message = match &attempt.memory {
        Some(memory) if memory.actions.contains(&action) => {
            if let Some(limit) = memory.limits.get(&action) {
                within(&session.gate, &session.socket, doing, &format!("agent {}", memory.agent), &[*limit]).await?;
            }
            return Ok(memory.clone());
        }
        Some(memory) => format!("the role of agent `{}` does not allow {action}", memory.agent),
        None => "this attempt is no hired agent's, and has no memory beyond its workspace".to_owned(),
    };
    deny(&session.gate, &session.socket, doing, "not_granted", &message).await?;
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
