//! One way out, from the wish to the record of its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::StatusCode;
use serde_json::{Map, Value};
use tokio::net::TcpStream;

use super::counted::{Counted, Counts};
use super::lookup::Nowhere;
use super::{Leash, Target};
use crate::gate::policy::{Attempt, Grant};
use crate::gate::records::{Entry, Kind, Payload};
use crate::gate::refusal::Refusal;
use crate::gate::shared::Gate;
use crate::gate::socket::Socket;
use crate::run::address::special;
use crate::run::capability::{Capability, Endpoint};

/// How many refusals, and how many passages, of one attempt are recorded: a loop that tries for ever must not fill the
/// disk.
const MOST_DENIALS: u64 = 10_000;
const MOST_PASSAGES: u64 = 100_000;
/// The longest path that stands in a record, in characters.
const LONGEST_PATH: usize = 1000;
const CONNECT: Duration = Duration::from_secs(10);
/// The hint to what no grant covers. A recorded conversation holds it, word for word.
const HINT: &str =
    "a package is asked for as pip:<name>, apt:<name> or npm:<name>; nothing is fetched from inside the container";

/// A try that is refused, for its record and for whoever tried.
#[derive(Debug)]
pub(crate) struct Denied {
    pub(crate) surface: &'static str,
    pub(crate) method: String,
    /// `host:port`, as far as it can be told.
    pub(crate) target: String,
    /// Why, as a stable name.
    pub(crate) verdict: &'static str,
    pub(crate) message: String,
    /// What would have to be asked for, if that is the way.
    pub(crate) capability: Option<String>,
}

impl Denied {
    fn of(target: &Target, verdict: &'static str, message: String) -> Self {
        let (surface, method, text) = (target.surface, target.method.clone(), target.text.clone());
        Self { surface, method, target: text, verdict, message, capability: None }
    }

    fn asking_for(self, capability: String) -> Self {
        Self { capability: Some(capability), ..self }
    }

    /// Puts the refusal on record; what the agent is told.
    pub(crate) async fn record(self, gate: &Gate, attempt: &Attempt) -> Refusal {
        match self.note(gate, attempt).await {
            Ok(()) => self.refusal(),
            Err(refusal) => refusal,
        }
    }

    /// Puts the refusal on record. After as many as one attempt is heard with, one more record says so, and the rest leaves
    /// none.
    ///
    /// # Errors
    /// What the agent is told if this is not on record.
    async fn note(&self, gate: &Gate, attempt: &Attempt) -> Result<(), Refusal> {
        let node = attempt.node.as_str();
        let before = gate.recorder.index(|index| index.denial_count(node, attempt.attempt));
        let unheard = || {
            let message = format!("this attempt was refused {MOST_DENIALS} times; its tries are no longer heard");
            Refusal::exhausted(message)
        };
        if before > MOST_DENIALS {
            return Err(unheard());
        }
        let last = before == MOST_DENIALS;
        let mut fields = Map::new();
        fields.insert("surface".into(), self.surface.into());
        fields.insert("target".into(), self.target.as_str().into());
        fields.insert("method".into(), self.method.as_str().into());
        fields.insert("verdict".into(), if last { "no_longer_recorded" } else { self.verdict }.into());
        if let Some(capability) = &self.capability {
            fields.insert("capability".into(), capability.as_str().into());
        }
        let entry = Entry { kind: Kind::EgressDenied, of: Some(of(attempt)), fields, body: None };
        gate.recorder.record(entry).await.map_err(|reason| Refusal::record_failed(&reason))?;
        if last { Err(unheard()) } else { Ok(()) }
    }

    fn refusal(self) -> Refusal {
        let status = match self.verdict {
            "bad_target" => StatusCode::BAD_REQUEST,
            "unresolvable" => StatusCode::BAD_GATEWAY,
            _ => StatusCode::FORBIDDEN,
        };
        let mut refusal = Refusal::new(status, self.verdict, self.message).with("target", self.target);
        if let Some(hint) = hint(self.verdict) {
            refusal = refusal.hint(hint);
        }
        match self.capability {
            Some(capability) => refusal.with("capability", capability),
            None => refusal,
        }
    }
}

/// What to do about a verdict.
pub(crate) fn hint(verdict: &str) -> Option<&'static str> {
    match verdict {
        "capability_required" => Some(HINT),
        "bad_target" => Some("write the host as it was granted, in the request line and in `Host` alike"),
        "address_refused" => Some("a special address is reached only if it is granted itself, beside the name"),
        "name_mismatch" => Some("TLS has to ask for the granted name and no other, and without ECH"),
        "not_http" => {
            Some("a tunnel of a net: grant carries HTTPS or HTTP; for anything else ask for tcp:<host>:<port>")
        }
        _ => None,
    }
}

/// Whose records these are.
fn of(attempt: &Attempt) -> (String, u32) {
    (attempt.node.as_str().to_owned(), attempt.attempt)
}

