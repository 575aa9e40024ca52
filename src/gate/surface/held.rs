//! `held`: what the kernel has refused the attempt, as its PID 1 counts it at the end. The container's own word.

use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use serde_json::{Map, Value, json};

use super::{Session, json as input};
use crate::gate::body::Body;
use crate::gate::records::{Entry, Kind};
use crate::gate::refusal::{Refusal, reply};

const COUNTS: [&str; 4] = ["processes", "memory", "killed", "throttledMs"];

pub(super) async fn held(session: &Session, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
    let mut body = input::object(session, request, 1024).await?;
    let mut fields = Map::new();
    for name in COUNTS {
        let count = body.remove(name).as_ref().and_then(Value::as_u64);
        let count = count.ok_or_else(|| Refusal::bad_request(format!("`{name}` is not a count")))?;
        fields.insert(name.to_owned(), count.into());
    }
    input::nothing_else(&body)?;
    if !session.socket.says_what_was_held() {
        return Err(Refusal::bad_request("this attempt has said so before"));
    }
    let attempt = session.attempt();
    let of = Some((attempt.node.as_str().to_owned(), attempt.attempt));
    let entry = Entry { kind: Kind::AgentHeld, of, fields, body: None };
    session.gate.recorder.record(entry).await.map_err(|e| Refusal::record_failed(&e.to_string()))?;
    Ok(reply(StatusCode::ACCEPTED, &json!({"recorded": true})))
}
