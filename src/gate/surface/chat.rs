//! `POST /v1/chat/completions` and `GET /v1/models`.

use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::Session;
use crate::gate::body::{self, Body};
use crate::gate::exchange::Exchange;
use crate::gate::refusal::{Refusal, reply};
use crate::provider::{Ask, Outgoing, forwardable_request};

/// Bodies above this size are looked through on a thread of their own, in bytes.
const LARGE: usize = 64 * 1024;

pub(super) async fn complete(session: &Session, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
    let attempt = session.attempt();
    let headers = forwardable_request(request.headers().clone());
    let (body, room) = body::read(request, attempt.limits.body_bytes, &session.gate.room).await?;
    let ask = if body.len() > LARGE {
        let body = body.clone();
        // As a tree a body takes several times its size: one of them at a time.
        let _alone = session.gate.parsing.lock().await;
        let parsed = tokio::task::spawn_blocking(move || Ask::parse(&body)).await;
        parsed.map_err(|e| Refusal::bad_request(e.to_string()))?
    } else {
        Ask::parse(&body)
    };
    let ask = ask.map_err(|e| Refusal::bad_request(e.to_string()))?;
    let (name, provider) = session.gate.rules().route(&attempt, &ask.model)?;
    let limit = attempt.limits.llm_requests;
    let turn = session.gate.turns.take(attempt.node.as_str(), limit).ok_or_else(|| {
        let message = format!("the node `{}` has made all of its {limit} LLM requests", attempt.node);
        Refusal::new(StatusCode::TOO_MANY_REQUESTS, "iterations_exhausted", message).with("limit", limit)
    })?;
    let (answer, answered) = oneshot::channel();
    let exchange = Exchange {
        gate: session.gate.clone(),
        socket: session.socket.clone(),
        attempt,
        name,
        provider,
        request: Outgoing { headers, body, ask },
        turn,
        room,
    };
    tokio::spawn(exchange.run(answer));
    // Dropping this future, when the client leaves or is cut off, is what tells the exchange to stop.
    answered.await.unwrap_or_else(|_| Err(Refusal::closed()))
}

/// The models that this attempt may use, in OpenAI's shape.
pub(super) fn models(session: &Session) -> Result<Response<Body>, Refusal> {
    let rules = session.gate.rules();
    let attempt = session.attempt();
    let models: Vec<Value> = rules
        .models(&attempt)
        .into_iter()
        .map(|id| json!({"id": id, "object": "model", "created": 0, "owned_by": "taskforge"}))
        .collect();
    Ok(reply(StatusCode::OK, &json!({"object": "list", "data": models})))
}
