//! The memory that answers share while they are held: a whole one until it is translated, an event until all of it is
//! there. Small ones need none; who gets none in time fails by name, and the gate stays.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// What all of them may hold together, in units.
const UNITS: usize = (32 << 20) / UNIT;
/// What is taken at a time, and what needs no room at all, in bytes.
const UNIT: usize = 64 * 1024;
/// How long an answer waits for room. Answers that all wait for each other end by this.
const PATIENCE: Duration = Duration::from_secs(30);

/// The room of one gate.
#[derive(Debug, Clone)]
pub struct Room(Arc<Semaphore>);

impl Default for Room {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(UNITS)))
    }
}

impl Room {
    pub(crate) fn share(&self) -> Share {
        Share { room: self.0.clone(), held: None }
    }
}

/// What one answer has of it; given back when it is dropped.
pub(crate) struct Share {
    room: Arc<Semaphore>,
    held: Option<OwnedSemaphorePermit>,
}

impl Share {
    /// Makes it enough for `bytes`, if that can be had at once.
    pub(crate) fn try_cover(&mut self, bytes: usize) -> bool {
        let Some(missing) = self.missing(bytes) else { return true };
        match self.room.clone().try_acquire_many_owned(missing) {
            Ok(more) => self.take(more),
            Err(_) => return false,
        }
        true
    }

    /// As [`cover`](Self::cover), and gives nothing back.
    pub(crate) async fn cover_at_least(&mut self, bytes: usize) -> bool {
        let has = self.held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits) * UNIT;
        self.cover(bytes.max(has)).await
    }

    /// The same, and waits for it. `false` if there was none in time.
    pub(crate) async fn cover(&mut self, bytes: usize) -> bool {
        let Some(missing) = self.missing(bytes) else { return true };
        match timeout(PATIENCE, self.room.clone().acquire_many_owned(missing)).await {
            Ok(Ok(more)) => self.take(more),
            _ => return false,
        }
        true
    }

    /// How many units more `bytes` need. What is not needed any more is given back.
    fn missing(&mut self, bytes: usize) -> Option<u32> {
        let units = if bytes <= UNIT { 0 } else { bytes.div_ceil(UNIT) };
        let has = self.held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        if units < has {
            drop(self.held.as_mut().and_then(|held| held.split(has - units)));
        }
        u32::try_from(units.saturating_sub(has)).ok().filter(|missing| *missing > 0)
    }

    fn take(&mut self, more: OwnedSemaphorePermit) {
        match &mut self.held {
            Some(held) => held.merge(more),
            none => *none = Some(more),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_bounded_and_given_back() {
        let room = Room::default();
        let (mut one, mut other) = (room.share(), room.share());
        assert!(one.try_cover(UNIT) && one.held.is_none(), "small ones need none");
        assert!(one.try_cover(UNITS * UNIT));
        assert!(!other.try_cover(UNIT + 1));
        assert!(one.try_cover(UNIT * 4), "less is always to be had");
        assert!(other.try_cover(UNIT + 1));
        drop((one, other));
        assert_eq!(room.0.available_permits(), UNITS);
    }
}
