//! What ends a passage from outside: its grant is taken back, its attempt is over, the kill switch is on. Who holds a
//! leash is counted, so that the gate can say when the last passage of a grant has ended.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, watch};

use crate::gate::policy::{Attempt, Grant};
use crate::gate::refusal::Refusal;
use crate::gate::shared::Gate;
use crate::gate::socket::{Socket, Talking};

/// One passage's leash. Dropping it says that the passage has ended.
pub(crate) struct Leash {
    gate: Arc<Gate>,
    socket: Arc<Socket>,
    /// All of them have to hold.
    grants: Vec<Grant>,
    cuts: watch::Receiver<u64>,
    attempts: watch::Receiver<Arc<Attempt>>,
    _upstream: Talking,
    _seat: OwnedSemaphorePermit,
}

impl Leash {
    /// Takes the place `seat` among the passages of `socket`, for `grants`. From here on a revocation waits for this
    /// passage; whether the grant still holds has to be looked at once more, afterwards: [`Leash::holds`].
    pub(crate) fn on(gate: &Arc<Gate>, socket: &Arc<Socket>, grants: &[Grant], seat: OwnedSemaphorePermit) -> Self {
        let (cuts, attempts) = (socket.cuts(), socket.attempts());
        let upstream = socket.upstream();
        grants.iter().for_each(|grant| socket.enter(&grant.request));
        Self {
            gate: gate.clone(),
            socket: socket.clone(),
            grants: grants.to_vec(),
            cuts,
            attempts,
            _upstream: upstream,
            _seat: seat,
        }
    }

    pub(crate) fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    pub(crate) fn attempt(&self) -> Arc<Attempt> {
        self.socket.attempt()
    }

    /// Whether the passage may go on.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn holds(&self) -> Result<(), Refusal> {
        self.gate.check(&self.socket)?;
        // New connections go by the clock; those that are open are cut by the next look at the doors.
        let now = chrono::Utc::now();
        let held = &self.attempts.borrow().grants;
        let stands = |grant: &Grant| !grant.is_over(now) && held.contains(grant);
        if self.grants.iter().all(stands) { Ok(()) } else { Err(Refusal::revoked()) }
    }

    /// Returns when the passage has to end, with the reason.
    pub(crate) async fn pulled(&mut self) -> &'static str {
        loop {
            if let Err(refusal) = self.holds() {
                return refusal.code();
            }
            tokio::select! {
                biased;
                // A cut is for all that is open, whatever the reason was.
                _ = self.cuts.changed() => return self.holds().err().map_or("cut", |refusal| refusal.code()),
                changed = self.attempts.changed() => if changed.is_err() {
                    return "closed";
                },
            }
        }
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        self.grants.iter().for_each(|grant| self.socket.leave(&grant.request));
    }
}
