//! One LLM exchange: on record, then sent, then passed back, then its outcome on record. It runs on its own, so that
//! a client that leaves, a revocation or the kill switch ends what is under way and still gets its record.
//!
//! Each try is a request of its own to the records: as many stand there as upstreams were sent.

use std::sync::Arc;
use std::time::Duration;

use hyper::Response;
use serde_json::Map;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::body::Body;
use super::client::Manners;
use super::ledger::DayTurn;
use super::passage::{End, Passage};
use super::plan::{Plan, Try};
use super::policy::Attempt;
use super::records::{Entry, Kind, Payload};
use super::refusal::Refusal;
use super::retry::{self, Remedy};
use super::shared::Gate;
use super::socket::Socket;
use super::turns::Turn;
use crate::provider::{Answer, Outgoing, Wire};
use crate::run::id::{Digest, RequestId};

pub(super) type Reply = oneshot::Sender<Result<Response<Body>, Refusal>>;

/// Everything one exchange needs.
pub(crate) struct Exchange {
    pub(crate) gate: Arc<Gate>,
    pub(crate) socket: Arc<Socket>,
    pub(crate) client: Arc<Manners>,
    pub(crate) attempt: Arc<Attempt>,
    /// The request for the grant that it is charged to.
    pub(crate) grant: Option<RequestId>,
    pub(crate) plan: Plan,
    pub(crate) first: Try,
    pub(crate) turn: Turn,
    /// The same for the day, where days have a budget: of all runs, of the role.
    pub(crate) days: Vec<DayTurn>,
    /// The room that the request's body takes.
    pub(crate) room: Option<OwnedSemaphorePermit>,
    /// One of as many as may be under way at once.
    pub(crate) seat: OwnedSemaphorePermit,
}

/// Where a request stands among the tries of its exchange.
struct Place {
    /// From 1.
    number: u32,
    /// The record of the first one.
    first: Option<u64>,
    /// The request for the grant that all of them are charged to.
    grant: Option<RequestId>,
}

impl Exchange {
    /// Does all of it. `reply` gets the answer's head, or why there is none.
    pub(crate) async fn run(self, mut reply: Reply) {
        let Self { gate, socket, client, attempt, grant, mut plan, first, turn, mut days, room, seat: _seat } = self;
        let of = (attempt.node.as_str().to_owned(), attempt.attempt);
        let (mut turn, mut next) = (Some(turn), first);
        let mut place = Place { number: 1, first: None, grant };
        let mut leave = None;
        loop {
            let recorded = gate.recorder.record(request_entry(&of, &next, &plan.request, &place)).await;
            let seq = match recorded {
                Ok(seq) => seq,
                Err(reason) => {
                    drop(turn);
                    let _ = reply.send(Err(Refusal::record_failed(&reason)));
                    return;
                }
            };
            if let Some(turn) = turn.take() {
                turn.spend();
                days.drain(..).for_each(DayTurn::spend);
            }
            if leave.is_none() {
                // From here on a revocation waits for us.
                leave = Some(socket.upstream());
            }
            let Try { step, mut prepared } = next;
            prepared.room = gate.answers.clone();
            let sent = prepared.sent.clone();
            let wire = plan.request.wire;
            let between = (gate.clone(), socket.clone(), client.clone());
            let mut passage = Passage::new(between, of.clone(), (seq, place.grant.clone()), wire, step.provider.mask());
            if reply.is_closed() {
                let _ = passage.unsent().await;
                return;
            }
            if let Err(refusal) = gate.check(&socket) {
                let _ = passage.unsent().await;
                let _ = reply.send(Err(refusal));
                return;
            }
            let answer = tokio::select! {
                biased;
                () = reply.closed() => {
                    // One that had no connection yet was never there.
                    let _ = if sent.is_set() { passage.end(End::Aborted).await } else { passage.unsent().await };
                    return;
                }
                answer = step.provider.complete(prepared) => answer,
            };
            let remedy = match &answer {
                Ok(Answer { failed: Some(failed), .. }) => retry::of_no_answer(failed),
                Ok(answer) => retry::of_answer(answer.status, &answer.headers),
                Err(error) => retry::of_failure(error),
            };
            let Some((then, pause)) = again(&mut plan, remedy).await else {
                drop(room);
                match answer {
                    Ok(answer) => passage.pass(step.name, answer, reply).await,
                    Err(error) => {
                        let refusal = passage.fail(error).await;
                        let _ = reply.send(Err(refusal));
                    }
                }
                return;
            };
            let recorded = match answer {
                Ok(answer) => passage.swallow(answer, &mut reply).await,
                Err(error) => {
                    let _ = passage.fail(error).await;
                    true
                }
            };
            if !recorded || left_within(&mut reply, pause).await {
                return;
            }
            if let Err(refusal) = gate.check(&socket) {
                let _ = reply.send(Err(refusal));
                return;
            }
            (place.number, place.first) = (place.number + 1, place.first.or(Some(seq)));
            next = then;
        }
    }
}

async fn again(plan: &mut Plan, remedy: Remedy) -> Option<(Try, Duration)> {
    match remedy {
        Remedy::None => None,
        remedy => plan.next(remedy).await,
    }
}

/// Whether the client left while we waited.
async fn left_within(reply: &mut Reply, pause: Duration) -> bool {
    tokio::select! {
        biased;
        () = reply.closed() => true,
        () = tokio::time::sleep(pause) => false,
    }
}

fn request_entry(of: &(String, u32), next: &Try, request: &Outgoing, place: &Place) -> Entry {
    let mut fields = Map::new();
    fields.insert("model".into(), request.ask.model.as_str().into());
    fields.insert("provider".into(), next.step.name.as_str().into());
    if let Some(model) = &next.step.target.model {
        fields.insert("upstreamModel".into(), model.as_str().into());
    }
    if request.wire != Wire::Chat {
        fields.insert("wire".into(), request.wire.name().into());
    }
    if let Some(grant) = &place.grant {
        fields.insert("grant".into(), grant.as_str().into());
    }
    if let Some(first) = place.first {
        fields.insert("try".into(), place.number.into());
        fields.insert("retryOf".into(), first.into());
    }
    fields.insert("messagesDigest".into(), request.ask.digest.as_str().into());
    fields.insert("tools".into(), request.ask.tools.into());
    fields.insert("stream".into(), request.ask.stream.into());
    if *next.prepared.body() != request.body {
        // What left in the provider's own words.
        fields.insert("sentDigest".into(), Digest::of(next.prepared.body()).as_str().into());
    }
    let body = Some(Payload::whole(request.body.clone()));
    Entry { kind: Kind::LlmRequest, of: Some(of.clone()), fields, body }
}
