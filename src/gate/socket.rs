//! One attempt's socket: who speaks through it is who its folder was mounted for.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit, watch};

use super::policy::{Attempt, RequestStatus};
use super::published::Offers;
use crate::run::capability::Endpoint;
use crate::run::id::RequestId;

/// What the connections of one attempt share.
pub(crate) struct Socket {
    /// What was applied when the attempt first stood in a policy: its container was made with it. What is applied
    /// later is in force for the next attempt.
    in_force: HashSet<RequestId>,
    attempt: watch::Sender<Arc<Attempt>>,
    closed: AtomicBool,
    /// Counts up with each cut.
    cuts: watch::Sender<u64>,
    /// How many may talk to an upstream, by the cut after which they began.
    talking: Arc<watch::Sender<BTreeMap<u64, usize>>>,
    /// Who may be connected to something outside at the same time.
    seats: Arc<Semaphore>,
    /// Who may look a name up.
    looking: Semaphore,
    /// Who may ask a model at the same time.
    asking: Arc<Semaphore>,
    /// How many connections were ended for what the client did.
    faults: AtomicU32,
    /// How many requests to the gate itself were refused.
    refusals: AtomicU32,
    /// How often its memory was read.
    reads: AtomicU32,
    /// What the kernel refused was said.
    held: AtomicBool,
    /// A budget was found spent since a model was last asked.
    dry: AtomicBool,
    /// That it may leave no more messages of a kind was said.
    full: AtomicBool,
    /// Connections that the shim holds ready for who comes to what is published.
    pub(crate) offers: Offers,
    /// How many connections there are by each request's grant.
    passages: watch::Sender<HashMap<RequestId, usize>>,
    /// Where the shim offers what is granted as `tcp:`; once given, an address stays.
    forwards: Mutex<HashMap<Endpoint, Ipv4Addr>>,
    /// The list of forwards that the shim has opened, by its digest; none before it has asked for any.
    opened: watch::Sender<Option<String>>,
}

/// How many connections to the outside one attempt has at once.
const MOST_PASSAGES: usize = 64;
/// How many requests to models one attempt has under way at once.
const MOST_ASKED: usize = 128;
/// How many of an attempt's faults stand in the records: a loop that misbehaves for ever must not fill the disk.
const MOST_FAULTS: u32 = 1000;
/// The same for what was refused.
pub(crate) const MOST_REFUSALS: u32 = 1000;
/// The same for reading what it remembers, which costs nobody anything.
const MOST_READS: u32 = 1000;
/// Where the shim offers the gate itself.
const GATE_PORT: u16 = 4180;
/// How long the shim may take to open a port.
const OPENING: Duration = Duration::from_secs(2);

impl Socket {
    /// A seat for one request to a model.
    ///
    /// # Errors
    /// How many there are, while all of them are taken.
    pub(crate) fn seat_at_models(&self) -> Result<OwnedSemaphorePermit, usize> {
        let limit = self.attempt().limits.concurrent.map_or(MOST_ASKED, |limit| MOST_ASKED.min(limit as usize));
        if MOST_ASKED - self.asking.available_permits() >= limit {
            return Err(limit);
        }
        self.asking.clone().try_acquire_owned().map_err(|_| limit)
    }

    /// Whether one more fault of the client's goes on record.
    pub(crate) fn may_record_a_fault(&self) -> bool {
        self.faults.fetch_add(1, Ordering::Relaxed) < MOST_FAULTS
    }

