//! What an agent asked of the gate itself and did not get, on record: a model that is not granted, a path that there is
//! not, a capability that is none, a budget that is spent. Refused ways out have records of their own, and so has what a model was asked.

use hyper::Request;
use serde_json::{Map, Value};

use super::Session;
use crate::gate::records::{Entry, Kind};
use crate::gate::refusal::Refusal;
use crate::gate::socket::MOST_REFUSALS;

/// The longest text in a record, in characters: all of them are the agent's own.
const LONGEST: usize = 300;

/// What was asked, as far as a record says it.
pub(super) struct Asked {
    method: String,
    path: String,
}

impl Asked {
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        Self { method: bounded(request.method().as_str()), path: bounded(request.uri().path()) }
    }
}

/// Puts the refusal on record, if it is one of those that nothing else records. After as many as one attempt is heard
/// with, one more record says so, and the rest leaves none.
pub(super) async fn record(session: &Session, asked: Asked, refusal: &Refusal) {
    let is_dry = refusal.is_of_a_budget();
    // By this record the host knows what an attempt ended of: it is written whatever else was refused before, and not
    // again before a model was asked.
    if is_dry && !session.socket.runs_dry() {
        return;
    }
    let is_flood = refusal.is_of_a_flood() && session.socket.overflows();
    if !is_dry && !is_flood && !refusal.is_of_the_request() {
        return;
    }
    let before = if is_dry { 0 } else { session.socket.refuse() };
    if before > MOST_REFUSALS {
        return;
    }
    let mut fields = Map::new();
    fields.insert("method".into(), asked.method.into());
    fields.insert("path".into(), asked.path.into());
    fields.insert("status".into(), refusal.status().as_u16().into());
    if before == MOST_REFUSALS {
        fields.insert("code".into(), "no_longer_recorded".into());
        let message =
            format!("{MOST_REFUSALS} requests of this attempt were refused; those after this one leave no record");
        fields.insert("message".into(), message.into());
    } else {
        fields.insert("code".into(), refusal.code().into());
        fields.insert("message".into(), bounded(refusal.message()).into());
        for key in ["model", "capability"] {
            if let Some(text) = refusal.more(key).and_then(Value::as_str) {
                fields.insert(key.into(), bounded(text).into());
            }
        }
    }
    let attempt = session.attempt();
    let of = Some((attempt.node.as_str().to_owned(), attempt.attempt));
    // Nothing has happened, whether that can be recorded or not.
    let _ = session.gate.recorder.record(Entry { kind: Kind::RequestRefused, of, fields, body: None }).await;
}

fn bounded(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}
