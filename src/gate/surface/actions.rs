//! `actions`: what the gate does for an agent, and the list of what it may do.

use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use serde_json::{Map, Value, json};
use tokio::sync::oneshot;

use super::{Session, json as input};
use crate::gate::action::{Asked, perform};
use crate::gate::body::Body;
use crate::gate::refusal::{Refusal, reply};

/// The largest request, in bytes.
const LARGEST: u64 = 512 * 1024;
/// The longest that one may take; what goes on behind it still gets its record.
const LONGEST: Duration = Duration::from_secs(300);

/// What this attempt may have done for it, with the rules.
pub(super) fn list(session: &Session) -> Result<Response<Body>, Refusal> {
    let attempt = session.attempt();
    let actions: Vec<Value> = attempt
        .actions_at(chrono::Utc::now())
        .map(|action| json!({"name": action.name, "rules": action.rules}))
        .collect();
    Ok(reply(StatusCode::OK, &json!({"actions": actions})))
}

/// Does `name` with `{"arguments": {…}, "key": …}`.
pub(super) async fn act(session: &Session, request: Request<Incoming>, name: &str) -> Result<Response<Body>, Refusal> {
    let mut body = input::object(session, request, LARGEST).await?;
    let arguments = match body.remove("arguments") {
        None => Map::new(),
        Some(Value::Object(arguments)) => arguments,
        Some(_) => return Err(Refusal::bad_request("`arguments` is not an object")),
    };
    let key = match body.contains_key("key") {
        true => Some(input::text(&mut body, "key", 128)?),
        false => None,
    };
    input::nothing_else(&body)?;
    let asked = Asked { name: name.to_owned(), arguments, key };
    let (gate, socket) = (session.gate.clone(), session.socket.clone());
    let (answer, answered) = oneshot::channel();
    // On a task of its own: whoever leaves does not undo what was begun, and its end goes on record.
    tokio::spawn(async move {
        let _ = answer.send(perform(gate, socket, asked).await);
    });
    let answered = tokio::time::timeout(LONGEST, answered).await;
    let late = || {
        Refusal::new(
            StatusCode::GATEWAY_TIMEOUT,
            "upstream_timeout",
            "it takes too long; asked again, it is not done twice",
        )
    };
    answered.map_err(|_| late())?.unwrap_or_else(|_| Err(Refusal::closed()))
}
