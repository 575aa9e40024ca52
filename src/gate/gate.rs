//! What all connections of a gate share.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Semaphore, watch};

use super::inbox::Asked;
use super::kill::killed;
use super::records::Recorder;
use super::refusal::Refusal;
use super::rules::Rules;
use super::socket::Socket;

/// One gate.
pub(crate) struct Gate {
    pub(crate) kill: PathBuf,
    pub(crate) rules: watch::Sender<Arc<Rules>>,
    pub(crate) recorder: Recorder,
    pub(crate) asked: Asked,
    pub(crate) turns: Arc<Turns>,
    /// The memory that large bodies share.
    pub(crate) room: Arc<Semaphore>,
}

impl Gate {
    pub(crate) fn rules(&self) -> Arc<Rules> {
        self.rules.borrow().clone()
    }

    /// Whether anything may happen through `socket` now. Asked for each request, and again before each sending.
    pub(crate) fn check(&self, socket: &Socket) -> Result<(), Refusal> {
        if killed(&self.kill) {
            return Err(Refusal::killed());
        }
        if let Some(reason) = &self.rules.borrow().denied {
            return Err(Refusal::denied(reason));
        }
        if socket.is_closed() {
            return Err(Refusal::closed());
        }
        Ok(())
    }
}

/// How many LLM requests each node has made, those under way included.
pub(crate) struct Turns(Mutex<HashMap<String, u64>>);

/// Leave for one LLM request; given back if the request does not get on record.
pub(crate) struct Turn {
    turns: Arc<Turns>,
    node: Option<String>,
}

impl Turns {
    /// Goes on from what the records say.
    pub(crate) fn new(made: HashMap<String, u64>) -> Arc<Self> {
        Arc::new(Self(Mutex::new(made)))
    }

    /// One more request of `node`, unless it has made `limit`.
    pub(crate) fn take(self: &Arc<Self>, node: &str, limit: u64) -> Option<Turn> {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let made = made.entry(node.to_owned()).or_default();
        if *made >= limit {
            return None;
        }
        *made += 1;
        Some(Turn { turns: self.clone(), node: Some(node.to_owned()) })
    }
}

impl Turn {
    /// The request is on record: it counts.
    pub(crate) fn spend(mut self) {
        self.node = None;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(node) = &self.node {
            let mut made = self.turns.0.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(made) = made.get_mut(node) {
                *made = made.saturating_sub(1);
            }
        }
    }
}
