//! Accepts connections on one attempt's socket and answers their requests.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::UnixListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use super::shared::Gate;
use super::socket::Socket;
use super::surface::{self, Session};

/// How many connections one attempt has at once; more wait to be accepted.
const MOST_CONNECTIONS: usize = 256;
/// The most headers of a request, and their size in bytes.
const MOST_HEADERS: usize = 100;
const LARGEST_HEAD: usize = 32 * 1024;
/// How long the head of a request may take, and a connection may wait for its next request.
const HEAD_PATIENCE: Duration = Duration::from_secs(30);

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
                    let session = Session { gate: gate.clone(), socket: socket.clone() };
                    connections.spawn(connection(session, stream, permit));
                }
            }
        }
    }
}

async fn accept(
    listener: &UnixListener,
    room: &Arc<Semaphore>,
) -> Option<(tokio::net::UnixStream, OwnedSemaphorePermit)> {
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

async fn connection(session: Session, stream: tokio::net::UnixStream, permit: OwnedSemaphorePermit) {
    let answer = service_fn(move |request| {
        let session = session.clone();
        async move { Ok::<_, Infallible>(surface::answer(session, request).await) }
    });
    // An error here is the client's: it broke off, flooded us with headers, or was too slow.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_headers(MOST_HEADERS)
        .max_header_size(LARGEST_HEAD)
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(stream), answer)
        .with_upgrades()
        .await;
    drop(permit);
}
