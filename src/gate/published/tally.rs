//! Connections to what is published, on record: each by itself, until the records have the size that they may have;
//! from then on those of an hour together. What is offered for years does not fill the disk, and nobody who comes is
//! left out.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;

use crate::gate::egress::Leash;
use crate::gate::policy::{Attempt, Grant};
use crate::gate::records::{Entry, Kind};
use crate::gate::shared::Gate;
use crate::gate::socket::Socket;

/// How long connections are counted together.
const PERIOD: Duration = Duration::from_secs(3600);

/// Where the connections of one deployment are put on record.
#[derive(Default)]
pub(super) struct Tally {
    period: tokio::sync::Mutex<Option<Arc<Period>>>,
}

/// Connections that are counted together, after a record that says so.
struct Period {
    seq: u64,
    begun: Instant,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    /// Those that are open, and the clock that waits for the period's end.
    open: u64,
    connections: u64,
    verdicts: BTreeMap<&'static str, u64>,
    bytes_in: u64,
    bytes_out: u64,
    longest_ms: u64,
}

/// A connection that is on record.
pub(super) enum Entered {
    Alone(u64),
    Counted(Counting),
}

/// One of those that are counted.
pub(super) struct Counting(Arc<Period>);

impl Tally {
    /// Puts a connection on record before a byte of it passes; none if that cannot be done.
    pub(super) async fn enter(
        &self,
        gate: &Arc<Gate>,
        socket: &Arc<Socket>,
        grant: &Grant,
        client: SocketAddr,
    ) -> Option<Entered> {
        let attempt = socket.attempt();
        let most = attempt.limits.ingress_bytes.unwrap_or(u64::MAX);
        let size = tokio::fs::metadata(gate.recorder.path()).await.ok()?.len();
        if size < most {
            let mut fields = about(&attempt, grant);
            fields.insert("client".into(), client.to_string().into());
            return record(gate, &attempt, Kind::IngressAllowed, fields).await.map(Entered::Alone);
        }
        // Held over the record, so that one period is begun and no more.
        let mut current = self.period.lock().await;
        if let Some(period) = current.as_ref().filter(|period| period.begun.elapsed() < PERIOD)
            && period.join()
        {
            return Some(Entered::Counted(Counting(period.clone())));
        }
        let mut fields = about(&attempt, grant);
        fields.insert("seconds".into(), PERIOD.as_secs().into());
        let seq = record(gate, &attempt, Kind::IngressCounting, fields).await?;
        // Of the connection that begins it, and of its clock.
        let counts = Mutex::new(Counts { open: 2, connections: 1, ..Counts::default() });
        let period = Arc::new(Period { seq, begun: Instant::now(), counts });
        *current = Some(period.clone());
        drop(tokio::spawn(clock(gate.clone(), socket.clone(), grant.clone(), period.clone())));
        Some(Entered::Counted(Counting(period)))
    }
}

/// Ends a period when its time is over, or the grant.
async fn clock(gate: Arc<Gate>, socket: Arc<Socket>, grant: Grant, period: Arc<Period>) {
    let attempt = socket.attempt();
    if let Ok(seat) = Arc::new(Semaphore::new(1)).acquire_owned().await {
        let mut leash = Leash::on(&gate, &socket, std::slice::from_ref(&grant), seat);
        let _ = tokio::time::timeout(PERIOD, leash.pulled()).await;
        period.leave(&gate, &attempt).await;
    }
}

impl Period {
    /// One more, unless the period is over and on record.
    fn join(&self) -> bool {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.open == 0 {
            return false;
        }
        counts.open += 1;
        counts.connections += 1;
        true
    }

    /// One less; the last puts on record what there was.
    async fn leave(&self, gate: &Gate, attempt: &Attempt) {
        let fields = {
            let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
            counts.open -= 1;
            if counts.open > 0 {
                return;
            }
            counts.fields(self.seq)
        };
        // Without room for it the period stays visible as one without an end.
        let _ = record(gate, attempt, Kind::IngressCounted, fields).await;
    }
}

impl Counts {
    fn fields(&self, seq: u64) -> Map<String, Value> {
        let mut fields = Map::new();
        fields.insert("ingress".into(), seq.into());
        fields.insert("connections".into(), self.connections.into());
        fields.insert("verdicts".into(), json!(self.verdicts));
        fields.insert("bytesIn".into(), self.bytes_in.into());
        fields.insert("bytesOut".into(), self.bytes_out.into());
        fields.insert("longestMs".into(), self.longest_ms.into());
        fields
    }
}

impl Entered {
    /// Puts the end of a connection on record: bytes that came `back` from the application and went `out` to it.
    pub(super) async fn end(
        self,
        gate: &Gate,
        attempt: &Attempt,
        verdict: &'static str,
        (out, back): (u64, u64),
        took: Duration,
    ) {
        let took = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        match self {
            Self::Alone(seq) => {
                let mut fields = Map::new();
                fields.insert("ingress".into(), seq.into());
                fields.insert("verdict".into(), verdict.into());
                fields.insert("bytesIn".into(), back.into());
                fields.insert("bytesOut".into(), out.into());
                fields.insert("totalMs".into(), took.into());
                // Without room for it the connection stays visible as one without an end.
                let _ = record(gate, attempt, Kind::IngressEnded, fields).await;
            }
            Self::Counted(Counting(period)) => {
                {
                    let mut counts = period.counts.lock().unwrap_or_else(PoisonError::into_inner);
                    *counts.verdicts.entry(verdict).or_default() += 1;
                    counts.bytes_in += back;
                    counts.bytes_out += out;
                    counts.longest_ms = counts.longest_ms.max(took);
                }
                period.leave(gate, attempt).await;
            }
        }
    }
}

fn about(attempt: &Attempt, grant: &Grant) -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("target".into(), grant.capability.to_string().into());
    fields.insert("port".into(), attempt.publish.unwrap_or(0).into());
    fields.insert("grant".into(), grant.request.as_str().into());
    fields
}

async fn record(gate: &Gate, attempt: &Attempt, kind: Kind, fields: Map<String, Value>) -> Option<u64> {
    let of = Some((attempt.node.as_str().to_owned(), attempt.attempt));
    gate.recorder.record(Entry { kind, of, fields, body: None }).await.ok()
}
