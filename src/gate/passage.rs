//! An answer on its way from the upstream to the agent, and onto the records.
//!
//! The end of a whole answer is held back until its record is durable: what an agent acts on can always be resumed.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt as _;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, Response, StatusCode};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use super::body::Body;
use super::budget;
use super::client::{Fault, Manners};
use super::exchange::Reply;
use super::records::{Entry, Kind, Sink};
use super::refusal::Refusal;
use super::shared::Gate;
use super::socket::Socket;
use crate::provider::{Answer, Events, Failed, LONGEST_EVENT, Mask, Outcome, ProviderError, Share, Wire};
use crate::run::id::RequestId;

/// A plain answer up to this size is passed on only when all of it is there, in bytes: then a broken one can still
/// become an error with a status.
const GATHER: usize = 256 * 1024;
/// How long an upstream may keep a streamed answer open after its last event.
const AFTER_DONE: Duration = Duration::from_millis(500);
/// How many pieces are held after the last event; an upstream that goes on is not listened to.
const MOST_AFTER_DONE: usize = 64;
/// The longest upstream message that stands in a record, in characters.
const LONGEST_MESSAGE: usize = 1000;

/// Said of an answer on Anthropic's wire without `message_stop`, and of one on OpenAI's with neither a finish reason nor
/// `[DONE]`.
const UNFINISHED: &str = "the answer ended before its last event";

const EVENTS: &[u8] = b"text/event-stream";

/// How an exchange ended, for its record.
pub(super) enum End {
    Answered,
    /// The upstream's own failure, passed on as it came.
    Refused,
    Failed {
        code: &'static str,
        message: String,
    },
    Aborted,
}

/// An answer on its way from the upstream to the agent, and what its record will say.
pub(super) struct Passage {
    gate: Arc<Gate>,
    socket: Arc<Socket>,
    client: Arc<Manners>,
    of: (String, u32),
    request: u64,
    grant: Option<RequestId>,
    wire: Wire,
    /// Something may have left for the upstream.
    reached: bool,
    mask: Mask,
    sink: Option<Sink>,
    /// For what is held of events.
    share: Share,
    /// For what is held back, and for the record.
    kept: Share,
    /// What is held back of a plain answer, in bytes.
    gathered: usize,
    /// Why the answer cannot be recorded.
    unrecordable: Option<String>,
    status: Option<StatusCode>,
    events: Option<Events>,
    /// The event that ends an answer was seen.
    done: bool,
    facts: Outcome,
    started: Instant,
    first_byte: Option<Duration>,
}

/// What a read from the upstream brought.
enum Read {
    Piece(Bytes),
    End,
    Broken(ProviderError),
    ClientGone,
}

impl Passage {
    pub(super) fn new(
        (gate, socket, client): (Arc<Gate>, Arc<Socket>, Arc<Manners>),
        of: (String, u32),
        (request, grant): (u64, Option<RequestId>),
        wire: Wire,
        mask: Mask,
    ) -> Self {
        let sink = Some(Sink::new(gate.recorder.bodies().clone()));
        let (share, kept) = (gate.answers.of_passage(), gate.answers.of_record());
        Self {
            share,
            kept,
            gathered: 0,
            gate,
            socket,
            client,
            of,
            request,
            grant,
            wire,
            reached: true,
            mask,
            sink,
            unrecordable: None,
            status: None,
            events: None,
            done: false,
            facts: Outcome::default(),
            started: Instant::now(),
            first_byte: None,
        }
    }

    /// Nothing was sent, after all.
    pub(super) async fn unsent(&mut self) -> Result<(), String> {
        self.reached = false;
        self.close(End::Aborted).await
    }

    /// Records an answer that is not passed on, because somebody is asked again. `false` if the client has left.
    pub(super) async fn swallow(mut self, answer: Answer, reply: &mut Reply) -> bool {
        let Answer { status, mut body, failed, .. } = answer;
        let end = self.begin(status, failed);
        let mut size = 0;
        while size <= GATHER {
            let piece = tokio::select! {
                biased;
                () = reply.closed() => {
                    let _ = self.end(End::Aborted).await;
                    return false;
                }
                piece = body.next() => piece,
            };
            match piece {
                Some(Ok(piece)) => size += self.take(piece).len(),
                // What it said of its failure is cut short; that it failed is known.
                Some(Err(_)) | None => break,
            }
        }
        let _ = self.rest();
        let _ = self.end(end).await;
        true
    }

