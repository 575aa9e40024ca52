//! What all connections of a gate share.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};

use super::action::Queue;
use super::egress::Lookups;
use super::inbox::Asked;
use super::kill::killed;
use super::ledger::Ledger;
use super::pace::Pace;
use super::records::Recorder;
use super::refusal::Refusal;
use super::role_budget::RoleLedgers;
use super::rules::Rules;
use super::socket::Socket;
use super::turns::Turns;
use crate::provider::Room;

/// One gate.
pub(crate) struct Gate {
    pub(crate) kill: PathBuf,
    pub(crate) rules: watch::Sender<Arc<Rules>>,
    pub(crate) recorder: Recorder,
    pub(crate) asked: Asked,
    pub(crate) turns: Arc<Turns>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) roles: RoleLedgers,
    pub(crate) pace: Pace,
    /// The memory that large bodies share.
    pub(crate) room: Arc<Semaphore>,
    /// The memory that large answers share.
    pub(crate) answers: Room,
    pub(crate) lookups: Lookups,
    /// What is trusted when the gate itself speaks TLS.
    pub(crate) tls: Arc<rustls::ClientConfig>,
    /// For actions upon services.
    pub(crate) client: reqwest::Client,
    pub(crate) acting: Queue,
    /// How long after something may have been done its absence means that it was not.
    pub(crate) settles: Duration,
    /// Held while a large body is looked through.
    pub(crate) parsing: tokio::sync::Mutex<()>,
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
