//! How long an Engine is waited for that may hang: by what it does, and not by a number of seconds for all of it. A slow
//! one that gets on is given its time; one that says nothing, or says the same again and again, is not.

use std::time::{Duration, Instant};

/// An Engine that has answered nothing for so long hangs: the promise is that a kill says so within about two seconds.
const SILENCE: Duration = Duration::from_secs(2);

/// An Engine that answers, and whose containers are as they were so long ago, does not get on.
const STANDSTILL: Duration = Duration::from_secs(5);

/// Longer than any number of starts that were under way can bring new containers.
const LONGEST: Duration = Duration::from_secs(30);

/// What an Engine has been heard to do since it was asked first.
#[derive(Debug, Clone)]
pub struct Patience {
    begun: Instant,
    heard: Instant,
    moved: Instant,
}

impl Default for Patience {
    fn default() -> Self {
        let now = Instant::now();
        Self { begun: now, heard: now, moved: now }
    }
}

impl Patience {
    /// It has answered something.
    pub fn heard(&mut self) {
        self.heard = Instant::now();
    }

    /// Something has changed: a container less, or one in another state.
    pub fn moved(&mut self) {
        self.moved = Instant::now();
        self.heard = self.moved;
    }

    /// Whether it is to be waited for no longer.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.left().is_zero()
    }

    /// Whether it has answered nothing for too long.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.heard.elapsed() >= SILENCE
    }

    /// How much longer it may do nothing.
    #[must_use]
    pub fn left(&self) -> Duration {
        let of = |whole: Duration, since: Instant| whole.saturating_sub(since.elapsed());
        of(SILENCE, self.heard).min(of(STANDSTILL, self.moved)).min(of(LONGEST, self.begun))
    }
}
