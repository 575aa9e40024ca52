//! The memory that answers share while they are held: a whole one until it is translated, an event until all of it is
//! there. Small ones need none; who gets none in time fails by name, and the gate stays.
//!
//! Answers that waited for each other would end together, so that none waits in a circle: what an answer takes stands in
//! tiers, each with a pool of its own; of a pool it takes once, and all that it may come to need of it; and whoever holds
//! something waits for later pools only. Readings come before passages, and what a passage holds while it waits for its
//! reading is what nobody waits for.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// What needs no room at all, and the unit of all others, in bytes.
const UNIT: usize = 64 * 1024;
/// How long an answer waits for room.
const PATIENCE: Duration = Duration::from_secs(30);

/// A pool, and how much of it goes to one answer where that is not told by what it may become at most; in bytes.
struct Tier {
    pool: usize,
    each: usize,
}

const READING: Tier = Tier { pool: 12 << 20, each: 1 << 20 };
const LARGE_READING: Tier = Tier { pool: 32 << 20, each: 32 << 20 };
const PASSAGE: Tier = Tier { pool: 12 << 20, each: 3 << 20 };
/// Nobody waits for this one: what is for the record can be on disk.
const RECORD: Tier = Tier { pool: 8 << 20, each: 512 << 10 };

/// The room of one gate.
#[derive(Debug, Clone)]
pub struct Room {
    reading: Arc<Semaphore>,
    large_reading: Arc<Semaphore>,
    passage: Arc<Semaphore>,
    record: Arc<Semaphore>,
}

impl Default for Room {
    fn default() -> Self {
        let pool = |tier: Tier| Arc::new(Semaphore::new(tier.pool / UNIT));
        Self {
            reading: pool(READING),
            large_reading: pool(LARGE_READING),
            passage: pool(PASSAGE),
            record: pool(RECORD),
        }
    }
}

impl Room {
    /// For what holds an answer until it can be translated.
    pub(crate) fn of_reading(&self) -> Share {
        Share(vec![Held::none(&self.reading, READING.each), Held::none(&self.large_reading, LARGE_READING.each)])
    }

    /// For what holds a part of an answer while it passes.
    pub(crate) fn of_passage(&self) -> Share {
        Share(vec![Held::none(&self.passage, PASSAGE.each)])
    }

    /// For what holds it until it is on record.
    pub(crate) fn of_record(&self) -> Share {
        Share(vec![Held::none(&self.record, RECORD.each)])
    }
}

/// What one answer has of it; given back when it is dropped.
pub(crate) struct Share(Vec<Held>);

struct Held {
    pool: Arc<Semaphore>,
    each: usize,
    permit: Option<OwnedSemaphorePermit>,
}

impl Held {
    fn none(pool: &Arc<Semaphore>, each: usize) -> Self {
        Self { pool: pool.clone(), each, permit: None }
    }
}

impl Share {
    /// Makes it enough for `bytes`, if that can be had at once; gives back what is not needed for them.
    pub(crate) fn try_cover(&mut self, bytes: usize) -> bool {
        self.give_back(bytes);
        self.lacking(bytes).is_none_or(|tiers| {
            self.0[tiers].iter_mut().all(|tier| {
                tier.permit = tier.pool.clone().try_acquire_many_owned(units(tier.each)).ok();
                tier.permit.is_some()
            })
        })
    }

    /// The same for what may become `most` bytes, and waits for it. `false` if there was none in time.
    pub(crate) async fn cover(&mut self, bytes: usize, most: usize) -> bool {
        self.give_back(bytes);
        let Some(tiers) = self.lacking(bytes) else { return true };
        for tier in &mut self.0[tiers] {
            let asked = tier.pool.clone().acquire_many_owned(units(tier.each.min(most)));
            tier.permit = timeout(PATIENCE, asked).await.ok().and_then(Result::ok);
            if tier.permit.is_none() {
                return false;
            }
        }
        true
    }

    /// Gives back what is not needed for `bytes`.
    pub(crate) fn give_back(&mut self, bytes: usize) {
        let needs = self.needs(bytes);
        self.0[needs..].iter_mut().for_each(|tier| tier.permit = None);
    }

    /// Of which tiers nothing is held, though `bytes` need them.
    fn lacking(&self, bytes: usize) -> Option<Range<usize>> {
        let has = self.0.iter().take_while(|tier| tier.permit.is_some()).count();
        let needs = self.needs(bytes);
        (has < needs).then_some(has..needs)
    }

    /// How many tiers `bytes` need.
    fn needs(&self, bytes: usize) -> usize {
        match bytes <= UNIT {
            true => 0,
            false => self.0.iter().position(|tier| bytes <= tier.each).map_or(self.0.len(), |at| at + 1),
        }
    }
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const MIB: usize = 1 << 20;

    fn free(room: &Room) -> [usize; 4] {
        [&room.reading, &room.large_reading, &room.passage, &room.record].map(|pool| pool.available_permits())
    }

    fn all() -> [usize; 4] {
        free(&Room::default())
    }

    #[test]
    fn what_is_held_is_bounded_and_given_back() {
        let room = Room::default();
        let (mut one, mut other) = (room.of_reading(), room.of_reading());
        assert!(one.try_cover(UNIT));
        assert_eq!(free(&room), all(), "small ones need none");
        assert!(one.try_cover(32 * MIB));
        assert!(!other.try_cover(2 * MIB));
        assert!(one.try_cover(MIB), "less is always to be had");
        assert!(other.try_cover(2 * MIB));
        drop((one, other));
        assert_eq!(free(&room), all());
    }

    #[test]
    fn whoever_passes_on_does_not_wait_for_whoever_reads() {
        let room = Room::default();
        let mut reading: Vec<_> = (0..12).map(|_| room.of_reading()).collect();
        assert!(reading.iter_mut().all(|share| share.try_cover(MIB)));
        assert!(!room.of_reading().try_cover(MIB));
        assert!(room.of_passage().try_cover(2 * MIB));
    }

    /// Each holds something and wants more than there is for all: one after the other gets it.
    #[tokio::test]
    async fn answers_that_grow_beside_each_other_all_end() {
        let room = Room::default();
        let growing = (0..64).map(|at| {
            let room = room.clone();
            tokio::spawn(async move {
                let (mut reading, mut passage) = (room.of_reading(), room.of_passage());
                for bytes in [MIB / 2, MIB, 4 * MIB, 16 * MIB] {
                    assert!(reading.cover(bytes, if at % 2 == 0 { 16 * MIB } else { 32 * MIB }).await);
                    tokio::task::yield_now().await;
                }
                for bytes in [UNIT * 2, MIB, 2 * MIB] {
                    assert!(passage.cover(bytes, 3 * MIB).await);
                    tokio::task::yield_now().await;
                }
            })
        });
        for task in growing.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        assert_eq!(free(&room), all());
    }
}