    pub(super) async fn pass(mut self, provider: String, answer: Answer, mut reply: Reply) {
        let Answer { status, headers, mut body, failed } = answer;
        let end = self.begin(status, failed);
        let headers = self.masked(headers);
        if status.is_informational() {
            let reason = format!("it answered with status {status}");
            let refusal = self.fail(ProviderError::Cut { provider, reason }).await;
            let _ = reply.send(Err(refusal));
            return;
        }
        let kind = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
        let streamed = kind.get(..EVENTS.len()).is_some_and(|kind| kind.eq_ignore_ascii_case(EVENTS));
        self.events = (streamed && status.is_success()).then(Events::default);
        let mut held = VecDeque::new();
        if self.events.is_none() {
            while self.gathered <= GATHER {
                let read = tokio::select! {
                    biased;
                    () = reply.closed() => Read::ClientGone,
                    piece = body.next() => Read::of(piece),
                };
                match read {
                    Read::Piece(piece) => {
                        self.gathered += piece.len();
                        let room = self.keeps(piece.len());
                        let piece = self.take(piece);
                        held.push_back(piece);
                        if !room {
                            break;
                        }
                    }
                    Read::End => {
                        held.push_back(self.rest());
                        let response = match self.end(end).await {
                            Ok(()) => Ok(whole(status, headers, held)),
                            Err(reason) => Err(Refusal::record_failed(&reason)),
                        };
                        let _ = reply.send(response);
                        return;
                    }
                    Read::Broken(error) => {
                        let refusal = self.fail(error).await;
                        let _ = reply.send(Err(refusal));
                        return;
                    }
                    Read::ClientGone => {
                        let _ = self.end(End::Aborted).await;
                        return;
                    }
                }
            }
        }
        let (pieces, receiver) = mpsc::channel(4);
        let mut response = Response::new(Body::Stream(receiver));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        if reply.send(Ok(response)).is_err() {
            let _ = self.end(End::Aborted).await;
            return;
        }
        self.gathered = 0;
        self.stream(provider, body, held, pieces, end).await;
    }

    /// Passes pieces on as they come, all but the last before it is known to be the last.
    async fn stream(
        mut self,
        provider: String,
        mut body: futures_util::stream::BoxStream<'static, Result<Bytes, ProviderError>>,
        mut held: VecDeque<Bytes>,
        pieces: mpsc::Sender<io::Result<Bytes>>,
        end: End,
    ) {
        let broken = |reason: &str| Err(io::Error::other(reason.to_owned()));
        loop {
            let keep = if self.events.is_some() { 0 } else { 1 };
            while !self.done && held.len() > keep {
                let Some(piece) = held.pop_front() else { break };
                if pieces.send(Ok(piece)).await.is_err() {
                    let _ = self.end(End::Aborted).await;
                    return;
                }
            }
            let patience = if self.done { AFTER_DONE } else { Duration::from_secs(86_400) };
            let read = tokio::select! {
                biased;
                () = pieces.closed() => Read::ClientGone,
                piece = tokio::time::timeout(patience, body.next()) => piece.map_or(Read::End, Read::of),
            };
            let read = match read {
                Read::Piece(piece) if !self.finds_room(piece.len()).await => {
                    Read::Broken(ProviderError::Crowded { provider: provider.clone() })
                }
                read => read,
            };
            match read {
                Read::Piece(piece) => {
                    let _ = self.keeps(piece.len());
                    let piece = self.take(piece);
                    // Whoever reads the next piece may wait for room that somebody has who waits for ours.
                    self.share.give_back(self.of_events());
                    if !piece.is_empty() {
                        held.push_back(piece);
                    }
                    if self.done && held.len() > MOST_AFTER_DONE {
                        break;
                    }
                }
                Read::End => break,
                // The answer was whole already.
                Read::Broken(_) | Read::ClientGone if self.done => break,
                Read::Broken(error) => {
                    let refusal = self.fail(error).await;
                    let _ = pieces.send(broken(refusal.code())).await;
                    return;
                }
                Read::ClientGone => {
                    let _ = self.end(End::Aborted).await;
                    return;
                }
            }
        }
        held.push_back(self.rest());
        if let Some(message) = self.facts.error.take().filter(|_| !self.done).map(|message| self.clear(&message)) {
            // An upstream that says in the middle of an answer that it has failed, and then ends in good order.
            for piece in held {
                let _ = pieces.send(Ok(piece)).await;
            }
            let _ = self.end(End::Failed { code: "upstream_error", message }).await;
            let _ = pieces.send(broken("upstream_error")).await;
            return;
        }
        let unfinished = match (&self.events, self.wire) {
            // What a large plain answer is, is known at its end only.
            (None, _) => matches!(end, End::Answered) && !self.is_an_answer(),
            (Some(_), Wire::Messages) => !self.done,
            (Some(_), _) => !self.done && self.facts.finish_reason.is_none(),
        };
        if unfinished {
            let _ = self.end(End::Failed { code: "upstream_error", message: UNFINISHED.to_owned() }).await;
            let _ = pieces.send(broken("upstream_error")).await;
            return;
        }
        // An error keeps the agent from taking an answer for whole that is not on record.
        if let Err(reason) = self.end(end).await {
            let _ = pieces.send(broken(&reason)).await;
            return;
        }
        for piece in held.into_iter().filter(|piece| !piece.is_empty()) {
            if pieces.send(Ok(piece)).await.is_err() {
                return;
            }
        }
    }

