//! A request that the gate itself sends, by TLS, to where an agent wants it: with the secrets that are granted for that host,
//! which the agent never has. What comes back is shorn of them and passed on; a redirect is passed on and not followed.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue,
};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use super::pass::pass;
use super::plain::{Driven, end_to_end};
use super::target::name;
use super::{FETCH, Target, open};
use crate::gate::body::Body;
use crate::gate::policy::Grant;
use crate::gate::records::Sink;
use crate::gate::refusal::Refusal;
use crate::gate::rules::Rules;
use crate::gate::shared::Gate;
use crate::gate::socket::Socket;
use crate::provider::{Key, Mask};
use crate::run::capability::{Capability, Endpoint, SecretScheme};
use crate::vault::traces::traces;

type Reply = oneshot::Sender<Result<Response<Body>, Refusal>>;

/// Asks for a part of an answer: a secret that is cut in two is found in neither half.
const PARTIAL: [&str; 2] = ["range", "if-range"];

/// What an agent asks.
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The memory that the body takes, until it is sent.
    pub(crate) room: Option<OwnedSemaphorePermit>,
}

/// Does all of such a request. `reply` gets the answer's head, or why there is none.
pub(crate) async fn fetch(gate: Arc<Gate>, socket: Arc<Socket>, mut target: Target, asked: Asked, mut reply: Reply) {
    if let Some((_, body)) = &mut target.fetched {
        body.clone_from(&asked.body);
    }
    let (mut passage, upstream) = match open(&gate, &socket, &target).await {
        Ok(open) => open,
        Err(refusal) => {
            let _ = reply.send(Err(refusal));
            return;
        }
    };
    let path = target.fetched.as_ref().map(|(path, _)| path.clone()).unwrap_or_default();
    let (secrets, mask) = match secrets(&gate.rules(), &passage.grants) {
        Ok(found) => found,
        Err(missing) => {
            passage.end("secret_missing", None).await;
            let message = format!("the secret `{missing}` is granted, and the gate does not have it");
            let refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "secret_missing", message);
            let _ = reply.send(Err(refusal.hint("whoever runs this has to `taskforge secret set` it")));
            return;
        }
    };
    let mut mask = mask;
    let room = asked.room;
    let request = rewritten(&passage.endpoint, &path, asked.method, asked.headers, asked.body, secrets);
    let tls = gate.tls.clone();
    let server = server_name(&passage.endpoint);
    let asking = async {
        let stream = TlsConnector::from(tls).connect(server?, upstream).await.map_err(|e| e.to_string())?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|e| e.to_string())?;
        let connection = Driven(tokio::spawn(async move { drop(connection.await) }));
        let answer = sender.send_request(request?).await.map_err(|e| e.to_string())?;
        Ok::<_, String>((answer, connection))
    };
    let asked = tokio::select! {
        biased;
        why = passage.leash.pulled() => Err((why, "the request may not go on".to_owned())),
        () = reply.closed() => Err(("client", String::new())),
        asked = asking => asked.map_err(|e| ("broken", format!("{} broke off: {e}", target.text))),
    };
    drop(room);
    let (answer, connection) = match asked {
        Ok(asked) => asked,
        Err((verdict, message)) => {
            passage.end(verdict, None).await;
            let message = String::from_utf8_lossy(&mask.whole(message.as_bytes())).into_owned();
            let _ =
                reply.send(Err(Refusal::new(StatusCode::BAD_GATEWAY, verdict, message).with("target", target.text)));
            return;
        }
    };
    let (head, body) = answer.into_parts();
    let encoded = head.headers.get_all(CONTENT_ENCODING).iter().any(|value| value != "identity");
    if encoded && !passage.grants.iter().all(|grant| matches!(grant.capability, Capability::Net(_))) {
        passage.end("encoded", Some(head.status)).await;
        let message = format!(
            "{} answers compressed although it was asked not to: a secret in there could not be seen",
            target.text
        );
        let _ = reply.send(Err(Refusal::new(StatusCode::BAD_GATEWAY, "encoded", message)));
        return;
    }
    let (pieces, receiver) = mpsc::channel(4);
    let mut response = Response::new(Body::Stream(receiver));
    *response.status_mut() = head.status;
    *response.headers_mut() = masked(end_to_end(head.headers), &mask);
    let mut sink = Sink::new(gate.recorder.bodies().clone());
    let verdict = match reply.send(Ok(response)) {
        Ok(()) => {
            let shorn = |piece: Option<Bytes>| {
                let piece = match piece {
                    Some(piece) => mask.push(piece),
                    None => mask.finish(),
                };
                sink.push(&piece).map(|()| piece).map_err(|_| "record_failed")
            };
            pass(&mut passage, body, pieces, shorn).await
        }
        Err(_) => "client",
    };
    // Ends the connection, whatever the upstream would still say.
    drop(connection);
    passage.end_with(verdict, Some(head.status), Some(sink.finish())).await;
}

