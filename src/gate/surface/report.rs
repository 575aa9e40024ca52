//! `progress` and `result`: what an agent tells the host without asking for anything.

use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use serde_json::{Map, json};

use super::{Session, json as input};
use crate::gate::InboxKind;
use crate::gate::body::Body;
use crate::gate::refusal::{Refusal, reply};

/// The longest progress message, in bytes.
const LONGEST_MESSAGE: usize = 4096;
/// The largest result, in bytes of JSON.
const LARGEST_RESULT: u64 = 256 * 1024;
/// How many messages and results one attempt may leave.
const MOST_MESSAGES: u64 = 1000;
const MOST_RESULTS: u64 = 20;

pub(super) async fn progress(session: &Session, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
    let mut body = input::object(session, request, 64 * 1024).await?;
    let message = input::text(&mut body, "message", LONGEST_MESSAGE)?;
    input::nothing_else(&body)?;
    let mut body = Map::new();
    body.insert("message".into(), message.into());
    store(session, InboxKind::Progress, body, MOST_MESSAGES).await
}

pub(super) async fn result(session: &Session, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
    let body = input::object(session, request, LARGEST_RESULT).await?;
    store(session, InboxKind::Result, body, MOST_RESULTS).await
}

async fn store(
    session: &Session,
    kind: InboxKind,
    body: Map<String, serde_json::Value>,
    limit: u64,
) -> Result<Response<Body>, Refusal> {
    let attempt = session.attempt();
    let said = session.gate.asked.say(kind, (&attempt.node, attempt.attempt), body, limit).await;
    match said.map_err(|e| Refusal::inbox_failed(&e.to_string()))? {
        Some(id) => Ok(reply(StatusCode::ACCEPTED, &json!({"id": id}))),
        None => {
            let message = format!("this attempt has left all of its {limit} messages of this kind");
            Err(Refusal::exhausted(message).with("messages", limit))
        }
    }
}
