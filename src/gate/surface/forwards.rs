//! `forwards`: where the shim offers what is granted as `tcp:`. A convenience: the gate judges each connection anew.

use hyper::{Request, Response, StatusCode};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::capabilities::wait;
use super::{Session, parameter};
use crate::gate::body::Body;
use crate::gate::policy::CapabilityRequest;
use crate::gate::refusal::{Refusal, reply};
use crate::run::capability::Capability;
use crate::run::id::Digest;

/// The ports to open; with `opened`, once it is another list than that, or `wait` is over.
pub(super) async fn list<B>(session: &Session, request: &Request<B>) -> Result<Response<Body>, Refusal> {
    let until = Instant::now() + wait(parameter(request, "wait"))?;
    let opened = parameter(request, "opened");
    session.socket.has_opened(opened.unwrap_or_default());
    let mut attempts = session.socket.attempts();
    loop {
        attempts.mark_unchanged();
        let (forwards, digest) = current(session);
        if opened != Some(&digest) || Instant::now() >= until {
            return Ok(reply(StatusCode::OK, &json!({"forwards": forwards, "list": digest})));
        }
        let _ = tokio::time::timeout_at(until, attempts.changed()).await;
    }
}

/// The list as it is now, and its digest.
fn current(session: &Session) -> (Vec<Value>, String) {
    let attempt = session.attempt();
    let targets = attempt.grants.iter().filter_map(|grant| match &grant.capability {
        Capability::Tcp(endpoint) => Some(endpoint),
        _ => None,
    });
    let forward = |endpoint| {
        let listen = session.socket.listen(endpoint).to_string();
        json!({"listen": listen, "target": endpoint.to_string()})
    };
    let forwards: Vec<Value> = targets.map(forward).collect();
    let digest = Digest::of(json!(forwards).to_string().as_bytes()).short().to_owned();
    (forwards, digest)
}

/// Where the shim offers what `request` was granted, once it does; none if it is nothing that the shim offers.
pub(super) async fn ready(session: &Session, request: &CapabilityRequest) -> Option<String> {
    let Ok(Capability::Tcp(endpoint)) = Capability::parse(&request.capability) else { return None };
    if !request.status.is_granted() {
        return None;
    }
    let (_, list) = current(session);
    session.socket.opened(&list).await;
    Some(session.socket.listen(&endpoint).to_string())
}