/// The headers that carry the granted secrets, and what hides them in the answer. The name of one that is not there.
fn secrets(rules: &Rules, grants: &[Grant]) -> Result<(HeaderMap, Mask), String> {
    let (mut headers, mut hidden) = (HeaderMap::new(), Vec::new());
    for grant in grants {
        let Capability::Secret(secret) = &grant.capability else { continue };
        let missing = || secret.name().to_string();
        let key = rules.key(&format!("vault:{}", secret.name())).ok_or_else(missing)?;
        let value = value(secret.scheme(), key).ok_or_else(missing)?;
        hidden.extend(traces(key.expose()).into_iter().map(|trace| trace.bytes));
        let header = HeaderName::from_bytes(secret.header().as_bytes()).map_err(|_| missing())?;
        headers.insert(header, value);
    }
    Ok((headers, Mask::of_all(hidden)))
}

/// The header's value, which is never printed; none if the secret cannot stand in one.
fn value(scheme: SecretScheme, key: &Key) -> Option<HeaderValue> {
    let key = key.expose();
    let text = Zeroizing::new(match scheme {
        SecretScheme::Bearer => format!("Bearer {key}"),
        SecretScheme::Token => format!("token {key}"),
        SecretScheme::Basic => format!("Basic {}", STANDARD.encode(key)),
        SecretScheme::Plain => key.to_owned(),
    });
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn masked(mut headers: HeaderMap, mask: &Mask) -> HeaderMap {
    for value in headers.values_mut() {
        let clear = mask.whole(value.as_bytes());
        if clear != value.as_bytes() {
            *value = HeaderValue::from_bytes(&clear).unwrap_or(HeaderValue::from_static("*"));
        }
    }
    headers
}

fn server_name(endpoint: &Endpoint) -> Result<ServerName<'static>, String> {
    let text = match name(endpoint) {
        Some(name) => name.to_owned(),
        None => endpoint.host().address().map(|address| address.to_string()).unwrap_or_default(),
    };
    ServerName::try_from(text).map_err(|e| e.to_string())
}

/// The request as the host gets it: nothing of the agent's stands where a secret does, or decides how the answer comes.
fn rewritten(
    endpoint: &Endpoint,
    path: &str,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
    secrets: HeaderMap,
) -> Result<Request<Full<Bytes>>, String> {
    let uri: Uri = path.parse().map_err(|e: hyper::http::uri::InvalidUri| e.to_string())?;
    let mut request = Request::new(Full::new(body));
    (*request.method_mut(), *request.uri_mut()) = (method, uri);
    let mut headers = end_to_end(headers);
    [EXPECT, HOST, CONTENT_LENGTH, ACCEPT_ENCODING].iter().for_each(|name| drop(headers.remove(name)));
    PARTIAL.iter().for_each(|name| drop(headers.remove(*name)));
    let authority = match endpoint.port() {
        443 => endpoint.host().to_string(),
        port => format!("{}:{port}", endpoint.host()),
    };
    headers.insert(HOST, HeaderValue::from_str(&authority).map_err(|e| e.to_string())?);
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    for (name, value) in secrets {
        if let Some(name) = name {
            headers.insert(name, value);
        }
    }
    *request.headers_mut() = headers;
    Ok(request)
}

impl Target {
    /// The target of `/to/<host>[:<port>]/<path>`; port 443 unless it is said.
    pub(crate) fn of_fetch<B>(request: &Request<B>) -> Self {
        let whole = request.uri().path_and_query().map_or("", |path| path.as_str());
        let rest = whole.strip_prefix("/to/").unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let authority = authority.to_ascii_lowercase();
        let text = match Endpoint::parse(&authority) {
            Ok(_) => authority,
            Err(_) => format!("{authority}:443"),
        };
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let fits =
            [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];
        // `TRACE` would have the host say the headers back.
        let flaw = (!fits.contains(request.method())).then(|| format!("the method {} is not sent", request.method()));
        Self {
            surface: FETCH,
            method: request.method().as_str().chars().take(32).collect(),
            endpoint: Endpoint::parse(&text).map_err(str::to_owned),
            text: text.chars().take(300).collect(),
            flaw,
            fetched: Some((path, Bytes::new())),
        }
    }
}
