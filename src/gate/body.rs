//! Bodies on the wire: bounded reading of what an agent sends, and the two shapes of what it is sent.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::header::{CONTENT_LENGTH, EXPECT};
use hyper::{HeaderMap, Request, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;

use super::refusal::Refusal;

/// How long a body waits for room, and is listened to after it was refused.
const PATIENCE: Duration = Duration::from_secs(30);
/// The code of what did not come in time.
pub(crate) const SLOW: &str = "slow_body";
/// What is read and thrown away of a refused body, so that the sender gets to read the refusal, in bytes.
const MOST_DISCARDED: usize = 128 << 20;
/// Bodies up to this size need no room of their own, in bytes.
const SMALL: u64 = 64 * 1024;
/// What all larger bodies in flight may take together, in KiB.
const ROOM: u32 = 16 * 1024;

/// The memory that large bodies share.
pub(crate) fn room() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(ROOM as usize))
}

/// Reads a body of at most `limit` bytes within `patience`. The permit is the room that it takes; hold it while the bytes are held.
pub(crate) async fn read(
    request: Request<Incoming>,
    limit: u64,
    patience: Duration,
    room: &Arc<Semaphore>,
) -> Result<(Bytes, Option<OwnedSemaphorePermit>), Refusal> {
    let (head, mut body) = request.into_parts();
    let announced = length(&head.headers);
    if announced.is_some_and(|n| n > limit) {
        // Who waits to be told to go on has sent nothing yet.
        if !head.headers.contains_key(EXPECT) {
            discard(&mut body).await;
        }
        return Err(Refusal::too_large(limit));
    }
    let expected = announced.unwrap_or(limit);
    let slow = |_| {
        let message = format!("the body did not come within {} ms", patience.as_millis());
        Refusal::new(StatusCode::REQUEST_TIMEOUT, SLOW, message)
    };
    let permit = if expected <= SMALL {
        None
    } else {
        let share = u32::try_from(expected.div_ceil(1024)).unwrap_or(ROOM).min(ROOM);
        let permit = timeout(PATIENCE, room.clone().acquire_many_owned(share)).await;
        permit.map_err(|_| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "too many large bodies at once"))?.ok()
    };
    let capacity = usize::try_from(announced.unwrap_or(0)).unwrap_or(0);
    let read = async {
        let mut bytes = BytesMut::with_capacity(capacity);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|e| Refusal::bad_request(format!("the body broke off: {e}")))?;
            if let Ok(data) = frame.into_data() {
                if (bytes.len() + data.len()) as u64 > limit {
                    return Ok(None);
                }
                bytes.extend_from_slice(&data);
            }
        }
        Ok::<_, Refusal>(Some(bytes.freeze()))
    };
    match timeout(patience, read).await.map_err(slow)?? {
        Some(bytes) => Ok((bytes, permit)),
        None => {
            drop(permit);
            discard(&mut body).await;
            Err(Refusal::too_large(limit))
        }
    }
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Reads the body of a request that is refused whatever it holds: a client that finds the connection closed while it
/// is still sending does not get to read why.
pub(crate) async fn ignore(request: Request<Incoming>) {
    if !request.headers().contains_key(EXPECT) {
        discard(&mut request.into_body()).await;
    }
}

async fn discard(body: &mut Incoming) {
    let discarding = async {
        let mut seen = 0;
        while let Some(Ok(frame)) = body.frame().await {
            seen += frame.data_ref().map_or(0, Bytes::len);
            if seen > MOST_DISCARDED {
                return;
            }
        }
    };
    // Whoever is slower than this does not get to read the refusal.
    let _ = timeout(PATIENCE, discarding).await;
}

/// What the gate sends.
pub(crate) enum Body {
    Whole(Option<Bytes>),
    /// Pieces as they come; an error cuts the connection, so that a broken answer is not taken for a whole one.
    Stream(mpsc::Receiver<io::Result<Bytes>>),
}

impl Body {
    pub(crate) fn whole(bytes: impl Into<Bytes>) -> Self {
        Self::Whole(Some(bytes.into()))
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match &mut *self {
            Self::Whole(bytes) => Poll::Ready(bytes.take().filter(|b| !b.is_empty()).map(|b| Ok(Frame::data(b)))),
            Self::Stream(pieces) => pieces.poll_recv(cx).map(|piece| piece.map(|piece| piece.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(bytes) if bytes.as_ref().is_none_or(Bytes::is_empty))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Self::Stream(_) => SizeHint::default(),
        }
    }
}
