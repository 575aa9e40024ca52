//! `published`: the shim of a deployment holds connections ready for those who come to its port.

use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue, UPGRADE};
use hyper::{Request, Response, StatusCode};

use super::Session;
use crate::gate::body::Body;
use crate::gate::refusal::Refusal;

pub(super) const PATH: &str = "/taskforge/v1/published";
/// All that a deployment's own gate has.
pub(super) const PATHS: [&str; 3] = ["/taskforge/v1/hello", "/taskforge/v1/forwards", PATH];

/// Keeps this connection for the next who comes. After the 101 the gate sends one byte when somebody has come, and is
/// answered with one: 1 if the application took the connection, 0 if it did not. What follows is theirs.
pub(super) fn offer(session: &Session, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
    if session.attempt().publish.is_none() {
        return Err(Refusal::not_found("nothing is published here"));
    }
    let place = session.socket.offers.place();
    let place = place.ok_or_else(|| Refusal::exhausted("there are enough connections ready"))?;
    session.client.becomes_a_tunnel();
    tokio::spawn(place.keep(hyper::upgrade::on(request)));
    let mut response = Response::new(Body::whole(""));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static("taskforge"));
    Ok(response)
}
