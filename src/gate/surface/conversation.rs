//! `conversation` and `turns`: where the node's conversation stands, and tool results that would be lost otherwise.

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use serde_json::{Map, Value, json};

use super::{Session, json as input};
use crate::gate::body::Body;
use crate::gate::records::{Entry, Kind, Payload};
use crate::gate::refusal::{Refusal, reply};
use crate::gate::{Conversation, Error};

/// The largest tool result, in bytes.
const LARGEST_RESULT: usize = 1 << 20;
/// The longest id of a tool call.
const LONGEST_ID: usize = 256;

pub(super) async fn show(session: &Session) -> Result<Response<Body>, Refusal> {
    Ok(reply(StatusCode::OK, &json!(load(session).await?)))
}

async fn load(session: &Session) -> Result<Conversation, Refusal> {
    let recorder = session.gate.recorder.clone();
    let attempt = session.attempt();
    let loading = move || {
        let node = recorder.index(|index| index.node(attempt.node.as_str()));
        Conversation::at(recorder.path(), &node, recorder.bodies())
    };
    let failed = |e: &dyn std::fmt::Display| {
        let message = format!("the conversation cannot be rebuilt from the records: {e}");
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "record_failed", message)
    };
    let loaded = tokio::task::spawn_blocking(loading).await.map_err(|e| failed(&e))?;
    loaded.map_err(|e: Error| failed(&e))
}

pub(super) async fn turn(session: &Session, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
    // Escaped, a result takes at most six times its size.
    let mut turn = input::object(session, request, 6 * LARGEST_RESULT as u64 + 4096).await?;
    let id = input::text(&mut turn, "toolCallId", LONGEST_ID)?;
    let content = input::text(&mut turn, "content", LARGEST_RESULT)?;
    input::nothing_else(&turn)?;
    let conversation = load(session).await?;
    match conversation.results.get(&id) {
        Some(Value::String(known)) if *known == content => return Ok(no_content()),
        Some(_) => {
            let message = "another result of this tool call is on record already";
            return Err(Refusal::new(StatusCode::CONFLICT, "bad_request", message));
        }
        None => {}
    }
    // By count and not by id: an agent may have to name calls that came without a usable id.
    if conversation.results.len() >= conversation.calls {
        let message = "the last answer made no tool call that has no result yet";
        return Err(Refusal::new(StatusCode::CONFLICT, "bad_request", message));
    }
    let attempt = session.attempt();
    let mut fields = Map::new();
    fields.insert("toolCallId".into(), id.into());
    let entry = Entry {
        kind: Kind::ToolResult,
        of: Some((attempt.node.as_str().to_owned(), attempt.attempt)),
        fields,
        body: Some(Payload::whole(Bytes::from(content))),
    };
    session.gate.recorder.record(entry).await.map_err(|reason| Refusal::record_failed(&reason))?;
    Ok(no_content())
}

fn no_content() -> Response<Body> {
    let mut response = Response::new(Body::Whole(None));
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}
