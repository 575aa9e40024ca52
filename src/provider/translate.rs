//! Puts an upstream's answer through a [`Reading`]: whole, or event by event as it comes.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, stream};
use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, StatusCode};

use super::reading::{Framing, Reading, Said, parse};
use super::sse::Events;
use super::{Answer, Failed, ProviderError, Room, Share};

/// The largest answer that is held for translation, in bytes.
const LARGEST: usize = 16 << 20;
/// What is read of an answer with a status of failure, in bytes.
const LARGEST_ERROR: usize = 256 * 1024;
/// The longest event of a streamed answer, in bytes.
const LONGEST_EVENT: usize = 8 << 20;
/// How a translated answer is passed on, in bytes.
const PIECE: usize = 64 * 1024;

type Pieces = BoxStream<'static, Result<Bytes, ProviderError>>;

/// The answer in the agent's words.
pub(super) async fn translate(
    provider: &str,
    answer: Answer,
    mut reading: Box<dyn Reading>,
    streamed: bool,
    room: &Room,
) -> Result<Answer, ProviderError> {
    if answer.status.is_informational() {
        // Refused by whoever passes answers on.
        return Ok(answer);
    }
    let mut share = room.of_reading();
    let Answer { status, mut headers, body, failed } = answer;
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    for name in [CONTENT_LENGTH, CONTENT_ENCODING, CONTENT_TYPE] {
        headers.remove(name);
    }
    if !status.is_success() {
        let body = gather(provider, body, LARGEST_ERROR, true, &mut share).await?;
        let mut said = reading.error(&body);
        if said.message.is_empty() {
            said.message = format!("it answered with status {status} and no words");
        }
        if let Some(kind) = reading.kind_of(status.as_u16()) {
            said.kind = kind.to_owned();
        }
        return Ok(answered(status, headers, reading.failure(&said).to_string().into_bytes(), share, failed));
    }
    if streamed {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        let mut body = events(provider.to_owned(), body, reading, share);
        // What fails before it has said anything is no answer: it gets a status, and may be asked for elsewhere.
        let first = match body.next().await {
            Some(Err(error)) => return Err(error),
            first => first,
        };
        let body = stream::iter(first).chain(body).boxed();
        return Ok(Answer { status, headers, body, failed });
    }
    // What it becomes is there beside it for a while.
    let most = 2 * announced.unwrap_or(LARGEST).min(LARGEST);
    if !share.cover(announced.map_or(0, |_| most), most).await {
        return Err(ProviderError::Crowded { provider: provider.to_owned() });
    }
    let body = gather(provider, body, LARGEST, false, &mut share).await?;
    match reading.whole(&body) {
        Ok(whole) => Ok(answered(status, headers, whole, share, failed)),
        Err(said) => {
            let usage = reading.used(&body);
            // An answer that cannot be read is one, unless it is the upstream's word that it has failed.
            let begun =
                usage.is_some() || (said.raw.is_null() && parse(&body, "it").is_ok_and(|said| said.is_object()));
            let told = reading.failure(&said).to_string().into_bytes();
            let failed = Failed { status, message: said.message, begun, usage };
            Ok(answered(StatusCode::BAD_GATEWAY, headers, told, share, Some(failed)))
        }
    }
}

/// The answer `body`, a piece at a time: whoever covers keys in it copies a piece, and not all of it.
fn answered(status: StatusCode, mut headers: HeaderMap, body: Vec<u8>, share: Share, failed: Option<Failed>) -> Answer {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let pieces = stream::unfold((Bytes::from(body), share), |(mut rest, share)| async move {
        let piece = rest.split_to(rest.len().min(PIECE));
        (!piece.is_empty()).then_some((Ok(piece), (rest, share)))
    });
    Answer { status, headers, body: pieces.boxed(), failed }
}

