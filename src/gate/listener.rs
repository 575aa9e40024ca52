//! Accepts connections on one attempt's socket and answers their requests.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Map;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use super::client::{self, Client, Fault, Manners};
use super::records::{Entry, Kind};
use super::shared::Gate;
use super::socket::Socket;
use super::surface::{self, Session};

/// How many connections one attempt has at once; more wait to be accepted.
const MOST_CONNECTIONS: usize = 256;
/// The most headers of a request, and their size in bytes.
const MOST_HEADERS: usize = 100;
const LARGEST_HEAD: usize = 32 * 1024;
/// How much of what a client sends is read after it was refused, in bytes.
const MOST_DRAINED: usize = 8 << 20;

/// Serves `listener` until the task is aborted.
pub(crate) async fn serve(gate: Arc<Gate>, socket: Arc<Socket>, listener: UnixListener) {
    let mut cuts = socket.cuts();
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    // Dropped with this task, and the connections with it.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            _ = cuts.changed() => connections.shutdown().await,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = accept(&listener, &room) => {
                if let Some((stream, permit)) = accepted {
                    connections.spawn(connection(gate.clone(), socket.clone(), stream, permit));
                }
            }
        }
    }
}

async fn accept(listener: &UnixListener, room: &Arc<Semaphore>) -> Option<(UnixStream, OwnedSemaphorePermit)> {
    let permit = room.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, permit)),
        Err(_) => {
            // Out of file descriptors, most likely: those who have some will give them back.
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}

async fn connection(gate: Arc<Gate>, socket: Arc<Socket>, stream: UnixStream, permit: OwnedSemaphorePermit) {
    let patience = gate.rules().policy.patience;
    let (stream, client) = (Arc::new(stream), Arc::new(Manners::default()));
    let session = Session { gate: gate.clone(), socket: socket.clone(), client: client.clone() };
    let answer = service_fn(move |request: Request<Incoming>| {
        let session = session.clone();
        if request.method() == Method::CONNECT {
            session.client.becomes_a_tunnel();
        }
        async move {
            let client = session.client.clone();
            let answer = surface::answer(session, request).await;
            client.answered();
            Ok::<_, Infallible>(answer)
        }
    });
    let reading = Duration::from_millis(patience.reading_ms);
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(patience.head_ms))
        .max_headers(MOST_HEADERS)
        .max_header_size(LARGEST_HEAD)
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(Client::new(stream.clone(), client.clone(), reading)), answer)
        .with_upgrades()
        .await;
    // An error here is the client's: it broke off, flooded us with headers, said what is no HTTP, or was too slow.
    if let Err(error) = served {
        if error.is_timeout() && client.has_begun() {
            client.blame(Fault::SlowHead);
        } else if error.is_parse_too_large() {
            client.blame(Fault::HeadTooLarge);
        } else if error.is_parse() {
            client.blame(Fault::NotHttp);
        }
    }
    let Some(fault) = client.fault() else { return };
    if socket.may_record_a_fault() {
        let attempt = socket.attempt();
        let fields = Map::from_iter([("reason".to_owned(), fault.as_str().into())]);
        let of = Some((attempt.node.as_str().to_owned(), attempt.attempt));
        // The connection is over, whether that can be recorded or not.
        let _ = gate.recorder.record(Entry { kind: Kind::ClientDropped, of, fields, body: None }).await;
    }
    if !matches!(fault, Fault::SlowHead | Fault::SlowReading) {
        client::drain(&stream, MOST_DRAINED, Duration::from_millis(patience.head_ms)).await;
    }
    drop(permit);
}
