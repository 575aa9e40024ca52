//! What an agent can ask of the gate, one file a surface. Nothing here decides anything about a request: that is the
//! host's, and the host's only.

mod access;
mod actions;
mod capabilities;
mod chat;
mod children;
mod conversation;
mod egress;
mod forwards;
mod grammar;
mod greeting;
mod held;
mod json;
mod memory;
mod published;
mod refused;
mod report;

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};

use super::body::{self, Body};
use super::client::{Fault, Manners};
use super::policy::Attempt;
use super::refusal::Refusal;
use super::shared::Gate;
use super::socket::Socket;
use crate::provider::Wire;

/// Where the shim listens in the agent's container. A client that ignores `NO_PROXY` asks for it in absolute form.
const OWN_AUTHORITIES: [&str; 2] = ["127.0.0.1:4180", "localhost:4180"];

/// One connection's place: the gate, and the attempt that speaks.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) gate: Arc<Gate>,
    pub(crate) socket: Arc<Socket>,
    pub(crate) client: Arc<Manners>,
}

impl Session {
    pub(super) fn attempt(&self) -> Arc<Attempt> {
        self.socket.attempt()
    }

    /// How long the body of a request may take.
    pub(super) fn body_patience(&self) -> Duration {
        Duration::from_millis(self.gate.rules().policy.patience.body_ms)
    }
}

/// Answers one request.
pub(crate) async fn answer(session: Session, request: Request<Incoming>) -> Response<Body> {
    let client = session.client.clone();
    let asked = refused::Asked::of(&request);
    let answered = match session.gate.check(&session.socket) {
        Ok(()) => route(&session, request).await,
        Err(refusal) => {
            body::ignore(request).await;
            Err(refusal)
        }
    };
    match answered {
        Ok(response) => response,
        Err(refusal) => {
            if refusal.code() == body::SLOW {
                client.blame(Fault::SlowBody);
            }
            refused::record(&session, asked, &refusal).await;
            refusal.response()
        }
    }
}

async fn route(session: &Session, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
    let own = request.uri().authority().is_none_or(|a| OWN_AUTHORITIES.contains(&a.as_str()));
    if request.method() == Method::CONNECT || !own {
        return egress::pass(session, request).await;
    }
    let path = request.uri().path().to_owned();
    // What is deployed asks nobody for anything: it greets, and takes who comes to it.
    if session.attempt().publish.is_some() && !published::PATHS.contains(&path.as_str()) {
        body::ignore(request).await;
        return Err(Refusal::not_found("a deployment has no such thing: it reaches nothing and asks for nothing"));
    }
    let (get, post) = (request.method() == Method::GET, request.method() == Method::POST);
    match path.as_str() {
        "/taskforge/v1/hello" if get => greeting::hello(session),
        "/taskforge/v1/brief" if get => greeting::brief(session),
        "/taskforge/v1/conversation" if get => conversation::show(session).await,
        "/taskforge/v1/turns" if post => conversation::turn(session, request).await,
        "/taskforge/v1/refusals" if get => egress::list(session, &request),
        "/taskforge/v1/forwards" if get => forwards::list(session, &request).await,
        published::PATH if get => published::offer(session, request),
        "/taskforge/v1/capabilities" if post => capabilities::ask(session, request).await,
        "/taskforge/v1/children" if post => children::ask(session, request).await,
        "/taskforge/v1/children" if get => Ok(children::list(session)),
        "/taskforge/v1/memory" if get => memory::list(session).await,
        "/taskforge/v1/memory" if post => memory::change(session, request).await,
        "/taskforge/v1/progress" if post => report::progress(session, request).await,
        "/taskforge/v1/result" if post => report::result(session, request).await,
        "/taskforge/v1/held" if post => held::held(session, request).await,
        "/v1/chat/completions" if post => {
            chat::complete(session, Wire::Chat, request).await.map_err(Refusal::for_openais_clients)
        }
        "/v1/embeddings" if post => {
            chat::complete(session, Wire::Embeddings, request).await.map_err(Refusal::for_openais_clients)
        }
        "/v1/messages" if post => {
            chat::complete(session, Wire::Messages, request).await.map_err(Refusal::for_anthropics_clients)
        }
        "/v1/models" if get => chat::models(session),
        "/taskforge/v1/actions" if get => actions::list(session),
        _ if post && path.starts_with("/taskforge/v1/actions/") => {
            let name = path.trim_start_matches("/taskforge/v1/actions/").to_owned();
            actions::act(session, request, &name).await
        }
        _ if path.starts_with("/to/") => egress::fetch(session, request).await,
        _ => match (path.strip_prefix("/taskforge/v1/capabilities/"), path.strip_prefix("/taskforge/v1/memory/")) {
            (Some(id), _) if get => capabilities::show(session, &request, id).await,
            (_, Some(key)) if get => memory::show(session, key).await,
            _ if get && path.starts_with("/taskforge/v1/children/") => {
                let id = path.trim_start_matches("/taskforge/v1/children/");
                children::show(session, &request, id).await
            }
            _ => {
                body::ignore(request).await;
                Err(unknown(&path))
            }
        },
    }
}

fn unknown(path: &str) -> Refusal {
    const PATHS: [&str; 18] = [
        "/taskforge/v1/actions",
        published::PATH,
        "/taskforge/v1/hello",
        "/taskforge/v1/brief",
        "/taskforge/v1/conversation",
        "/taskforge/v1/turns",
        "/taskforge/v1/refusals",
        "/taskforge/v1/forwards",
        "/taskforge/v1/capabilities",
        "/taskforge/v1/children",
        "/taskforge/v1/memory",
        "/taskforge/v1/progress",
        "/taskforge/v1/result",
        "/taskforge/v1/held",
        "/v1/chat/completions",
        "/v1/embeddings",
        "/v1/messages",
        "/v1/models",
    ];
    if PATHS.contains(&path) {
        let message = format!("{path} does not take this method");
        return Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "bad_request", message);
    }
    Refusal::not_found(format!("the gate has no {}", path.chars().take(200).collect::<String>()))
}

/// A parameter of the query, not decoded: none of ours holds anything to decode.
fn parameter<'r, B>(request: &'r Request<B>, name: &str) -> Option<&'r str> {
    let query = request.uri().query()?;
    query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
}