/// All of a body. What is longer than `most` is cut off, or a failure.
async fn gather(
    provider: &str,
    mut body: Pieces,
    most: usize,
    cut: bool,
    share: &mut Share,
) -> Result<Bytes, ProviderError> {
    let mut whole = BytesMut::new();
    while let Some(piece) = body.next().await {
        let piece = piece?;
        if !share.cover(2 * (whole.len() + piece.len()).min(most), 2 * most).await {
            return Err(ProviderError::Crowded { provider: provider.to_owned() });
        }
        let room = most - whole.len();
        if piece.len() > room && !cut {
            let reason = format!("its answer is larger than {most} bytes");
            return Err(ProviderError::Cut { provider: provider.to_owned(), reason });
        }
        whole.extend_from_slice(&piece[..piece.len().min(room)]);
        if whole.len() == most && cut {
            break;
        }
    }
    Ok(whole.freeze())
}

struct Streamed {
    provider: String,
    body: Pieces,
    events: Events,
    reading: Box<dyn Reading>,
    share: Share,
    ready: VecDeque<Result<Bytes, ProviderError>>,
    /// Something was said.
    begun: bool,
    ended: bool,
}

fn events(provider: String, body: Pieces, reading: Box<dyn Reading>, share: Share) -> Pieces {
    let framed = match reading.framing() {
        Framing::Events => Events::bounded(LONGEST_EVENT),
        Framing::Lines => Events::lines(LONGEST_EVENT),
    };
    let ready = VecDeque::new();
    let state = Streamed { provider, body, events: framed, reading, share, ready, begun: false, ended: false };
    stream::unfold(state, |mut state| async move {
        loop {
            if let Some(ready) = state.ready.pop_front() {
                return Some((ready, state));
            }
            if state.ended {
                return None;
            }
            match state.body.next().await {
                Some(Ok(piece)) => {
                    let held = state.events.held() + state.reading.held() + piece.len();
                    state.share.give_back(2 * held);
                    match state.share.cover(2 * held, 2 * LONGEST_EVENT).await {
                        true => state.take(&piece),
                        false => {
                            state.ended = true;
                            let provider = state.provider.clone();
                            state.ready.push_back(Err(ProviderError::Crowded { provider }));
                        }
                    }
                }
                Some(Err(error)) => {
                    state.ended = true;
                    state.ready.push_back(Err(error));
                }
                None => state.end(),
            }
        }
    })
    .boxed()
}

impl Streamed {
    fn take(&mut self, piece: &[u8]) {
        let (mut out, mut failed) = (Vec::new(), None);
        let reading = &mut self.reading;
        self.events.push(piece, |data| {
            if failed.is_none() {
                failed = reading.event(data, &mut out).err();
            }
        });
        self.settle(out, failed);
        if self.events.lost() && !self.ended {
            self.cut(&format!("an event of its answer is larger than {LONGEST_EVENT} bytes"));
        }
    }

    fn end(&mut self) {
        let (mut out, mut failed) = (Vec::new(), None);
        let reading = &mut self.reading;
        self.events.finish(|data| failed = reading.event(data, &mut out).err());
        if failed.is_none() {
            reading.finish(&mut out);
        }
        self.settle(out, failed);
        if !self.ended && !self.reading.is_over() {
            self.cut("its answer ended before its last event");
        }
        self.ended = true;
    }

    /// Passes on what was said; a failure is said, too, and then nothing more comes.
    fn settle(&mut self, mut out: Vec<u8>, failed: Option<Said>) {
        self.begun |= !out.is_empty();
        if let Some(said) = failed.as_ref().filter(|_| self.begun) {
            out.extend_from_slice(&self.reading.broken(said));
        }
        if !out.is_empty() {
            self.ready.push_back(Ok(out.into()));
        }
        if let Some(said) = failed {
            self.ended = true;
            let (provider, usage) = (self.provider.clone(), self.reading.spent().map(Box::new));
            let begun = self.begun || usage.is_some();
            self.ready.push_back(Err(ProviderError::Said {
                provider,
                kind: said.kind,
                message: said.message,
                begun,
                usage,
            }));
        }
    }

    fn cut(&mut self, reason: &str) {
        self.ended = true;
        self.ready.push_back(Err(ProviderError::Cut { provider: self.provider.clone(), reason: reason.to_owned() }));
    }
}
