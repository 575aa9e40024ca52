//! The way out to everything that is not an LLM, as an agent finds it: a proxy.

use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Map, Value, json};
use tokio::sync::oneshot;

use super::{Session, parameter};
use crate::gate::body::{self, Body};
use crate::gate::egress::{self, Target};
use crate::gate::records::Denial;
use crate::gate::refusal::{Refusal, reply};

/// Answers `CONNECT` and requests in absolute form.
pub(super) async fn pass(session: &Session, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
    let target = Target::of(&request);
    let (gate, socket) = (session.gate.clone(), session.socket.clone());
    let (answer, answered) = oneshot::channel();
    // On its own, so that a client that leaves, a revocation or the kill switch ends it and still gets its record.
    if request.method() == Method::CONNECT {
        tokio::spawn(egress::tunnel(gate, socket, target, request, answer));
    } else {
        tokio::spawn(egress::forward(gate, socket, target, request, answer));
    }
    match answered.await.unwrap_or_else(|_| Err(Refusal::closed())) {
        Ok(response) => Ok(response),
        Err(refusal) => {
            let mut response = refusal.response();
            // Some clients would take what follows on this connection for a tunnel.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            Ok(response)
        }
    }
}

/// Answers `/to/<host>[:<port>]/…`: the gate asks the host by TLS, with the secrets that are granted for it.
pub(super) async fn fetch(session: &Session, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
    let target = Target::of_fetch(&request);
    let (head, body) = request.into_parts();
    let (headers, method) = (head.headers.clone(), head.method.clone());
    let request = Request::from_parts(head, body);
    let limit = session.attempt().limits.body_bytes;
    let (body, room) = body::read(request, limit, session.body_patience(), &session.gate.room).await?;
    let (gate, socket) = (session.gate.clone(), session.socket.clone());
    let (answer, answered) = oneshot::channel();
    let asked = egress::Asked { method, headers, body, room };
    tokio::spawn(egress::fetch(gate, socket, target, asked, answer));
    answered.await.unwrap_or_else(|_| Err(Refusal::closed()))
}

/// What this attempt was refused since the record `after`.
pub(super) fn list<B>(session: &Session, request: &Request<B>) -> Result<Response<Body>, Refusal> {
    let after = match parameter(request, "after") {
        None => 0,
        Some(after) => after.parse().map_err(|_| Refusal::bad_request("`after` is not a number"))?,
    };
    let attempt = session.attempt();
    let denials = session.gate.recorder.index(|index| index.denials(attempt.node.as_str(), attempt.attempt, after));
    let seq = denials.last().map_or(after, |denial| denial.seq);
    let refusals: Vec<Value> = denials.iter().map(shown).collect();
    Ok(reply(StatusCode::OK, &json!({"seq": seq, "refusals": refusals})))
}

fn shown(denial: &Denial) -> Value {
    let mut shown = Map::new();
    shown.insert("code".into(), denial.verdict.as_str().into());
    shown.insert("surface".into(), denial.surface.as_str().into());
    shown.insert("target".into(), denial.target.as_str().into());
    if let Some(capability) = &denial.capability {
        shown.insert("capability".into(), capability.as_str().into());
    }
    if let Some(hint) = egress::hint(&denial.verdict) {
        shown.insert("hint".into(), hint.into());
    }
    Value::Object(shown)
}