/// A connection that is under way.
pub(crate) struct Passage {
    pub(crate) endpoint: Endpoint,
    /// Every byte passes, whatever it says: a `tcp:` grant.
    pub(crate) raw: bool,
    pub(crate) grants: Vec<Grant>,
    pub(crate) leash: Leash,
    started: Instant,
    counts: Counts,
    /// The record that let it through.
    seq: u64,
    address: Option<SocketAddr>,
}

/// Opens the way to `target`: granted, looked up, on record, connected; in this order.
///
/// # Errors
/// What the agent is told; it is on record.
pub(crate) async fn open(
    gate: &Arc<Gate>,
    socket: &Arc<Socket>,
    target: &Target,
) -> Result<(Passage, Counted), Refusal> {
    let attempt = socket.attempt();
    let endpoint = match &target.endpoint {
        Ok(endpoint) => endpoint.clone(),
        Err(rule) => {
            let message = format!("{} cannot be reached: {rule}", target.text);
            return Err(Denied::of(target, "bad_target", message).record(gate, &attempt).await);
        }
    };
    let missing = || {
        let message = format!("nothing grants a connection to {}", target.text);
        Denied::of(target, "capability_required", message).asking_for(format!("net:{endpoint}"))
    };
    let Some((grants, raw)) = granted(&attempt, &endpoint, target.surface) else {
        return Err(missing().record(gate, &attempt).await);
    };
    if let Some(flaw) = &target.flaw {
        let message = format!("the request to {} is not forwarded: {flaw}", target.text);
        return Err(Denied::of(target, "bad_target", message).record(gate, &attempt).await);
    }
    if gate.recorder.index(|index| index.passages(attempt.node.as_str(), attempt.attempt)) >= MOST_PASSAGES {
        let message = format!("this attempt has made all of its {MOST_PASSAGES} connections");
        return Err(at_its_bound(gate, &attempt, target, message).await);
    }
    let Some(seat) = socket.seat() else {
        let message = "this attempt has all the connections it may have at once".to_owned();
        return Err(at_its_bound(gate, &attempt, target, message).await);
    };
    let mut leash = Leash::on(gate, socket, &grants, seat);
    if leash.holds().is_err() {
        gate.check(socket)?;
        return Err(missing().record(gate, &attempt).await);
    }
    let rules = gate.rules();
    let found = tokio::select! {
        biased;
        why = leash.pulled() => {
            let message = format!("the connection to {} may not be made any more", target.text);
            Denied::of(target, why, message).note(gate, &attempt).await?;
            return Err(Refusal::revoked());
        }
        found = gate.lookups.find(socket, &rules.policy, &endpoint, raw) => found,
    };
    let addresses = match found {
        Ok(addresses) => addresses,
        Err(nowhere) => return Err(no_way(target, &endpoint, raw, nowhere).record(gate, &attempt).await),
    };
    let counts = Counts::default();
    let seq = gate.recorder.record(allowed(&attempt, target, &grants, raw, &addresses)).await;
    let seq = seq.map_err(|reason| Refusal::record_failed(&reason))?;
    let mut passage = Passage { endpoint, raw, grants, leash, started: Instant::now(), counts, seq, address: None };
    // The disk took its time, and the kill switch may have come.
    if let Err(refusal) = passage.leash.holds() {
        passage.end(refusal.code(), None).await;
        return Err(refusal);
    }
    match passage.connect(&addresses).await {
        Ok(stream) => {
            let _ = stream.set_nodelay(true);
            let stream = Counted::new(stream, passage.counts.clone());
            Ok((passage, stream))
        }
        Err((verdict, message)) => {
            let refusal = Refusal::new(StatusCode::BAD_GATEWAY, verdict, message).with("target", target.text.as_str());
            passage.end(verdict, None).await;
            Err(refusal)
        }
    }
}

/// Puts on record that `target` is out of reach because the attempt has all it may have; what the agent is told.
async fn at_its_bound(gate: &Gate, attempt: &Attempt, target: &Target, message: String) -> Refusal {
    match Denied::of(target, "exhausted", message.clone()).note(gate, attempt).await {
        Ok(()) => Refusal::exhausted(message),
        Err(refusal) => refusal,
    }
}

/// What a request to a host through the gate's own paths is called in records.
pub(crate) const FETCH: &str = "fetch";

/// The grants that cover `endpoint`, and whether every byte may pass by them; the widest counts. A request that the gate
/// itself sends carries every secret that is granted for where it goes.
fn granted(attempt: &Attempt, endpoint: &Endpoint, surface: &str) -> Option<(Vec<Grant>, bool)> {
    let secret =
        |grant: &&Grant| matches!(&grant.capability, Capability::Secret(secret) if secret.endpoint() == *endpoint);
    let secrets: Vec<Grant> = attempt.grants.iter().filter(secret).cloned().collect();
    if surface == FETCH && !secrets.is_empty() {
        return Some((secrets, false));
    }
    let by = |raw: bool| {
        attempt.grants.iter().find(|grant| match &grant.capability {
            Capability::Tcp(granted) => raw && granted == endpoint,
            Capability::Net(granted) => !raw && granted == endpoint,
            _ => false,
        })
    };
    let net = by(false).map(|grant| (vec![grant.clone()], false));
    if surface == FETCH {
        return net;
    }
    by(true).map(|grant| (vec![grant.clone()], true)).or(net)
}

