//! `hello` and `brief`: who the attempt is and what it is to do. A shim goes on only after a hello.

use hyper::{Response, StatusCode};
use serde_json::json;

use super::Session;
use crate::gate::body::Body;
use crate::gate::refusal::{Refusal, reply};

pub(super) fn hello(session: &Session) -> Result<Response<Body>, Refusal> {
    let (attempt, rules) = (session.attempt(), session.gate.rules());
    let greeting = json!({
        "run": rules.policy.run,
        "node": attempt.node,
        "attempt": attempt.attempt,
        "generation": rules.policy.generation,
    });
    Ok(reply(StatusCode::OK, &greeting))
}

pub(super) fn brief(session: &Session) -> Result<Response<Body>, Refusal> {
    Ok(reply(StatusCode::OK, &json!(session.attempt().brief)))
}