    /// Counts one more refused request; how many there were before it.
    pub(crate) fn refuse(&self) -> u32 {
        // It stays where it is at the end, so that it does not come around to 0.
        let count = self.refusals.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_add(1));
        count.unwrap_or(u32::MAX)
    }

    /// Whether one more read of its memory goes on record.
    pub(crate) fn may_record_a_read(&self) -> bool {
        let count = self.reads.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_add(1));
        count.is_ok_and(|before| before < MOST_READS)
    }

    /// What the kernel refused is said; whether for the first time.
    pub(crate) fn says_what_was_held(&self) -> bool {
        !self.held.swap(true, Ordering::Relaxed)
    }

    /// It may leave no more messages of a kind; whether that is said for the first time.
    pub(crate) fn overflows(&self) -> bool {
        !self.full.swap(true, Ordering::Relaxed)
    }

    /// A budget is spent; whether that is news.
    pub(crate) fn runs_dry(&self) -> bool {
        !self.dry.swap(true, Ordering::Relaxed)
    }

    /// A model is asked.
    pub(crate) fn goes_on(&self) {
        self.dry.store(false, Ordering::Relaxed);
    }

    pub(crate) fn new(attempt: Attempt) -> Self {
        let applied = attempt.requests.iter().filter(|r| r.status == RequestStatus::Applied);
        Self {
            in_force: applied.map(|r| r.id.clone()).collect(),
            attempt: watch::Sender::new(Arc::new(attempt)),
            closed: AtomicBool::new(false),
            cuts: watch::Sender::new(0),
            talking: Arc::new(watch::Sender::new(BTreeMap::new())),
            seats: Arc::new(Semaphore::new(MOST_PASSAGES)),
            looking: Semaphore::new(1),
            asking: Arc::new(Semaphore::new(MOST_ASKED)),
            faults: AtomicU32::new(0),
            refusals: AtomicU32::new(0),
            reads: AtomicU32::new(0),
            dry: AtomicBool::new(false),
            full: AtomicBool::new(false),
            held: AtomicBool::new(false),
            offers: Offers::default(),
            passages: watch::Sender::new(HashMap::new()),
            forwards: Mutex::default(),
            opened: watch::Sender::new(None),
        }
    }

    pub(crate) fn attempt(&self) -> Arc<Attempt> {
        self.attempt.borrow().clone()
    }

    pub(crate) fn in_force(&self) -> &HashSet<RequestId> {
        &self.in_force
    }

    /// Takes up what the policy says now about the same attempt.
    pub(crate) fn update(&self, attempt: Attempt) {
        self.attempt.send_replace(Arc::new(attempt));
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.cut();
    }

    /// Whether it was closed or is over.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire) || self.attempt().deadline <= chrono::Utc::now()
    }

    /// Ends all open connections.
    pub(crate) fn cut(&self) {
        self.cuts.send_modify(|n| *n += 1);
    }

    pub(crate) fn cuts(&self) -> watch::Receiver<u64> {
        self.cuts.subscribe()
    }

    /// Leave to talk to an upstream; check that the attempt still may, afterwards.
    pub(crate) fn upstream(&self) -> Talking {
        let since = *self.cuts.borrow();
        self.talking.send_modify(|all| *all.entry(since).or_default() += 1);
        Talking { all: self.talking.clone(), since }
    }

    /// Waits until nobody talks to an upstream who began to before the last cut.
    pub(crate) async fn drained(&self) {
        let now = *self.cuts.borrow();
        let mut talking = self.talking.subscribe();
        // An error says that the sender is gone, and that is ours.
        let _ = talking.wait_for(|all| all.first_key_value().is_none_or(|(since, _)| *since >= now)).await;
    }

    /// What the policy says of the attempt, each time that it says something else.
    pub(crate) fn attempts(&self) -> watch::Receiver<Arc<Attempt>> {
        self.attempt.subscribe()
    }

    /// Where the shim is to offer `endpoint`: the first loopback address whose port is free of others.
    pub(crate) fn listen(&self, endpoint: &Endpoint) -> SocketAddr {
        let mut given = self.forwards.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(address) = given.get(endpoint) {
            return (*address, endpoint.port()).into();
        }
        let others = given.keys().filter(|other| other.port() == endpoint.port()).count();
        // The first of all is the gate's own, at its port.
        let taken = others + usize::from(endpoint.port() == GATE_PORT);
        let step = u32::try_from(taken).unwrap_or(u32::MAX);
        let address = Ipv4Addr::from(u32::from(Ipv4Addr::LOCALHOST).saturating_add(step));
        given.insert(endpoint.clone(), address);
        (address, endpoint.port()).into()
    }

    /// The shim has opened the list with this digest.
    pub(crate) fn has_opened(&self, list: &str) {
        self.opened.send_replace(Some(list.to_owned()));
    }

    /// Waits until the shim has opened `list`, if there is a shim; not for long.
    pub(crate) async fn opened(&self, list: &str) {
        let mut opened = self.opened.subscribe();
        let there = opened.wait_for(|opened| opened.as_deref().is_none_or(|opened| opened == list));
        let _ = tokio::time::timeout(OPENING, there).await;
    }

    /// A place among the connections to the outside, if there is one.
    pub(crate) fn seat(&self) -> Option<OwnedSemaphorePermit> {
        self.seats.clone().try_acquire_owned().ok()
    }

    /// The attempt's turn to look a name up.
    pub(crate) async fn lookup(&self) -> Option<SemaphorePermit<'_>> {
        // It is never closed.
        self.looking.acquire().await.ok()
    }

    /// A connection by the grant of `request` begins.
    pub(crate) fn enter(&self, request: &RequestId) {
        self.passages.send_modify(|all| *all.entry(request.clone()).or_default() += 1);
    }

    /// A connection by the grant of `request` has ended.
    pub(crate) fn leave(&self, request: &RequestId) {
        self.passages.send_modify(|all| {
            if let Some(count) = all.get_mut(request) {
                *count -= 1;
                if *count == 0 {
                    all.remove(request);
                }
            }
        });
    }

    /// Waits until no connection by the grant of `request` is left.
    pub(crate) async fn has_left(&self, request: &RequestId) {
        let mut passages = self.passages.subscribe();
        let _ = passages.wait_for(|all| !all.contains_key(request)).await;
    }
}

/// Leave to talk to an upstream, as long as it is held.
pub(crate) struct Talking {
    all: Arc<watch::Sender<BTreeMap<u64, usize>>>,
    since: u64,
}

impl Drop for Talking {
    fn drop(&mut self) {
        self.all.send_modify(|all| {
            if let Some(count) = all.get_mut(&self.since) {
                *count -= 1;
                if *count == 0 {
                    all.remove(&self.since);
                }
            }
        });
    }
}