fn no_way(target: &Target, endpoint: &Endpoint, raw: bool, nowhere: Nowhere) -> Denied {
    match nowhere {
        Nowhere::Unresolvable(reason) => {
            Denied::of(target, "unresolvable", format!("{} cannot be found: {reason}", endpoint.host()))
        }
        Nowhere::Special(address) => {
            let what = special(address).map_or("an ordinary address", |special| special.words());
            let host = if address.is_ipv6() { format!("[{address}]") } else { address.to_string() };
            let kind = if raw { "tcp" } else { "net" };
            let message = format!("{} is {host}, and that is {what}", endpoint.host());
            Denied::of(target, "address_refused", message).asking_for(format!("{kind}:{host}:{}", endpoint.port()))
        }
    }
}

fn allowed(attempt: &Attempt, target: &Target, grants: &[Grant], raw: bool, addresses: &[SocketAddr]) -> Entry {
    let mut fields = Map::new();
    fields.insert("surface".into(), if raw { "tcp" } else { target.surface }.into());
    fields.insert("target".into(), target.text.as_str().into());
    fields.insert("method".into(), target.method.as_str().into());
    if let Some(grant) = grants.first() {
        fields.insert("grant".into(), grant.request.as_str().into());
    }
    if let Some((path, _)) = &target.fetched {
        fields.insert("path".into(), path.chars().take(LONGEST_PATH).collect::<String>().into());
    }
    let secrets: Vec<Value> = grants
        .iter()
        .filter_map(|grant| match &grant.capability {
            Capability::Secret(secret) if target.surface == FETCH => Some(secret.name().as_str().into()),
            _ => None,
        })
        .collect();
    if !secrets.is_empty() {
        fields.insert("secrets".into(), secrets.into());
    }
    let body = target.fetched.as_ref().map(|(_, body)| body.clone()).filter(|body| !body.is_empty());
    let addresses: Vec<Value> = addresses.iter().map(|address| address.to_string().into()).collect();
    fields.insert("addresses".into(), addresses.into());
    Entry { kind: Kind::EgressAllowed, of: Some(of(attempt)), fields, body: body.map(Payload::whole) }
}

impl Passage {
    /// Connects to the first of the judged addresses that answers.
    async fn connect(&mut self, addresses: &[SocketAddr]) -> Result<TcpStream, (&'static str, String)> {
        let mut last = String::new();
        for address in addresses {
            let tried = tokio::select! {
                biased;
                why = self.leash.pulled() => return Err((why, "the connection may not be made any more".to_owned())),
                tried = tokio::time::timeout(CONNECT, TcpStream::connect(address)) => tried,
            };
            match tried {
                Ok(Ok(stream)) => {
                    self.address = Some(*address);
                    return Ok(stream);
                }
                Ok(Err(error)) => last = format!("{address}: {error}"),
                Err(_) => last = format!("{address} does not answer"),
            }
        }
        Err(("unreachable", format!("{} cannot be reached: {last}", self.endpoint)))
    }

    /// Refuses what goes through the passage, beside its own record.
    pub(crate) async fn deny(&self, target: String, verdict: &'static str, message: String) {
        let denied =
            Denied { surface: "tls", method: "CONNECT".to_owned(), target, verdict, message, capability: None };
        let _ = denied.record(self.leash.gate(), &self.leash.attempt()).await;
    }

    /// Puts the end on record.
    pub(crate) async fn end(self, verdict: &str, status: Option<StatusCode>) {
        self.end_with(verdict, status, None).await;
    }

    /// [`Passage::end`] with what came back.
    pub(crate) async fn end_with(self, verdict: &str, status: Option<StatusCode>, body: Option<Payload>) {
        let (out, back) = self.counts.now();
        let mut fields = Map::new();
        fields.insert("egress".into(), self.seq.into());
        fields.insert("verdict".into(), verdict.into());
        if let Some(address) = self.address {
            fields.insert("address".into(), address.to_string().into());
        }
        if let Some(status) = status {
            fields.insert("status".into(), status.as_u16().into());
        }
        fields.insert("bytesOut".into(), out.into());
        fields.insert("bytesIn".into(), back.into());
        fields.insert("totalMs".into(), u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX).into());
        let entry = Entry { kind: Kind::EgressEnded, of: Some(of(&self.leash.attempt())), fields, body };
        // Without room for it the passage stays visible as one without an end.
        let _ = self.leash.gate().recorder.record(entry).await;
    }
}
