//! Plain HTTP in absolute form: one request to the granted host, one answer back, each byte counted.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{CONNECTION, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, TE, TRAILER, UPGRADE};
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::pass::pass;
use super::target::authority;
use super::{Target, open};
use crate::gate::body::Body;
use crate::gate::refusal::Refusal;
use crate::gate::shared::Gate;
use crate::gate::socket::Socket;

type Reply = oneshot::Sender<Result<Response<Body>, Refusal>>;

/// Headers of one connection, which say nothing to whoever is behind it (RFC 9110, section 7.6.1).
const HOP_BY_HOP: [&str; 4] = ["keep-alive", "proxy-connection", "proxy-authorization", "proxy-authenticate"];

/// Does all of a request in absolute form. `reply` gets the answer's head, or why there is none.
pub(crate) async fn forward(
    gate: Arc<Gate>,
    socket: Arc<Socket>,
    target: Target,
    request: Request<Incoming>,
    mut reply: Reply,
) {
    let (mut passage, upstream) = match open(&gate, &socket, &target).await {
        Ok(open) => open,
        Err(refusal) => {
            crate::gate::body::ignore(request).await;
            let _ = reply.send(Err(refusal));
            return;
        }
    };
    let authority = authority(&passage.endpoint);
    let asking = async {
        let request = rewritten(request, &authority).map_err(|e| e.to_string())?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(upstream)).await.map_err(|e| e.to_string())?;
        let connection = Driven(tokio::spawn(async move { drop(connection.await) }));
        let answer = sender.send_request(request).await.map_err(|e| e.to_string());
        Ok::<_, String>((answer?, connection))
    };
    let asked = tokio::select! {
        biased;
        why = passage.leash.pulled() => Err((why, "the request may not go on".to_owned())),
        () = reply.closed() => Err(("client", String::new())),
        asked = asking => asked.map_err(|e| ("broken", format!("{} broke off: {e}", target.text))),
    };
    let (answer, connection) = match asked {
        Ok(asked) => asked,
        Err((verdict, message)) => {
            passage.end(verdict, None).await;
            let refusal = Refusal::new(StatusCode::BAD_GATEWAY, verdict, message);
            let _ = reply.send(Err(refusal.with("target", target.text)));
            return;
        }
    };
    let (head, body) = answer.into_parts();
    let (pieces, receiver) = mpsc::channel(4);
    let mut response = Response::new(Body::Stream(receiver));
    *response.status_mut() = head.status;
    *response.headers_mut() = end_to_end(head.headers);
    let verdict = match reply.send(Ok(response)) {
        Ok(()) => pass(&mut passage, body, pieces, |piece| Ok(piece.unwrap_or_default())).await,
        Err(_) => "client",
    };
    // Ends the connection, whatever the upstream would still say.
    drop(connection);
    passage.end(verdict, Some(head.status)).await;
}

/// The request as an origin server gets it.
pub(crate) fn rewritten(request: Request<Incoming>, authority: &str) -> Result<Request<Incoming>, hyper::http::Error> {
    let (head, body) = request.into_parts();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let uri: Uri = if path.is_empty() { "/" } else { path }.parse()?;
    let mut rewritten = Request::builder().method(head.method).uri(uri).body(body)?;
    *rewritten.headers_mut() = end_to_end(head.headers);
    rewritten.headers_mut().remove(EXPECT);
    rewritten.headers_mut().insert(HOST, HeaderValue::from_str(authority)?);
    Ok(rewritten)
}

/// `headers` without those of the one connection.
pub(crate) fn end_to_end(mut headers: HeaderMap) -> HeaderMap {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        // What says how long the body is stays with the body.
        .filter(|name: &HeaderName| !matches!(name.as_str(), "content-length" | "transfer-encoding" | "host"))
        .collect();
    named.iter().for_each(|name| drop(headers.remove(name)));
    HOP_BY_HOP.iter().for_each(|name| drop(headers.remove(*name)));
    [CONNECTION, TE, TRAILER, UPGRADE].iter().for_each(|name| drop(headers.remove(name)));
    // Each side's connection frames the body anew.
    headers.remove(hyper::header::TRANSFER_ENCODING);
    headers
}

/// A connection's own task, which ends with whoever waits for its answer.
pub(crate) struct Driven(pub(crate) JoinHandle<()>);

impl Drop for Driven {
    fn drop(&mut self) {
        self.0.abort();
    }
}
