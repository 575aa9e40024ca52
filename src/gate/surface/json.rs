//! Reading small JSON objects that agents send.

use hyper::Request;
use hyper::body::Incoming;
use serde_json::{Map, Value};

use super::Session;
use crate::gate::body;
use crate::gate::refusal::Refusal;
use crate::provider::check_complexity_within;

/// The deepest nesting: the host reads messages of up to 32 levels, and a message holds the object.
const DEEPEST: usize = 24;

/// Reads an object of at most `limit` bytes.
pub(super) async fn object(
    session: &Session,
    request: Request<Incoming>,
    limit: u64,
) -> Result<Map<String, Value>, Refusal> {
    let (bytes, _room) = body::read(request, limit, session.body_patience(), &session.gate.room).await?;
    check_complexity_within(&bytes, DEEPEST).map_err(|e| Refusal::bad_request(e.to_string()))?;
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(Refusal::bad_request("the body is not a JSON object")),
        Err(e) => Err(Refusal::bad_request(format!("the body is not JSON: {e}"))),
    }
}

/// Takes the text `key` of at most `limit` bytes out of `object`.
pub(super) fn text(object: &mut Map<String, Value>, key: &str, limit: usize) -> Result<String, Refusal> {
    match object.remove(key) {
        Some(Value::String(text)) if text.len() <= limit => Ok(text),
        Some(Value::String(_)) => Err(Refusal::bad_request(format!("`{key}` is longer than {limit} bytes"))),
        Some(_) => Err(Refusal::bad_request(format!("`{key}` is not a text"))),
        None => Err(Refusal::bad_request(format!("`{key}` is missing"))),
    }
}

/// Refuses what `object` still holds.
pub(super) fn nothing_else(object: &Map<String, Value>) -> Result<(), Refusal> {
    match object.keys().next() {
        None => Ok(()),
        Some(key) => {
            let key: String = key.chars().take(64).collect();
            Err(Refusal::bad_request(format!("the key {key:?} is not known")))
        }
    }
}
