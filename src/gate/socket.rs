//! One attempt's socket: who speaks through it is who its folder was mounted for.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{OwnedRwLockReadGuard, watch};

use super::policy::{Attempt, RequestStatus};
use crate::run::id::RequestId;

/// What the connections of one attempt share.
pub(crate) struct Socket {
    /// What was applied when the attempt first stood in a policy: its container was made with it. What is applied
    /// later is in force for the next attempt.
    in_force: HashSet<RequestId>,
    attempt: RwLock<Arc<Attempt>>,
    closed: AtomicBool,
    /// Counts up with each cut.
    cuts: watch::Sender<u64>,
    /// Held for reading while an upstream may be talked to: who holds it for writing knows that none is.
    upstreams: Arc<tokio::sync::RwLock<()>>,
}

impl Socket {
    pub(crate) fn new(attempt: Attempt) -> Self {
        let applied = attempt.requests.iter().filter(|r| r.status == RequestStatus::Applied);
        Self {
            in_force: applied.map(|r| r.id.clone()).collect(),
            attempt: RwLock::new(Arc::new(attempt)),
            closed: AtomicBool::new(false),
            cuts: watch::Sender::new(0),
            upstreams: Arc::default(),
        }
    }

    pub(crate) fn attempt(&self) -> Arc<Attempt> {
        self.attempt.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn in_force(&self) -> &HashSet<RequestId> {
        &self.in_force
    }

    /// Takes up what the policy says now about the same attempt.
    pub(crate) fn update(&self, attempt: Attempt) {
        *self.attempt.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(attempt);
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
    pub(crate) async fn upstream(&self) -> OwnedRwLockReadGuard<()> {
        self.upstreams.clone().read_owned().await
    }

    /// Waits until no upstream is talked to for this attempt; `false` if that took too long.
    pub(crate) async fn drained(&self) -> bool {
        tokio::time::timeout(Duration::from_secs(5), self.upstreams.write()).await.is_ok()
    }
}
