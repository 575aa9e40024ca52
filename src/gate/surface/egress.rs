//! The way out to everything that is not an LLM: closed. Each try is on record before it is refused, and the refusal
//! names what would have to be asked for.

use hyper::header::{CONNECTION, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Map, Value, json};

use super::{Session, parameter};
use crate::gate::body::Body;
use crate::gate::records::{Denial, Entry, Kind};
use crate::gate::refusal::{Refusal, reply};

/// How many refusals of one attempt are recorded: a loop that tries for ever must not fill the disk.
const MOST_DENIALS: u64 = 10_000;
const HINT: &str = "a package is asked for as pip:<name> or apt:<name>; nothing is fetched from inside the container";

/// Refuses `CONNECT` and requests in absolute form.
pub(super) async fn refuse<B>(session: &Session, request: &Request<B>) -> Result<Response<Body>, Refusal> {
    let surface = if request.method() == Method::CONNECT { "connect" } else { "http" };
    let target = target(request)?;
    let attempt = session.attempt();
    let node = attempt.node.as_str();
    if session.gate.recorder.index(|index| index.denial_count(node, attempt.attempt)) >= MOST_DENIALS {
        let message = format!("this attempt was refused {MOST_DENIALS} times; its tries are no longer heard");
        return Err(Refusal::exhausted(message));
    }
    let mut fields = Map::new();
    fields.insert("surface".into(), surface.into());
    fields.insert("target".into(), target.as_str().into());
    fields.insert("method".into(), request.method().as_str().chars().take(32).collect::<String>().into());
    fields.insert("verdict".into(), "capability_required".into());
    let entry = Entry { kind: Kind::EgressDenied, of: Some((node.to_owned(), attempt.attempt)), fields, body: None };
    session.gate.recorder.record(entry).await.map_err(|reason| Refusal::record_failed(&reason))?;
    let message = format!("nothing grants a connection to {target}");
    let mut response = Refusal::new(StatusCode::FORBIDDEN, "capability_required", message)
        .hint(HINT)
        .with("target", target.as_str())
        .with("capability", format!("net:{target}"))
        .response();
    // Some clients would take what follows on this connection for a tunnel.
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    Ok(response)
}

/// Host and port, without what a URL may carry of credentials, path or query.
fn target<B>(request: &Request<B>) -> Result<String, Refusal> {
    let uri = request.uri();
    let host = uri.host().filter(|h| !h.is_empty() && h.len() <= 255);
    let host = host.ok_or_else(|| Refusal::bad_request("the request names no host"))?.to_ascii_lowercase();
    let port = uri.port_u16().unwrap_or(match uri.scheme_str() {
        Some("http") => 80,
        _ => 443,
    });
    Ok(format!("{host}:{port}"))
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
    json!({
        "code": "capability_required",
        "surface": denial.surface,
        "target": denial.target,
        "capability": format!("net:{}", denial.target),
        "hint": HINT,
    })
}
