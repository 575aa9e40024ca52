//! Plain HTTP inside a tunnel, as some clients send it to a proxy (Node's fetch, WebSocket libraries): each request is
//! read, its `Host` judged, and sent on. A client that could speak past the gate here could name any host it likes.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Either;
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Mutex;

use super::Passage;
use super::counted::Counted;
use super::passage::Denied;
use super::plain::{Driven, end_to_end, rewritten};
use super::rewound::Rewound;
use super::target::{authority, flaw};
use crate::gate::body::Body;
use crate::gate::policy::Attempt;
use crate::gate::refusal::Refusal;
use crate::gate::shared::Gate;
use crate::run::capability::Endpoint;

/// The bounds of a request's head, as for the gate's own.
const MOST_HEADERS: usize = 100;
const LARGEST_HEAD: usize = 32 * 1024;
const HEAD_PATIENCE: Duration = Duration::from_secs(30);

/// What each request of a tunnel needs.
struct Way {
    gate: Arc<Gate>,
    attempt: Arc<Attempt>,
    endpoint: Endpoint,
    /// One request at a time, as it is with HTTP/1.
    upstream: Mutex<SendRequest<Incoming>>,
}

/// Whether the first bytes of a tunnel may be the beginning of a request.
pub(crate) fn looks_like_http(seen: &[u8]) -> bool {
    seen.first().is_some_and(u8::is_ascii_uppercase)
}

/// Serves the client's requests until one end closes or the leash is pulled; the verdict.
pub(crate) async fn requests<C: AsyncRead + AsyncWrite + Unpin>(
    passage: &mut Passage,
    client: Rewound<C>,
    upstream: Counted,
) -> &'static str {
    let Ok((sender, connection)) = hyper::client::conn::http1::handshake(TokioIo::new(upstream)).await else {
        return "broken";
    };
    let _driven = Driven(tokio::spawn(async move { drop(connection.await) }));
    let way = Arc::new(Way {
        gate: passage.leash.gate().clone(),
        attempt: passage.leash.attempt(),
        endpoint: passage.endpoint.clone(),
        upstream: Mutex::new(sender),
    });
    let answer = service_fn(move |request| {
        let way = way.clone();
        async move { Ok::<_, Infallible>(way.answer(request).await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_headers(MOST_HEADERS)
        .max_header_size(LARGEST_HEAD)
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(client), answer);
    tokio::select! {
        biased;
        why = passage.leash.pulled() => why,
        served = serving => match served {
            Err(error) if error.is_parse() => "not_http",
            _ => "closed",
        },
    }
}

impl Way {
    async fn answer(&self, request: Request<Incoming>) -> Response<Either<Incoming, Body>> {
        match self.forward(request).await {
            Ok(response) => response.map(Either::Left),
            Err(refusal) => {
                let mut response = refusal.response().map(Either::Right);
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                response
            }
        }
    }

    async fn forward(&self, request: Request<Incoming>) -> Result<Response<Incoming>, Refusal> {
        let rule = match request.uri().authority() {
            Some(_) => Some("inside a tunnel a request is in origin form".to_owned()),
            None if !request.headers().contains_key(hyper::header::HOST) => Some("it has no `Host`".to_owned()),
            None => flaw(&request, &self.endpoint),
        };
        if let Some(rule) = rule {
            let denied = Denied {
                surface: "tunnel",
                method: request.method().as_str().chars().take(32).collect(),
                target: self.endpoint.to_string(),
                verdict: "bad_target",
                message: format!("the request to {} is not forwarded: {rule}", self.endpoint),
                capability: None,
            };
            return Err(denied.record(&self.gate, &self.attempt).await);
        }
        let broken = |error: &dyn std::fmt::Display| {
            let message = format!("{} broke off: {error}", self.endpoint);
            Refusal::new(StatusCode::BAD_GATEWAY, "broken", message).with("target", self.endpoint.to_string())
        };
        let request = rewritten(request, &authority(&self.endpoint)).map_err(|e| broken(&e))?;
        let mut upstream = self.upstream.lock().await;
        upstream.ready().await.map_err(|e| broken(&e))?;
        let (mut head, body) = upstream.send_request(request).await.map_err(|e| broken(&e))?.into_parts();
        head.headers = end_to_end(head.headers);
        Ok(Response::from_parts(head, body))
    }
}
