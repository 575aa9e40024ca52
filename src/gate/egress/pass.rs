//! The body of an answer on its way to the agent.

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::sync::mpsc;

use super::Passage;

/// Passes `body` on, piece by piece, until it ends, the passage does or nobody listens; says which. `through` makes of each
/// piece what the agent gets, and of `None`, at the end, what it kept back; or says why nothing more may pass.
pub(super) async fn pass(
    passage: &mut Passage,
    mut body: Incoming,
    pieces: mpsc::Sender<std::io::Result<Bytes>>,
    mut through: impl FnMut(Option<Bytes>) -> Result<Bytes, &'static str>,
) -> &'static str {
    loop {
        let frame = tokio::select! {
            biased;
            why = passage.leash.pulled() => {
                let _ = pieces.try_send(Err(std::io::Error::other(why)));
                return why;
            }
            () = pieces.closed() => return "client",
            frame = body.frame() => frame,
        };
        let data = match frame {
            None => None,
            Some(Err(error)) => return last_word(passage, &pieces, std::io::Error::other(error), "broken").await,
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => Some(data),
                Err(_) => continue,
            },
        };
        let last = data.is_none();
        let piece = match through(data) {
            Ok(piece) => piece,
            Err(why) => return last_word(passage, &pieces, std::io::Error::other(why), why).await,
        };
        if !piece.is_empty() {
            let sent = tokio::select! {
                biased;
                why = passage.leash.pulled() => return why,
                sent = pieces.send(Ok(piece)) => sent,
            };
            if sent.is_err() {
                return "client";
            }
        }
        if last {
            return "closed";
        }
    }
}

/// Tells the agent that no more comes, and returns `why`. One that does not read holds up nobody who ends the passage.
async fn last_word(
    passage: &mut Passage,
    pieces: &mpsc::Sender<std::io::Result<Bytes>>,
    error: std::io::Error,
    why: &'static str,
) -> &'static str {
    tokio::select! {
        biased;
        pulled = passage.leash.pulled() => pulled,
        _ = pieces.send(Err(error)) => why,
    }
}