    /// Takes up what the head says; how this ends, if it does in good order.
    fn begin(&mut self, status: StatusCode, failed: Option<Failed>) -> End {
        self.status = Some(status);
        let Some(failed) = failed else { return end_of(status) };
        if failed.begun {
            // It has worked, and counts.
            self.status = Some(failed.status);
        }
        self.facts.usage = failed.usage;
        End::Failed { code: "upstream_error", message: self.clear(&failed.message) }
    }

    /// A text without keys.
    fn clear(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.mask.whole(text.as_bytes())).into_owned()
    }

    /// What is held of an event that is not over, in bytes.
    fn of_events(&self) -> usize {
        self.events.as_ref().map_or(0, Events::held)
    }

    /// Whether `more` bytes can be held for the record and back from the agent, too. Where room is short, what is for the
    /// record is held on disk.
    fn keeps(&mut self, more: usize) -> bool {
        let held = self.gathered + self.sink.as_ref().map_or(0, Sink::held) + more;
        if self.kept.try_cover(held) {
            return true;
        }
        if let Some(sink) = &mut self.sink
            && let Err(error) = sink.spill()
        {
            self.unrecordable.get_or_insert(error.to_string());
        }
        self.kept.try_cover(self.gathered + more)
    }

    /// Waits until `more` bytes can be taken for events. `false` if there was no room in time.
    async fn finds_room(&mut self, more: usize) -> bool {
        match self.events {
            Some(_) => self.share.cover(self.of_events() + more.min(LONGEST_EVENT), usize::MAX).await,
            None => true,
        }
    }

    /// Whether what has passed is an answer of the wire, as far as its record tells.
    fn is_an_answer(&mut self) -> bool {
        let sink = self.sink.take();
        self.absorb_plain(sink.as_ref());
        let cut = sink.as_ref().is_some_and(Sink::is_truncated);
        self.sink = sink;
        cut || (self.facts.answers && self.facts.error.is_none())
    }

    /// Hides the key in a piece and takes it up for the record.
    fn take(&mut self, piece: Bytes) -> Bytes {
        self.first_byte.get_or_insert_with(|| self.started.elapsed());
        let piece = self.mask.push(piece);
        self.note(&piece);
        piece
    }

    /// What the mask held back.
    fn rest(&mut self) -> Bytes {
        let rest = self.mask.finish();
        self.note(&rest);
        rest
    }

    fn note(&mut self, piece: &Bytes) {
        if let Some(sink) = &mut self.sink
            && let Err(e) = sink.push(piece)
        {
            self.unrecordable.get_or_insert(e.to_string());
        }
        if let Some(events) = &mut self.events {
            let (facts, done) = (&mut self.facts, &mut self.done);
            events.push(piece, |data| {
                *done |= data == b"[DONE]";
                facts.absorb(data);
            });
            *done |= facts.over;
        }
    }

    fn masked(&self, mut headers: HeaderMap) -> HeaderMap {
        for value in headers.values_mut() {
            let clear = self.mask.whole(value.as_bytes());
            if clear != value.as_bytes() {
                *value = HeaderValue::from_bytes(&clear).unwrap_or(HeaderValue::from_static("*"));
            }
        }
        headers
    }

    /// Records a failure of the upstream or of the way to it, and says it.
    pub(super) async fn fail(mut self, error: ProviderError) -> Refusal {
        self.reached = error.reached();
        if let ProviderError::Said { begun: true, usage, .. } = &error {
            self.facts.usage = usage.as_deref().cloned();
            // It had answered, and what that took counts.
            self.status.get_or_insert(StatusCode::OK);
        }
        let rest = self.rest();
        drop(rest);
        let message = self.clear(&error.to_string());
        // The upstream's words stand in both.
        let refusal = Refusal::from(error).saying(message.clone());
        match self.end(End::Failed { code: refusal.code(), message }).await {
            Ok(()) => refusal,
            Err(reason) => Refusal::record_failed(&reason),
        }
    }

    /// Puts the outcome on record.
    pub(super) async fn end(mut self, end: End) -> Result<(), String> {
        self.close(end).await
    }

    /// Whether what granted this was taken back.
    fn is_revoked(&self) -> bool {
        let attempt = self.socket.attempt();
        self.grant.as_ref().is_some_and(|grant| !attempt.grants.iter().any(|held| held.request == *grant))
    }

    async fn close(&mut self, end: End) -> Result<(), String> {
        let mut fields = Map::new();
        fields.insert("request".into(), self.request.into());
        let kind = match &end {
            End::Answered => Kind::LlmResponse,
            End::Refused | End::Failed { .. } => Kind::LlmError,
            End::Aborted => Kind::LlmAborted,
        };
        if let End::Failed { code, message } = &end {
            fields.insert("code".into(), (*code).into());
            fields.insert("message".into(), message.chars().take(LONGEST_MESSAGE).collect::<String>().into());
        }
        if matches!(end, End::Refused) {
            fields.insert("code".into(), "upstream_error".into());
        }
        if matches!(end, End::Aborted) {
            let client = self.client.fault().map_or("client", Fault::as_str);
            let over = self.gate.check(&self.socket).err().map(|refusal| refusal.code());
            let reason = over.or_else(|| self.is_revoked().then_some("revoked")).unwrap_or(client);
            fields.insert("reason".into(), reason.into());
        }
        if !self.reached {
            fields.insert("reached".into(), false.into());
        }
        if let Some(status) = self.status {
            fields.insert("status".into(), status.as_u16().into());
        }
        let sink = self.sink.take();
        if matches!(end, End::Answered) {
            self.absorb_plain(sink.as_ref());
            fields.insert("stream".into(), self.events.is_some().into());
            fields.insert("finishReason".into(), json!(self.facts.finish_reason));
            fields.insert("usage".into(), self.facts.usage.take().unwrap_or(Value::Null));
        }
        if matches!(end, End::Failed { .. } | End::Aborted)
            && let Some(usage) = self.facts.usage.take()
        {
            fields.insert("usage".into(), usage);
        }
        if let Some(first) = self.first_byte {
            fields.insert("firstByteMs".into(), millis(first));
        }
        fields.insert("totalMs".into(), millis(self.started.elapsed()));
        let body = self.status.and(sink).map(Sink::finish);
        let of = Some(self.of.clone());
        if let Some(reason) = self.unrecordable.take() {
            // The body is lost; the outcome is not.
            fields.insert("code".into(), "record_failed".into());
            let _ = self.gate.recorder.record(Entry { kind: Kind::LlmError, of, fields, body: None }).await;
            return Err(reason);
        }
        let recorded = self.gate.recorder.record(Entry { kind, of, fields, body }).await.map(|_| ());
        // Before the agent has the end of its answer: what it asks next finds this one counted, at any gate.
        budget::publish(&self.gate);
        recorded
    }

    /// The facts of an answer that was not streamed.
    fn absorb_plain(&mut self, sink: Option<&Sink>) {
        let Some(sink) = sink.filter(|_| self.events.is_none()) else {
            return;
        };
        if let Some(bytes) = sink.memory() {
            self.facts.absorb(bytes);
        } else if let Some(Ok(file)) = sink.reader() {
            self.facts.absorb_reader(file);
        }
    }
}

impl Read {
    fn of(piece: Option<Result<Bytes, ProviderError>>) -> Self {
        match piece {
            Some(Ok(piece)) => Self::Piece(piece),
            Some(Err(error)) => Self::Broken(error),
            None => Self::End,
        }
    }
}

const fn end_of(status: StatusCode) -> End {
    match status.as_u16() {
        200..=299 => End::Answered,
        _ => End::Refused,
    }
}

fn whole(status: StatusCode, mut headers: HeaderMap, pieces: VecDeque<Bytes>) -> Response<Body> {
    let bytes = Vec::from(pieces).concat();
    headers.remove(CONTENT_LENGTH);
    let mut response = Response::new(Body::whole(bytes));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

fn millis(duration: Duration) -> Value {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).into()
}
